"""``kad eval``, ``kad sweep`` and ``kad report`` on the embedded pair and on real questions."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import kad
from kad.cli.main import main
from kad.demo import MODELS
from kad.evaluation import Configuration, Method, comparisons, read
from kad.statistics import difference, paired_p, rate

from .test_tasks import DATA, real

FEW = ["--n", "8", "--batch", "4", "--no-report"]


def shell(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 0, capsys.readouterr().err
    return " ".join(capsys.readouterr().out.split())


def numbers(capsys: pytest.CaptureFixture[str], folder: Path, *more: str) -> dict:
    assert main(["report", str(folder), "--json", *more]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def test_eval_goes_on_and_other_configurations_join(capsys, tmp_path: Path) -> None:
    folder = tmp_path / "e"
    shown = shell(
        capsys, "eval", *FEW, "--method", "dual:0.3,0.4", "--method", "p", "--seeds", "2", "--output", str(folder)
    )
    assert "48 questions answered, 0 were there" in shown
    assert "dual λ=0.4" in shown
    assert "8×2" in shown
    again = shell(
        capsys, "eval", *FEW, "--method", "dual:0.4", "--method", "q*", "--seeds", "2", "--output", str(folder)
    )
    assert "16 questions answered, 16 were there" in again
    assert "dual λ=0.3 minus the others" in again
    found = numbers(capsys, folder, "--against", "dual λ=0.4")
    assert [s["method"] for s in found["summaries"]] == ["dual λ=0.3", "dual λ=0.4", "p", "q*"]
    assert len(found["comparisons"]) == 3


def by_question(rows: list[dict]) -> list[list[bool]]:
    """The verdicts on every question, in the order of the seeds."""
    items = dict.fromkeys(r["item"] for r in rows)
    return [[r["correct"] for r in sorted(rows, key=lambda r: r["seed"]) if r["item"] == item] for item in items]


def test_every_number_follows_from_the_lines(capsys, tmp_path: Path) -> None:
    """Recomputed here from the file alone, without the library's summaries."""
    folder = tmp_path / "e"
    shell(capsys, "eval", *FEW, "--method", "dual", "--method", "primal", "--window", "0", "--window", "3", "--seeds", "2",
          "--output", str(folder))  # fmt: skip
    lines = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    found = numbers(capsys, folder)
    for s in found["summaries"]:
        rows = [x for x in lines if x["key"] == s["key"] and "item" in x]
        assert s["questions"] * s["seeds"] == len(rows) == 16
        want = rate(by_question(rows))
        assert (s["accuracy"], s["low"], s["high"]) == (want.share, want.low, want.high)
        assert s["tokens"] == pytest.approx(sum(r["tokens"] for r in rows) / 16)
        alphas = [a for r in rows for a in r["alphas"]]
        assert s["deferred"] == pytest.approx(sum(alphas) / len(alphas))
        drafted = sum(r["drafted"] for r in rows)
        assert s["acceptance"] == (sum(r["accepted"] for r in rows) / drafted if drafted else None)
        assert s["tokens_per_pass"] == sum(r["tokens"] for r in rows) / sum(r["rounds"] for r in rows)
        if s["method"].startswith("primal"):
            assert s["unfilled_median"] == sorted(0.9 - a for a in alphas)[len(alphas) // 2]
    for c in found["comparisons"]:
        ours, theirs = (
            by_question([x for x in lines if x["key"] == key and "item" in x]) for key in (c["key"], c["against"])
        )
        assert (c["difference"], c["error"]) == difference(ours, theirs)
        assert c["p"] == paired_p(ours, theirs)
    assert len(found["comparisons"]) == 2  # primal at both windows


def test_only_like_is_compared_with_like() -> None:
    models = {"base": "1", "proxy": "2", "aligned": "3"}

    def one(method: str, value: float | None = None, **more) -> Configuration:
        roles = Method(method, value).kind.roles
        return Configuration("t", method, value, models=tuple((r, m) for r, m in models.items() if r in roles), **more)

    configurations = [
        one("dual", 0.4), one("dual", 0.3), one("dual", 0.4, placement="mixture"), one("p"), one("p*"), one("nudging", 0.4, window=3),
        one("nudging", 0.4), one("nudging", 0.4, placement="mixture"), one("q*", temperature=None),
        Configuration("t", "nudging", 0.5, models=(("base", "9"), ("proxy", "2"))),
    ]  # fmt: skip
    row = {"seed": 0, "answer": "1", "alphas": [], "tokens": 1}
    rows = [row | {"key": c.key, "item": str(i), "correct": i % 2 == 0} for c in configurations for i in range(4)]
    found = comparisons({c.key: c for c in configurations}, rows)
    named = {c.key: (c.of.label, c.placement) for c in configurations}
    assert [(*named[c.key], *named[c.against]) for c in found] == [
        ("dual λ=0.4", "models", "dual λ=0.3", "models"), ("dual λ=0.4", "models", "p", "models"),
        ("dual λ=0.4", "mixture", "p", "models"), ("dual λ=0.4", "models", "p*", "models"),
        ("dual λ=0.4", "mixture", "p*", "models"), ("dual λ=0.4", "models", "nudging λ=0.4", "models"),
        ("dual λ=0.4", "mixture", "nudging λ=0.4", "mixture"),
    ]  # fmt: skip
    assert all(c.difference == 0 and c.p == c.adjusted == 1 for c in found)


def test_greedy_is_one_run_and_windows_agree(capsys, tmp_path: Path) -> None:
    folder = tmp_path / "e"
    shell(
        capsys,
        "eval",
        *FEW,
        "--greedy",
        "--method",
        "dual",
        "--window",
        "0",
        "--window",
        "4",
        "--seeds",
        "3",
        "--output",
        str(folder),
    )
    _, rows, _ = read(folder)
    assert len(rows) == 16
    assert [r["text"] for r in rows[:8]] == [r["text"] for r in rows[8:]]


def test_a_sweep_from_a_file(capsys, tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        "tasks: embedded\nn: 6\nseeds: [3, 5]\nbatch: 6\nruns:\n"
        "  - methods: [p, q*, {dual: [0.3, 0.4]}]\n    placements: [models, mixture]\n    filters: [{}, {min_p: 0.3}]\n"
        "  - methods: dual\n    temperatures: [greedy, 1.0]\n    windows: [0, 2]\n"
    )
    shell(capsys, "sweep", str(plan), "--output", str(tmp_path / "s"), "--no-report")
    configurations, rows, manifest = read(tmp_path / "s")
    assert len(configurations) == (2 + 2 * 2) * 2 + 2 * 2
    assert {r["seed"] for r in rows} == {0, 3, 5}
    assert manifest["sessions"][0]["seeds"] == [3, 5]
    shell(capsys, "sweep", str(plan), "--output", str(tmp_path / "s"), "--no-report", "--n", "4")
    assert len(read(tmp_path / "s")[1]) == len(rows)


@real
@pytest.mark.parametrize("task", ["gsm8k", "math500", "csqa"])
def test_a_rehearsal_on_real_questions(capsys, tmp_path: Path, task: str) -> None:
    """The embedded pair knows few of the words; every step runs all the same."""
    shown = shell(capsys, "eval", "--task", task, "--data", str(DATA), "--n", "3", "--method", "dual", "--new-tokens", "8", "--shots", "1",
                  "--no-report", "--output", str(tmp_path / "e"))  # fmt: skip
    assert "3 questions answered" in shown


def test_dry_runs_load_nothing(capsys, tmp_path: Path) -> None:
    shown = shell(capsys, "eval", "--dry-run", "--preset", "olmo2", "--data", str(tmp_path), "--n", "10")
    assert "13.7 billion parameters, 25.5 GiB" in shown
    assert "missing: the base allenai/OLMo-2-1124-13B is not here and cannot be fetched" in shown
    assert "holds no data for gsm8k: it looks for gsm8k_test.jsonl" in shown
    assert "dual λ=0.3" in shown
    shown = shell(
        capsys, "eval", "--dry-run", "--n", "10", "--method", "dual", "--window", "0", "--window", "3", "--batch", "4"
    )
    assert "20 replies, at most 432 base passes" in shown
    assert "54 to 216" in shown
    proxy = str(MODELS / "proxy")
    shown = shell(capsys, "eval", "--dry-run", "--task", "embedded", "--n", "10", "--base", str(MODELS / "base"), "--proxy", proxy,
                  "--method", "p*", "--method", "dual")  # fmt: skip
    assert "missing: p* needs --aligned" in shown
    assert not list(tmp_path.iterdir())


def test_checkpoints_of_ones_own(capsys, tmp_path: Path) -> None:
    places = ["--base", str(MODELS / "base"), "--proxy", str(MODELS / "proxy")]
    shown = shell(capsys, "eval", *FEW, "--n", "2", "--task", "embedded", *places, "--output", str(tmp_path / "e"))
    assert "implicit-reward" not in shown
    assert "confidence-bet" in shown


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["eval", "--method", "magic"], "there is no method 'magic'; choose from p, q*"),
        (["eval", "--method", "dual:x"], "the parameter of dual is a number"),
        (["eval", "--method", "dual:1.5"], "threshold must lie in [0, 1]"),
        (["eval", "--method", "p:1"], "the method p has no parameter"),
        (["eval", "--method", "kad.Loss"], "cannot load the target kad.Loss"),
        (["eval", "--task", "gsm9k"], "there is no task 'gsm9k'"),
        (["eval", "--n", "0"], "the number of questions must be ≥ 1"),
        (["eval", "--seeds", "0"], "--seeds must be ≥ 1"),
        (["eval", "--batch", "0"], "the batch must be ≥ 1"),
        (["eval", "--window", "-1"], "the window must be ≥ 0"),
        (["eval", "--window", "x"], "--window takes a number"),
        (["eval", "--placement", "top"], "placement must be one of models, draws, mixture"),
        (["eval", "--temperature", "0"], "a temperature must be positive"),
        (["eval", "--preset", "gpt5"], "there is no preset 'gpt5'; choose from olmo2, qwen3"),
        (["eval", "--base", str(MODELS / "base")], "give the tasks with --task"),
        (["eval", "--task", "embedded", "--base", str(MODELS / "base")], "give both --base and --proxy"),
        (["eval", "--task", "embedded", "--aligned", "x"], "--aligned needs --base and --proxy"),
        (["eval", "--task", "gsm8k", "--data", "nowhere"], "there is no folder nowhere"),
        (["eval", "--output", __file__], "is a file; choose a folder"),
        (["eval", "--shots", "-1"], "the number of shots must be ≥ 0"),
        (["sweep", "missing.yaml"], "cannot read the plan missing.yaml"),
        (["report", "nowhere"], "nowhere holds no results.jsonl"),
    ],
)
def test_errors_are_one_sentence(capsys, monkeypatch, tmp_path: Path, arguments: list[str], words: str) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) in (1, 2)
    out, err = capsys.readouterr()
    assert words in err
    assert err.count("\n") == 1
    assert not out


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tasks: embedded\n", "must hold tasks and runs"),
        ("tasks: embedded\nruns: [{windows: 3}]\n", "needs methods"),
        ("tasks: embedded\nruns: [{methods: p, gamma: 3}]\n", "unknown keys: gamma"),
        ("tasks: embedded\nruns: [{methods: p, filters: [{max_p: 1}]}]\n", "a filter in"),
        ("tasks: embedded\nmodel: x\nruns: [{methods: p}]\n", "unknown keys: model"),
        ("runs: [{methods: p}]\n", "at least one task"),
        ("a: [\n", "is no YAML"),
    ],
)
def test_bad_plans(capsys, tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "plan.yaml").write_text(text)
    assert main(["sweep", str(tmp_path / "plan.yaml"), "--output", str(tmp_path / "s")]) == 2
    assert words in capsys.readouterr().err


