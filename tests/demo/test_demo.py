"""The embedded pair, its data and the demo command."""

from __future__ import annotations

import json
import os
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import kad
from kad.cli.main import main
from kad.demo import KINDS, MODELS
from kad.demo.answers import extract, extract_strictly
from kad.demo.evaluate import METHODS, Plan, run
from kad.demo.pages import pages
from kad.demo.problems import aligned_answer, held_out, prompt
from kad.demo.train import fit, new_model, packed, probe
from kad.statistics import clustered, difference, rate


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
        assert extract_strictly(aligned_answer(problem)) == problem.answer == value


@pytest.mark.parametrize(
    ("text", "lenient", "strict"),
    [
        ("first 6 - 2 = 4 . #### 4", 4, 4),
        ("first 6 - 2 = 4 . then 4 + 1 = 5 . #### 5", 5, 5),
        ("6 - 2 is 4 , it is 4 !", 4, None),
        ("first 6 - 2 = 4 . #### 4 #### 9", 4, None),
        ("#### 4", 4, None),
        ("done .", None, None),
        ("first 6 - 2 = 4 . ####", None, None),
    ],
)
def test_extraction(text: str, lenient: int | None, strict: int | None) -> None:
    assert extract(text) == lenient
    assert extract_strictly(text) == strict


def test_shipped_models_are_small_and_load_like_any_checkpoint(pair) -> None:
    files = [f for kind in KINDS for f in (MODELS / kind).glob("*.safetensors")]
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


def test_the_demos_claim_on_a_small_sample(pair) -> None:
    """dual .4 beats p, q* and nudging in both placements; the full claim is `kad demo` itself."""
    problems = held_out(120, "dev", seed=11)
    by_name = {m.name: m for m in METHODS}
    for placement in ("models", "mixture"):
        ours = run(pair, by_name["dual .4"], problems, placement=placement, seed=1)
        for other in ("p (large base)", "q* (small aligned)", "nudging .4"):
            theirs = run(pair, by_name[other], problems, placement=placement, seed=1)
            mean, error = difference([ours.correct], [theirs.correct])
            assert mean > error, (placement, other, mean, error)


def test_statistics() -> None:
    mean, error = clustered([[1, 0, 1, 1], [1, 0, 1, 0]])
    assert mean == 0.625
    assert np.isclose(error, np.std([1, 0, 1, 0.5], ddof=1) / 2)
    same = rate([[True, False, True, False]] * 3)  # three identical seeds tell no more than one
    alone = rate([[True, False, True, False]])
    assert (same.low, same.high) == (alone.low, alone.high)
    assert rate([[True] * 10]).high == 1.0
    assert difference([[True, True]], [[True, False]])[0] == 0.5


def test_a_plan_covers_what_it_should() -> None:
    plan, full = Plan.of([1, 2, 3]), Plan.of([1, 2, 3], full=True)
    assert len({m.name for m, _ in plan.runs}) == 9
    assert {s.get("window") for _, s in plan.runs} == {None, 3, 5, 7}
    assert len({m.name for m, _ in full.runs}) == 15
    assert any(s.get("filtered") for _, s in full.runs)


def test_demo_command_writes_everything_and_overwrites_nothing(capsys, tmp_path: Path) -> None:
    output = tmp_path / "out"
    arguments = ["demo", "--quick", "--n", "12", "--output", str(output)]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    for words in ("dual .4", "implicit reward", "s.e.", "γ = 7", "Worked examples", "####"):
        assert words in printed
    assert sorted(f.name for f in output.iterdir()) == ["acceptance.png", "accuracy.png", "results.json"]
    results = json.loads((output / "results.json").read_text())
    one = results["runs"][0]
    assert len(one["correct"]) == 12 == len(results["problems"])
    before = (output / "results.json").read_bytes()
    assert main(arguments) == 1
    assert "already exists" in capsys.readouterr().err
    assert (output / "results.json").read_bytes() == before
    assert [f.name for f in tmp_path.iterdir()] == ["out"], "no scratch folders are left"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--n", "1"], "at least 2"),
        (["--models", "/nowhere"], "holds no model"),
        (["--retrain"], "--models"),
        (["--retrain", "--models", "{full}"], "not empty"),
        (["--output", "{file}"], "not an empty folder"),
    ],
)
def test_demo_errors_are_one_sentence(capsys, tmp_path: Path, arguments: list[str], words: str) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    os.chdir(tmp_path)
    arguments = [a.format(full=tmp_path / "full", file=tmp_path / "full" / "x") for a in arguments]
    assert main(["demo", *arguments]) == 1
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.err.count("\n") == 1


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

    monkeypatch.setattr(train, "STEPS", {"base": 1, "proxy-base": 1})
    assert main(["demo", "--retrain", "--models", str(tmp_path / "pair")]) == 1
    assert "knows no more than the proxy" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
