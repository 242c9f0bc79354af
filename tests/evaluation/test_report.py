"""The page in a real browser with the network off, and the traces behind it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from playwright.sync_api import Page

import kad
from kad.cli.main import main
from kad.evaluation import figures, report
from kad.evaluation.plan import Configuration
from kad.evaluation.presets import PRESETS
from kad.evaluation.store import read
from kad.evaluation.summary import summaries

from .lines import line_of

METHODS = ["p", "q*", "dual:0.2,0.4", "primal:0.6,0.9", "implicit-reward", "confidence-bet", "fractional"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "e"
    methods = [x for method in METHODS for x in ("--method", method)]
    common = ["--n", "12", "--traces", "2", "--output", str(folder)]
    assert main(["eval", *common, *methods, "--window", "0", "--window", "3", "--seeds", "2", "--no-report"]) == 0
    assert (
        main(
            ["eval", *common, "--method", "dual", "--placement", "mixture", "--placement", "draws", "--control", "0.3"]
        )
        == 0
    )
    assert main(["eval", *common, "--method", "dual", "--method", "p", "--greedy"]) == 0
    return folder


@pytest.fixture(scope="module")
def page(browser, folder: Path) -> Iterator[Page]:
    context = browser.new_context(offline=True)
    page, wrong = context.new_page(), list[str]()
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text))
    page.on("request", lambda request: wrong.append(request.url) if not request.url.startswith("file:") else None)
    page.goto((folder / "report.html").as_uri())
    yield page
    assert wrong == []
    context.close()


def test_the_table_holds_the_numbers_and_sorts(page: Page, folder: Path, capsys) -> None:
    assert main(["report", str(folder), "--json"]) == 0
    numbers = json.loads(capsys.readouterr().out)
    rows = page.locator("#summary tbody tr")
    assert rows.count() == len(numbers["summaries"])
    shown = [rows.nth(i).locator("td").all_inner_texts() for i in range(rows.count())]
    for cells, s in zip(shown, numbers["summaries"], strict=True):
        assert cells[1] == s["method"]
        assert cells[5] == f"{100 * s['accuracy']:.1f}"
        assert cells[12] == ("" if s["acceptance"] is None else f"{s['acceptance']:.2f}")
    page.locator("#summary th button").nth(5).click()
    falling = [float(x) for x in page.locator("#summary tbody td:nth-child(6)").all_inner_texts()]
    assert falling == sorted(falling, reverse=True)
    page.locator("#summary th button").nth(5).click()
    assert [float(x) for x in page.locator("#summary tbody td:nth-child(6)").all_inner_texts()] == falling[::-1]
    page.locator("#summary th button").nth(1).click()
    names = page.locator("#summary tbody td:nth-child(2)").all_inner_texts()
    assert names == sorted(names, key=str.lower)
    page.locator("#summary th button").nth(12).click()
    drafted = page.locator("#summary tbody td:nth-child(13)").all_inner_texts()
    assert "" not in drafted[: sum(bool(x) for x in drafted)]  # empty cells stand last
    assert page.locator("#compared tbody tr").count() == len(numbers["comparisons"])


def test_every_picture_is_there(page: Page) -> None:
    for name in report.PICTURES:
        figure = page.locator(f"#embedded-{name} svg")
        assert figure.count() == 1
        box = figure.bounding_box()
        assert box is not None
        assert box["width"] > 200
        assert box["height"] > 100


def test_deferral_is_shown_where_something_is_deferred(page: Page, folder: Path) -> None:
    numbers = report.results_of(folder).numbers()
    shown = [row.locator("td").all_inner_texts() for row in page.locator("#deferred tbody tr").all()]
    mixtures = [s for s in numbers["summaries"] if s["deferred"] is not None and s["method"] not in ("p", "q*")]
    assert [(cells[1], cells[3]) for cells in shown] == [(s["method"], f"{s['deferred']:.2f}") for s in mixtures]
    assert page.locator("#doubts li").all_inner_texts() == numbers["doubts"]
    assert "fractional b=0.9 (90%" in numbers["doubts"][0]
    assert {cells[-1] for cells in shown if cells[1] == "fractional b=0.9"} == {"much"}


def test_the_explorer_shows_what_the_traces_hold(page: Page, folder: Path) -> None:
    traces = json.loads((folder / "traces.json").read_text())
    rows = {(r["key"], r["item"], r["seed"]): r for r in read(folder)[1]}
    assert len(traces) == 2 * len(read(folder)[0])
    options = page.locator("#method option").all_inner_texts()
    assert "dual λ=0.4 (T 0.7, γ 3)" in options
    assert "dual λ=0.4 (greedy)" in options
    for method in options:
        page.select_option("#prompt", "embedded / 1")
        page.select_option("#method", method)
        spans = page.locator("#text span")
        assert spans.count() > 3
        spans.nth(2).hover()
        assert page.locator("#detail tr").count() == 7
        assert page.locator("#detail tr.own td").count() == 4
    page.locator("#text span").first.focus()
    assert "α =" in page.locator("#detail").inner_text()
    for trace in traces:
        row = rows[trace["key"], trace["item"], trace["seed"]]
        assert "".join(t["text"] for t in trace["tokens"]).replace("<eos>", "").strip() == row["text"].strip()
        for token in trace["tokens"]:
            p, q, pi = token["own"]
            assert pi > 0, "a token that cannot be drawn was drawn"
            assert all(0 <= x <= 1 for x in (p, q, pi))
            assert len(token["rivals"]) == 5
    page.set_viewport_size({"width": 380, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 380


def test_the_page_runs_no_script_but_its_own(page: Page, folder: Path, tmp_path: Path) -> None:
    """Even a script that had found its way into the page stays still, and nothing is fetched."""
    script = "document.title = 'run'"
    smuggled = f'<script>{script}</script><img src=x onerror="{script}"><a id=a href="javascript:{script}">a</a>'
    text = (folder / "report.html").read_text().replace("<nav>", smuggled + "<nav>")
    (tmp_path / "report.html").write_text(text)
    other = page.context.new_page()
    refused = list[str]()
    other.on("console", lambda message: refused.append(message.text))
    other.goto((tmp_path / "report.html").as_uri())
    other.locator("#a").click()
    assert other.title() != "run"
    assert len([text for text in refused if "Content Security Policy" in text]) >= 3
    assert other.locator("#text span").count() > 3  # its own script has run
    other.close()


def test_traces_agree_with_what_was_decided(folder: Path) -> None:
    """α read back from both models equals α of the run: the same filters, temperatures and placements."""
    configurations, _, _ = read(folder)
    for trace in json.loads((folder / "traces.json").read_text()):
        c = configurations[trace["key"]]
        if c.method == "dual" and c.placement == "models":
            for token in trace["tokens"]:
                p, q, pi = token["own"]
                kept = p if p >= (c.value or 0) else 0.0
                assert pi == pytest.approx(kept + token["alpha"] * q, abs=2e-4)
        if c.method in ("p", "q*"):
            assert all(t["own"][0] == t["own"][2] for t in trace["tokens"])


def test_again_from_the_folder_alone(folder: Path, capsys, tmp_path: Path) -> None:
    """The same page, byte for byte, wherever the folder lies."""
    before = (folder / "report.html").read_text()
    copy = tmp_path / "e"
    copy.mkdir()
    for name in ("results.jsonl", "manifest.json", "traces.json"):
        shutil.copy(folder / name, copy)
    assert main(["report", str(copy)]) == 0
    assert (copy / "report.html").read_text() == before
    capsys.readouterr()
    assert main(["report", str(copy), "--against", "magic"]) == 1
    assert "no method 'magic' to compare with" in capsys.readouterr().err


def test_scripts_and_styles_of_others_are_blocked(page: Page, folder: Path, tmp_path: Path) -> None:
    """Were a field ever to break out of its place, the page's policy would not let it do anything."""
    text = (folder / "report.html").read_text()
    assert "'unsafe" not in text[: text.index("<title>")]
    assert "script-src &#39;sha256-" in text
    hostile = (
        "<script>document.title = 'run'</script><img src=x onerror=\"document.title = 'run'\">"
        "<h1 id=hostile style='color: rgb(1, 2, 3)'>x</h1><style>h1 { color: rgb(1, 2, 3) }</style>"
        "<iframe srcdoc=\"<script>parent.document.title = 'run'</script>\"></iframe>"
        "<script src='https://example.org/x.js'></script><link rel=stylesheet href='https://example.org/x.css'>"
    )
    broken = tmp_path / "report.html"
    broken.write_text(text.replace("<h1>", f"{hostile}<h1>", 1))
    other, blocked = page.context.new_page(), list[str]()
    other.on("console", lambda message: blocked.append(message.text))
    other.goto(broken.as_uri())
    assert other.title() == "kad: e"
    assert other.evaluate("getComputedStyle(document.getElementById('hostile')).color") != "rgb(1, 2, 3)"
    assert sum("Content Security Policy" in x for x in blocked) >= 6
    assert other.locator("#text span").count() > 3  # the page's own script runs
    other.close()


