"""``kad gaps``: texts written now and stored ones, what it prints and writes, and errors in one sentence."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch

import kad
from kad.checkpoints import Checkpoints, load_checkpoints
from kad.cli.main import main
from kad.evaluation import Block, Job, Method, Plan, Store, read, run
from kad.evaluation.steps import steps, stored, written

QUESTION = "q : tom has 6 apples . he loses 2 . he finds 9 more . how many apples does tom have now ? a :"
PROXY = str(kad.demo.MODELS / "proxy")
CHECKED = 3e-5  # of stored α, which have five decimals, in float32


@pytest.fixture(scope="module")
def embedded() -> Checkpoints:
    return load_checkpoints({})


@pytest.fixture(scope="module")
def results(embedded: Checkpoints, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three methods on three questions, sampled; a placement, greedy decoding and a filter more."""
    folder = tmp_path_factory.mktemp("results") / "e"
    blocks = (
        Block((Method("dual", 0.4), Method("primal", 0.9), Method("p"))),
        Block((Method("dual", 0.3),), placements=("draws",), filters=((("min_p", 0.05),),)),
        Block((Method("confidence-bet", 0.1),), temperatures=(None,)),
    )
    with Store(folder) as store:
        run(Job(Plan(("embedded",), blocks, count=3), embedded, batch=3), store)
    return folder


