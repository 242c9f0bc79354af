"""The embedded pair, its data and the demo command."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import kad
from kad.checkpoints import load_checkpoints
from kad.cli.demo import jobs_of, shown_of
from kad.cli.demo_tables import OURS, accuracy_cells, comparison, speculation
from kad.cli.main import main
from kad.demo import FOLDERS, MODELS
from kad.demo.pages import pages
from kad.demo.problems import aligned, aligned_answer, held_out, prompt
from kad.demo.train import fit, new_model, packed, probe
from kad.evaluation import Block, Job, Method, Number, Plan, Store, comparisons, read, run
from kad.statistics import difference, mean, rate


@pytest.fixture(scope="module")
def pair():
    return kad.demo.load()


def test_splits_are_disjoint_and_fixed() -> None:
    test, dev = held_out(300, "test"), held_out(300, "dev")
    assert {p.text for p in test}.isdisjoint(p.text for p in dev)
    assert [p.text for p in test] == [p.text for p in held_out(300, "test")]
    raw = " ".join(islice(pages(seed=1), 3000))
    assert not any(p.text in raw for p in [*test, *dev])
    assert all(p.split == "test" for p in test)


def test_problems_are_right() -> None:
    for problem in held_out(300):
        value = problem.steps[0].left
        for step in problem.steps:
            assert step.left == value
            assert eval(f"{step.left} {step.op} {step.right}") == step.result
            assert 0 <= step.result <= 99
            value = step.result
        assert 2 <= len(problem.steps) <= 4
        assert problem.answer == value
        assert aligned(aligned_answer(problem))
        assert Number().score(aligned_answer(problem), str(value)) == (str(value), True)


@pytest.mark.parametrize(
    ("text", "answer", "strict"),
    [
        ("first 6 - 2 = 4 . #### 4", "4", True),
        ("first 6 - 2 = 4 . then 4 + 1 = 5 . #### 5", "5", True),
        ("6 - 2 is 4 , it is 4 !", "4", False),
        ("first 6 - 2 = 4 . #### 4 #### 9", "9", False),
        ("#### 4", "4", False),
        ("done .", None, False),
        ("first 6 - 2 = 4 . ####", "4", False),
    ],
)
def test_answers(text: str, answer: str | None, strict: bool) -> None:
    assert Number().extract(text) == answer
    assert aligned(text) == strict


def test_shipped_models_are_small_and_load_like_any_checkpoint(pair) -> None:
    files = [f for kind in FOLDERS for f in (MODELS / kind).glob("*.safetensors")]
    assert len(files) == 4
    assert sum(f.stat().st_size for f in files) <= 5_000_000
    model = AutoModelForCausalLM.from_pretrained(MODELS / "base")
    tokenizer = AutoTokenizer.from_pretrained(MODELS / "base")
    assert tokenizer.decode(tokenizer("Tom has 6 apples.")["input_ids"]) == "<bos> tom has 6 apples ."
    assert model.config.vocab_size == len(tokenizer)
    words = {w for text in islice(pages(seed=3), 2000) for w in text.split()}
    words |= {w for p in held_out(200) for w in f"{prompt(p)} {aligned_answer(p)}".split()}
    assert all(tokenizer.convert_tokens_to_ids(w) != tokenizer.unk_token_id for w in words)


def test_the_base_passes_its_probe_and_knows_more_than_the_proxy(pair) -> None:
    base, proxy = probe(pair.base, pair.tokenizer), probe(pair.proxy, pair.tokenizer)
    assert base >= 0.95
    assert proxy < base - 0.1


def test_the_demos_claim_on_a_small_sample(tmp_path: Path) -> None:
    """dual .4 beats p, q* and nudging in both placements; the full claim is `kad demo` itself."""
    methods = (OURS, Method("p"), Method("q*"), Method("nudging", 0.4))
    plan = Plan(("embedded",), (Block(methods, ("models", "mixture")),), count=120, seeds=(1,), part="dev")
    with Store(tmp_path) as store:
        run(Job(plan, load_checkpoints({}), batch=120), store)
    found = comparisons(*read(tmp_path)[:2])
    assert len(found) == 6
    for one in found:
        assert one.difference > one.error, one


def test_statistics() -> None:
    share, error = mean([1, 0, 1, 0.5])
    assert share == 0.625
    assert np.isclose(error, np.std([1, 0, 1, 0.5], ddof=1) / 2)
    same = rate([[right] * 3 for right in (True, False, True, False)])  # three identical seeds tell no more than one
    alone = rate([[right] for right in (True, False, True, False)])
    assert (same.low, same.high) == (alone.low, alone.high)
    assert rate([[True]] * 10).high == 1.0
    assert difference([[True], [True]], [[True], [False]])[0] == 0.5


def test_a_plan_covers_what_it_should() -> None:
    """Nine methods in both placements, greedily, and with drafts of one seed; with --full fifteen, and the filter."""
    pair, seeds = load_checkpoints({}), range(4, 7)
    plain, drafts = jobs_of(pair, 5, seeds)
    sampled = [c for c in plain.configurations() if c.temperature is not None]
    greedy = [c for c in plain.configurations() if c.temperature is None]
    assert len({c.of for c in sampled}) == len(greedy) == 9
    assert {c.placement for c in sampled if c.of == OURS} == {"models", "mixture"}
    assert {c.temperature for c in sampled} == {0.7}
    assert {c.filtered for c in sampled} == {""}
    assert {u.seed for u in plain.units() if u.configuration.temperature is not None} == set(seeds)
    assert {len(u.items) for job in (plain, drafts) for u in job.units()} == {5}
    assert {c.window for c in plain.configurations()} == {0}
    assert {c.window for c in drafts.configurations()} == {3, 5, 7}
    assert {u.seed for u in drafts.units()} == {4}
    assert {c.of for c in sampled} - {c.of for c in drafts.configurations()} == {Method("q*"), Method("p*")}
    full, more_drafts = jobs_of(pair, 5, seeds, full=True)
    assert len({c.of for c in full.configurations()}) == 15
    assert {c.filtered for c in full.configurations() if c.temperature is not None} == {"", "min-p 0.3"}
    assert {c.filtered for c in more_drafts.configurations()} == {""}
    assert {c.key for job in (plain, drafts) for c in job.configurations()} < {
        c.key for job in (full, more_drafts) for c in job.configurations()
    }


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    """A small demo, once."""
    folder = tmp_path_factory.mktemp("demo") / "out"
    assert main(["demo", "--quick", "--n", "6", "--output", str(folder)]) == 0
    return folder


FILES = [".lock", "acceptance.png", "accuracy.png", "manifest.json", "report.html", "results.jsonl", "traces.json"]


def test_the_demo_goes_on_after_a_kill(capsys, results: Path, tmp_path: Path) -> None:
    """What was answered is not asked again, and what is printed and stored is what an uninterrupted run has."""
    whole = (results / "results.jsonl").read_bytes()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "results.jsonl").write_bytes(whole[: len(whole) * 9 // 10])
    assert main(["demo", "--quick", "--n", "6", "--output", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    for words in (
        "6 problems x 1 sampling seed",
        "dual λ=0.4",
        "implicit-reward",
        "s.e.",
        "γ = 7",
        "Worked examples",
        "####",
    ):
        assert words in printed
    answered, there = (int(part.split()[0]) for part in printed[printed.rindex("####") :].splitlines()[-2].split(", "))
    assert answered + there == 6 * 45
    assert 0 < answered < 60
    assert sorted(f.name for f in (tmp_path / "out").iterdir()) == FILES
    assert [f.name for f in tmp_path.iterdir()] == ["out"], "no scratch folders are left"
    want, found = ({(r["key"], r["item"]): r["text"] for r in read(at)[1]} for at in (results, tmp_path / "out"))
    assert found == want


def test_the_demo_of_a_finished_folder_asks_nothing(capsys, results: Path) -> None:
    before = (results / "results.jsonl").read_bytes()
    assert main(["demo", "--quick", "--n", "4", "--output", str(results)]) == 0
    printed = capsys.readouterr().out
    assert "0 questions answered, 180 were there" in printed
    assert "4 problems x 1 sampling seed" in printed, (
        "the table is of what was asked for, not of all that the folder has"
    )
    assert (results / "results.jsonl").read_bytes() == before
    assert sorted(f.name for f in results.iterdir()) == FILES


def test_the_tables_are_of_the_rows(results: Path) -> None:
    rows = read(results)[1]
    shown = shown_of(rows, jobs_of(load_checkpoints({}), 6, [1]))
    c = next(c for c in shown.configurations.values() if c.of == OURS and c.placement == "mixture" and not c.window)
    own = [row for row in rows if row["key"] == c.key]
    cells = accuracy_cells(shown)["dual λ=0.4"]
    assert cells[1].startswith(f"{100 * sum(row['correct'] for row in own) / 6:.1f} [")
    assert cells[2] == f"{100 * sum(row['correct'] and aligned(row['text']) for row in own) / 6:.1f}"
    assert accuracy_cells(shown)["p (large base)"][1] == "same"
    assert list(comparison(shown))[1:] == [
        "p (large base)",
        "q* (small aligned)",
        "nudging λ=0.4",
        "implicit-reward β=1",
    ]
    assert [len(row) for row in speculation(shown).values()] == [4] * 8


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--n", "1"], "at least 2"),
        (["--models", "/nowhere"], "holds no model"),
        (["--retrain"], "--models"),
        (["--retrain", "--models", "{full}"], "not empty"),
        (["--output", "{file}"], "is a file"),
        (["--output", "{full}"], "holds other files"),
    ],
)
def test_demo_errors_are_one_sentence(capsys, monkeypatch, tmp_path: Path, arguments: list[str], words: str) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    monkeypatch.chdir(tmp_path)
    arguments = [a.format(full=tmp_path / "full", file=tmp_path / "full" / "x") for a in arguments]
    assert main(["demo", *arguments]) == 1
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.err.count("\n") == 1
    assert [path.name for path in tmp_path.rglob("*")] == ["full", "x"]


def test_the_recipe_learns(pair) -> None:
    """A few steps of the real recipe lower the loss; the whole of it is `kad demo --retrain`."""
    steps: list[int] = []
    model = new_model("proxy-base", pair.tokenizer, seed=1)
    stream = packed(pair.tokenizer, pages(seed=1))
    with torch.no_grad():
        inputs, labels = next(stream)
        logits = model(inputs).logits
        before = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
    after = fit(model, stream, 60, 4e-3, 10, lambda done, total: steps.append(done))
    assert after < float(before) - 1
    assert steps == list(range(1, 61))


def test_a_failed_probe_writes_nothing(capsys, monkeypatch, tmp_path: Path) -> None:
    from kad.demo import train

    monkeypatch.setattr(train, "UPDATES", {"base": 1, "proxy-base": 1})
    assert main(["demo", "--retrain", "--models", str(tmp_path / "pair")]) == 1
    assert "knows no more than the proxy" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
