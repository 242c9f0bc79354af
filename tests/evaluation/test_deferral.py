"""How much is deferred and where: recounted in another way, as a law, in pictures, on the page and on the shell."""

from __future__ import annotations

import numpy as np
import pytest

import kad
from kad.checkpoints import load_checkpoints
from kad.cli.main import main
from kad.decoding.deferral import deferral_of
from kad.evaluation import Block, Job, Method, Plan, Store, deferral, figures, read, run, summaries
from kad.evaluation.configuration import Configuration
from kad.evaluation.doubts import FEW_TOKENS, LITTLE, MUCH, doubt, doubts
from kad.evaluation.report import results_of

SIGMAS = 4.5  # a false alarm in 150,000; seeds are fixed, so what passed once passes always


def test_shares_recounted() -> None:
    """Against histograms of relative positions."""
    rng = np.random.default_rng(0)
    texts = [rng.random(n) for n in (1, 3, 10, 37, 64, 0)]
    found = deferral_of([(list(t), "".join(rng.choice(list("bq"), len(t)))) for t in texts])
    alphas = np.concatenate(texts)
    places = np.concatenate([np.arange(len(t)) / max(1, len(t)) for t in texts])
    sums, edges = np.histogram(places + 1e-9, bins=np.linspace(0, 1, 11), weights=alphas)
    counts, _ = np.histogram(places + 1e-9, bins=edges)
    assert found.tenths == pytest.approx(list(sums / counts))
    assert found.first == pytest.approx([np.mean([t[i] for t in texts if len(t) > i]) for i in range(8)])
    assert (found.texts, found.tokens, found.mass) == (6, 115, pytest.approx(alphas.mean()))
    empty = deferral_of([])
    assert (empty.mass, empty.origin, empty.opening, set(empty.tenths)) == (None, None, None, {None})
    for bad in (([0.1], "bq"), ([0.1], "x"), ([0.1], "")):
        with pytest.raises(ValueError, match="one origin"):
            deferral_of([bad])


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("deferral") / "e"
    methods = (
        Method("dual", 0.4),
        Method("dual", 0.001),
        Method("fractional", 0.6),
        Method("implicit-reward", 1.0),
        Method("p"),
        Method("q*"),
    )
    job = Job(Plan(("embedded",), (Block(methods),), count=20), load_checkpoints({}))
    with Store(folder) as store:
        run(job, store)
    return folder, summaries(*read(folder)[:2])


def test_tokens_come_from_the_proxy_as_often_as_mass_is_deferred(results) -> None:
    folder, lines = results
    configurations, rows, _ = read(folder)
    for s in lines:
        own = [row for row in rows if row["key"] == s.configuration.key]
        assert deferral(own) == s.where
        if s.configuration.method == "implicit-reward":
            assert (s.where.mass, s.where.origin) == (None, None)
            continue
        alphas = np.concatenate([row["alphas"] for row in own])
        drawn = np.array(list("".join(row["origins"] for row in own))) == "q"
        assert s.where.mass == pytest.approx(s.deferred)
        assert abs(drawn.sum() - alphas.sum()) <= SIGMAS * np.sqrt((alphas * (1 - alphas)).sum()) + 1e-3
    assert configurations


def test_a_trace_tells_the_same_as_its_rows() -> None:
    pair = kad.demo.load()
    prompts = [p.text for p in kad.demo.problems.held_out(3, "dev")]
    out = kad.generate(
        pair.base, pair.proxy, prompts, tokenizer=pair.tokenizer, target=kad.dual(0.4), max_new_tokens=20, window=3
    )
    alone = [out.trace.deferral(row) for row in range(3)]
    whole = out.trace.deferral()
    assert isinstance(whole, kad.DeferralShare)
    assert whole.tokens == sum(d.tokens for d in alone) == int(out.trace.lengths.sum())
    assert whole.mass == pytest.approx(out.trace.deferral_rate)
    assert whole.first[0] == pytest.approx(np.mean([d.first[0] for d in alone]))


def test_doubts_are_about_mixtures_with_enough_tokens() -> None:
    def of(alpha: float, method: str = "dual", tokens: int = FEW_TOKENS):
        return doubt(Configuration("t", method, 0.4), deferral([{"alphas": [alpha] * tokens}]))

    assert [of(x) for x in (LITTLE - 0.001, LITTLE, MUCH, MUCH + 0.01)] == ["little", None, None, "much"]
    assert of(0.0, tokens=FEW_TOKENS - 1) is None
    assert [of(0.0, method) for method in ("p", "q*", "p*")] == [None] * 3
    assert [of(x, "mine.Own") for x in (0.0, 0.9)] == ["little", None]  # a rule that may look at q*
    assert [of(0.9, m) for m in ("confidence-bet", "cascade-opt", "nudging", "Squared*primal")] == [
        None,
        None,
        "much",
        "much",
    ]
    assert doubt(Configuration("t", "dual", 0.4), None) is None
    pairs = [
        (Configuration("t", m, 0.9), deferral([{"alphas": [0.9] * FEW_TOKENS}]))
        for m in ("fractional", "dual", "fractional")
    ]
    (sentence,) = doubts(pairs)
    assert sentence.startswith("t: fractional b=0.9 (90%), dual λ=0.9 (90%) can hardly help: more than")


def test_the_picture_has_its_legend_outside_of_it(results) -> None:
    _, lines = results
    axes = figures.deferral_by_place(lines, "embedded")
    figure = axes.figure
    figure.canvas.draw()
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["dual λ=0.4", "fractional b=0.6"]
    assert all(not legend.get_window_extent().overlaps(own.get_tightbbox()) for own in figure.axes)
    curve = figure.axes[0].lines[0].get_ydata()
    best = next(s for s in lines if s.configuration.of.label == "dual λ=0.4")
    assert list(curve) == list(best.where.first)
    others = [s for s in lines if s.configuration.method in ("p", "implicit-reward")]
    assert figures.deferral_by_place(others, "embedded") is None
    figures.pyplot().close(figure)


def test_the_shell_and_the_page_say_it(results, capsys: pytest.CaptureFixture[str]) -> None:
    folder, _ = results
    assert main(["report", str(folder)]) == 0
    out = capsys.readouterr().out
    (much,) = [line for line in out.splitlines() if line.startswith("deferral: ") and "more than" in line]
    assert "fractional b=0.6 (60%)" in much
    assert "dual" not in much
    (little,) = [line for line in out.splitlines() if line.startswith("deferral: ") and "less than" in line]
    assert "dual λ=0.001 (" in little
    page = (folder / "report.html").read_text()
    for sentence in results_of(folder).doubts:
        assert sentence.split(": ")[1].split(" can")[0] in page
    assert page.count('<td class="text">much</td>') == 1