def test_killed_on_the_shell_and_run_again(tmp_path: Path) -> None:
    """A real process, kill -9 in the middle, and once more."""
    command = [sys.executable, "-m", "kad"]
    arguments = [
        *command,
        "eval",
        "--n",
        "40",
        "--batch",
        "10",
        "--method",
        "dual",
        "--seeds",
        "3",
        "--no-report",
        "--output",
        "e",
    ]
    process = subprocess.Popen(arguments, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    results = tmp_path / "e" / "results.jsonl"
    while process.poll() is None and not (results.exists() and results.stat().st_size > 5000):
        time.sleep(0.01)  # and leave the processor to it
    process.kill()
    process.wait()
    done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "were there" in done.stdout
    assert len(read(tmp_path / "e")[1]) == 120


def test_a_target_of_ones_own(capsys, tmp_path: Path) -> None:
    shown = shell(capsys, "eval", *FEW, "--method", "kad.Proxy", "--method", "dual", "--output", str(tmp_path / "e"))
    assert "kad.Proxy" in shown
    assert kad.Proxy.__doc__


def test_a_proxy_with_another_tokenizer(capsys, tmp_path: Path) -> None:
    """The same proxy with its words numbered otherwise: every answer is the same, and q* alone reads its own ids."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    other, model = tmp_path / "proxy", AutoModelForCausalLM.from_pretrained(MODELS / "proxy")
    AutoTokenizer.from_pretrained(MODELS / "proxy").save_pretrained(other)
    words = json.loads((other / "tokenizer.json").read_text())
    vocabulary = words["model"]["vocab"]
    size = len(vocabulary)
    moved = {i: i if i < 4 else 4 + (i - 4 + 17) % (size - 4) for i in range(size)}  # special tokens stay
    words["model"]["vocab"] = {word: moved[i] for word, i in vocabulary.items()}
    (other / "tokenizer.json").write_text(json.dumps(words))
    with torch.no_grad():
        weight = model.get_input_embeddings().weight
        weight[torch.tensor([moved[i] for i in range(size)])] = weight.clone()
    model.save_pretrained(other)
    found = []
    for proxy in (MODELS / "proxy", other):
        folder = tmp_path / f"e{len(found)}"
        shell(capsys, "eval", *FEW, "--task", "embedded", "--base", str(MODELS / "base"), "--proxy", str(proxy), "--greedy",
              "--method", "dual", "--method", "confidence-bet", "--method", "q*", "--window", "0", "--window", "3",
              "--output", str(folder))  # fmt: skip
        found.append([row["text"] for row in read(folder)[1]])
    assert len(found[0]) == 8 * 5
    assert found[0] == found[1]
    assert main(["lm-eval", "--model_args", f"base={MODELS / 'base'},proxy={other}", "--tasks", "arc_easy"]) != 0