def test_names_of_others_are_no_formulas() -> None:
    """A dollar in a method's name or a token begins no formula in a picture."""
    name = r"x.$\frac{$b"
    c = Configuration("t", name)
    row = line_of(c, item="0", correct=True)
    assert name in figures.svg(figures.accuracies(summaries({c.key: c}, [row]), "t"))
    p = torch.tensor([0.25, 0.75], dtype=torch.float64)
    assert name in figures.svg(kad.plots.step(p, p, tokens=[name, "$"]))


def test_the_paper_is_quoted_for_its_pairs_alone() -> None:
    own = {role: {"name": place} for role, place in PRESETS["olmo2"].places.items()}
    assert report.published({"sessions": [{"models": own}]})
    assert not report.published({"sessions": [{"models": {"base": {"name": "x"}}}]})
    assert not report.published({})


def test_texts_cannot_break_the_page(folder: Path, tmp_path: Path) -> None:
    hostile = "</script><script>alert(1)</script>"
    for name in ("results.jsonl", "manifest.json"):
        shutil.copy(folder / name, tmp_path)
    traces = json.loads((folder / "traces.json").read_text())[:1]
    traces[0]["question"] = traces[0]["tokens"][0]["text"] = hostile
    (tmp_path / "traces.json").write_text(json.dumps(traces))
    assert hostile not in report.write(report.results_of(tmp_path)).read_text()