def numbers(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    assert main(["gaps", *arguments, "--json"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def test_a_stored_texts_steps_are_those_that_were_decoded(embedded: Checkpoints, results: Path) -> None:
    """p and q* of one full pass give the α that the decoder wrote down, under every setting; a sample is of all steps."""
    groups, others = stored(results, embedded)
    rows = {(r["key"], r["item"], r["seed"]): r for r in read(results)[1]}
    assert len(groups) == 5
    assert not others
    for texts in groups:
        c = texts.configuration
        found = steps(embedded, texts)
        assert found.total == len(found.p) == sum(len(t.ids) for t in texts.texts)
        assert found.p.dtype == torch.float64
        d = c.of.target(c.placement).defer(found.p, found.q)
        assert d is not None
        if c.placement == "models":  # elsewhere α is of tempered masses
            alphas = [rows[c.key, item, seed]["alphas"][step] for item, seed, step in found.places]
            torch.testing.assert_close((found.p * d).sum(-1).tolist(), alphas, atol=CHECKED, rtol=0)
        few, again = (steps(embedded, texts, 7, seed=1) for _ in range(2))
        assert few.places == again.places
        assert len(few.p) == 7
        at = [found.places.index(place) for place in few.places]
        torch.testing.assert_close(few.p, found.p[at])


def test_a_reply_to_a_prompt_is_that_of_generate(embedded: Checkpoints) -> None:
    texts = written(embedded, [QUESTION], Method("dual", 0.4), 0.7, 40, seed=5)
    out = kad.generate(
        embedded.models["base"], embedded.models["proxy"], QUESTION, target=kad.dual(0.4), tokenizer=embedded.tokenizer,
        window=0, do_sample=True, temperature=0.7, max_new_tokens=40, seed=5,
    )  # fmt: skip
    assert texts.texts[0].ids == out.trace.emitted[0]
    found = steps(embedded, texts)
    alphas = [t.alpha for t in out.trace.tokens()]
    torch.testing.assert_close(kad.Dual(threshold=0.4).defer(found.p, found.p).mul(found.p).sum(-1).tolist(), alphas,
                               atol=CHECKED, rtol=0)  # fmt: skip


def test_prompts_a_figure_and_every_steps_numbers(capsys, tmp_path: Path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text(f"{QUESTION}\n\nq : ana has 9 pens . she loses 3 . how many pens does ana have now ? a :\n")
    arguments = [
        "--file", str(file), "--method", "dual:0.4", "--method", "primal:0.5", "--budget", "0.2", "--greedy",
        "--max-new-tokens", "30", "--n", "20", "--plots", str(tmp_path / "figures"), "--output", str(tmp_path / "steps.csv"),
    ]  # fmt: skip
    assert main(["gaps", *arguments]) == 0
    shown = capsys.readouterr().out
    assert "At a budget b" in shown
    assert max(map(len, shown.split("written:")[0].splitlines())) <= 80
    assert (tmp_path / "figures" / "gaps.png").stat().st_size > 10_000
    lines = list(csv.DictReader((tmp_path / "steps.csv").read_text().splitlines()))
    assert [x["rule"] for x in lines] == ["dual λ=0.4"] * 20 + ["primal b=0.5"] * 20
    assert {x["item"] for x in lines} == {"0", "1"}
    dual = [x for x in lines if x["rule"] == "dual λ=0.4"]
    assert all(float(x["own_high"]) < 1e-9 for x in lines)  # theory S3
    assert all((x["stated_high"] == "") == (float(x["over"]) > 0) for x in dual)
    assert main(["gaps", *arguments]) == 2  # nothing is overwritten
    assert "holds figures" in capsys.readouterr().err


def test_stored_results(capsys, results: Path) -> None:
    """Without a method each text's own rule, with one on all texts, and along one method alone."""
    found = numbers(capsys, "--results", str(results), "--n", "10")
    assert [x["rule"] for x in found["rows"]] == ["dual λ=0.4", "primal b=0.9", "dual λ=0.3", "confidence-bet m=0.1"]
    assert {x["task"] for x in found["rows"]} == {"embedded"}
    primal = found["rows"][1]
    assert (primal["budget"], primal["over_share"], primal["stated"]["steps"]) == (0.9, 0, 10)
    assert primal["mass"] + primal["unfilled"] == pytest.approx(0.9)
    assert primal["steps_in_all"] == sum(len(r["ids"]) for r in read(results)[1] if r["key"] in keys(results, "primal"))
    found = numbers(
        capsys, "--results", str(results), "--method", "primal:0.5", "--along", "p", "--n", "5", "--loss", "Squared"
    )
    assert [(x["along"], x["rule"]) for x in found["rows"]] == [("p, T 0.7", "primal b=0.5")]
    assert found["loss"] == "Squared()"


def keys(results: Path, method: str) -> set[str]:
    return {key for key, c in read(results)[0].items() if c.method == method}


def test_results_of_other_models_are_left_out(capsys, results: Path) -> None:
    assert main(["gaps", "--results", str(results), "--base", PROXY, "--proxy", PROXY]) == 1
    assert "5 configurations are of other models" in capsys.readouterr().err


def test_questions_that_have_changed(capsys, results: Path, tmp_path: Path) -> None:
    text = (results / "results.jsonl").read_text().replace('"item": "1"', '"item": "401"')
    (tmp_path / "results.jsonl").write_text(text)
    assert main(["gaps", "--results", str(tmp_path)]) == 1
    assert "question 401 of embedded is not the one" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a", "--results", "e"], "choose one of a prompt, --file and --results"),
        (["--results", "nowhere"], "holds no results.jsonl"),
        (["a", "--n", "-1"], "--n must be ≥ 0"),
        (["a", "--budget", "2"], "budget must lie in"),
        (["a", "--temperature", "0"], "temperature must be a positive number"),
        (["a", "--method", "implicit-reward"], "defers no tokens of p"),
        (["a", "--method", "q*"], "defers no tokens of p"),
        (["a", "--method", "nobody"], "no method 'nobody'"),
        (["a", "--along", "dual:0.3,0.4"], "--along takes one method"),
        (["a", "--along", "p*"], "--along takes one method"),
        (["a", "--output", "there.csv"], "exists; name a new file"),
        (["--file", "empty.txt"], "there is no prompt"),
        (["a", "--max-new-tokens", "0"], "--max-new-tokens must be ≥ 1"),
    ],
)
def test_errors_are_one_sentence(capsys, monkeypatch, tmp_path: Path, arguments: list[str], words: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there.csv").write_text("")
    Path("empty.txt").write_text("\n")
    assert main(["gaps", *arguments]) != 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err
    assert len(captured.err.strip().splitlines()) == 1
