"""``kad generate``: prompts, targets by name and by import path, output forms, and errors in one sentence."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

import kad
from kad.cli.main import main
from kad.defaults import TEMPERATURE, THRESHOLD
from kad.demo import MODELS

from ..forks import Forks

QUESTION = "q : tom has 6 apples . he loses 2 . he finds 9 more . how many apples does tom have now ? a :"
ANSWER = "first 6 - 2 = 4 . then 4 + 9 = 13 . #### 13"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["generate", *arguments]) == 0, capsys.readouterr().err
    return capsys.readouterr().out


@pytest.mark.parametrize("window", ["0", "3"])
def test_prompt_as_argument_file_and_standard_input(capsys, monkeypatch, tmp_path: Path, window: str) -> None:
    assert run(capsys, QUESTION, "--greedy", "--window", window).strip() == ANSWER
    file = tmp_path / "prompt.txt"
    file.write_text(QUESTION + "\n")
    assert run(capsys, "--file", str(file), "--greedy", "--window", window, "--pack").strip() == ANSWER
    monkeypatch.setattr("sys.stdin", io.StringIO(QUESTION))
    assert run(capsys, "--greedy", "--window", window).strip() == ANSWER


def test_chat_stream_stop_and_lengths(capsys) -> None:
    question = QUESTION.removeprefix("q : ").removesuffix(" a :")
    assert run(capsys, question, "--chat", "--greedy").strip() == ANSWER
    assert run(capsys, question, "--chat", "--greedy", "--proxy-system", "worksheet .").startswith("first")
    plain = json.loads(run(capsys, QUESTION, "--greedy", "--json"))["totals"]
    wrapped = json.loads(run(capsys, QUESTION, "--greedy", "--json", "--proxy-chat"))["totals"]
    assert plain["proxy_fed"] != wrapped["proxy_fed"]  # the proxy alone reads a longer prompt
    assert run(capsys, QUESTION, "--greedy", "--stream").strip() == ANSWER
    assert run(capsys, QUESTION, "--greedy", "--max-new-tokens", "3").strip() == "first 6 -"
    assert run(capsys, QUESTION, "--greedy", "--stop", "then").strip() == "first 6 - 2 = 4 . then"
    assert run(capsys, QUESTION, "--stop", "####", "--greedy", "--stop==").strip() == "first 6 - 2 ="
    assert run(capsys, QUESTION, "--greedy", "--stop", "####").strip() == ANSWER.removesuffix(" 13")


def test_json_carries_tokens_and_totals(capsys) -> None:
    out = json.loads(run(capsys, QUESTION, "--seed", "1", "--sample", "--json"))
    assert out["text"].startswith("first")
    assert {t["origin"] for t in out["tokens"]} <= {"base", "proxy"}
    assert out["totals"]["settings"]["temperature"] == TEMPERATURE
    assert out["totals"]["tokens"] == len(out["tokens"])
    again = json.loads(run(capsys, QUESTION, "--seed", "1", "--sample", "--json"))
    assert out == again


def test_one_rule_of_defaults_for_the_shell_and_for_python(capsys, tmp_path: Path) -> None:
    """The aligned checkpoint's own settings, then `kad.defaults`; whoever names a setting of sampling samples."""

    def settings(*options: str) -> dict:
        return json.loads(run(capsys, QUESTION, "--json", *options))["totals"]["settings"]

    pair = kad.demo.load()
    for given, options in (
        ((), {}),
        (("--sample",), {"do_sample": True}),
        (("--top-p", "0.9"), {"do_sample": True, "top_p": 0.9}),
    ):
        assert settings(*given) == pair.generate(QUESTION, kad.dual(THRESHOLD), **options).trace.settings
    assert not settings()["do_sample"]
    pair.proxy.generation_config.update(do_sample=True, temperature=0.6, max_new_tokens=5)
    pair.proxy.save_pretrained(tmp_path)
    pair.tokenizer.save_pretrained(tmp_path)
    own = settings("--base", str(MODELS / "base"), "--proxy", str(tmp_path), "--seed", "2")
    assert own == pair.generate(QUESTION, kad.dual(THRESHOLD), seed=2).trace.settings
    assert (own["do_sample"], own["temperature"], own["max_new_tokens"]) == (True, 0.6, 5)
    assert not settings("--base", str(MODELS / "base"), "--proxy", str(tmp_path), "--greedy")["do_sample"]


@pytest.mark.parametrize(
    ("options", "target"),
    [
        (["--solver", "Primal", "--solver.budget", "0.8"], "Mixture(loss=Logistic(), solver=Primal(budget=0.8)"),
        (["--loss", "Perceptron", "--loss.space", "probability", "--solver", "Dual", "--solver.multiplier", "0.5"],
         "Mixture(loss=Perceptron(space='probability'), solver=Dual(multiplier=0.5"),
        (["--loss", "Nudging"], "Mixture(loss=Nudging(), solver=Primal(budget=0.9)"),
        (["--loss", "kad.losses.Squared", "--placement", "mixture"], "Mixture(loss=Squared(), solver=Dual(multiplier=None"),
        (["--target", "Base"], "Base()"),
        (["--target", "Proxy"], "Proxy()"),
        (["--target", "ImplicitReward", "--target.strength", "0.5"], "ImplicitReward(strength=0.5"),
    ],
)  # fmt: skip
def test_targets_by_name(capsys, options: list[str], target: str) -> None:
    out = json.loads(run(capsys, QUESTION, "--greedy", "--json", "--max_new_tokens", "4", *options))
    assert out["totals"]["settings"]["target"].startswith(target)


def test_options_from_a_file(capsys, tmp_path: Path) -> None:
    config = tmp_path / "options.yaml"
    config.write_text(
        "greedy: true\nstop: ['6 - ', x]\nwindow: 2\nsolver:\n  class_path: Fractional\n  init_args:\n    budget: 0.5\n"
    )
    out = json.loads(run(capsys, QUESTION, "--json", "--config", str(config)))
    assert "Fractional(budget=0.5)" in out["totals"]["settings"]["target"]
    assert out["totals"]["settings"]["window"] == 2
    assert out["text"] == "first 6 - 2"


def test_checkpoints_from_folders(capsys) -> None:
    pair = ["--base", str(MODELS / "base"), "--proxy", str(MODELS / "proxy"), "--dtype", "float32", "--device", "cpu"]
    assert run(capsys, QUESTION, "--greedy", *pair).strip() == ANSWER
    reference = ["--target", "ImplicitReward", "--reference", str(MODELS / "proxy-base")]
    assert run(capsys, QUESTION, "--greedy", *pair, *reference).startswith("first")


def test_a_strangers_loss_of_ten_lines(tmp_path: Path) -> None:
    """From an empty file to a passing check_loss and a run on the shell, with nothing changed inside kad."""
    lines = [
        "from dataclasses import dataclass",
        "from kad import Loss",
        "@dataclass(frozen=True)",
        "class MyLoss(Loss):",
        "    power: float = 3.0",
        "    decreasing = strict = True",
        "    def __call__(self, p, q=None):",
        "        return (1 - p) ** self.power",
    ]
    assert len(lines) <= 10
    (tmp_path / "mymodule.py").write_text("\n".join(lines) + "\n")
    check = "import kad.testing, mymodule; kad.testing.check_loss(mymodule.MyLoss())"
    shell = "import sys; from kad.cli.main import main; sys.exit(main(sys.argv[1:]))"
    options = ["generate", QUESTION, "--loss", "mymodule.MyLoss", "--loss.power", "2", "--greedy"]
    command = [sys.executable, "-c", f"{check}\n{shell}", *options]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ANSWER


def corrupt(tmp_path: Path) -> str:
    folder = tmp_path / "corrupt"
    shutil.copytree(MODELS / "base", folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    return str(folder)


def not_a_number(tmp_path: Path) -> str:
    folder = tmp_path / "nan"
    shutil.copytree(MODELS / "base", folder)
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"][:] = float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return str(folder)


def unequal(tmp_path: Path) -> str:
    """A base whose words are others than the proxy's."""
    folder = tmp_path / "unequal"
    shutil.copytree(MODELS / "base", folder)
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    tokenizer["model"]["vocab"] = {t if t.startswith("<") else t[::-1] + "x": i for t, i in vocabulary.items()}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    return str(folder)


PROXY = str(MODELS / "proxy")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["x", "--window", "-1"], "--window must be"),
        (["x", "--window", "many"], "option --window"),
        (["x", "--nonsense", "1"], "no option --nonsense"),
        (["   "], "the prompt is empty"),
        (["--file", "/nowhere/prompt.txt"], "cannot read the prompt from /nowhere/prompt.txt"),
        (["x", "--file", "/nowhere/prompt.txt"], "not both"),
        (["x", "--config", "/nowhere.yaml"], "/nowhere.yaml"),
        (["x", "--temperature", "0"], "--temperature must be above 0"),
        (["x", "--solver", "Primal", "--solver.budget", "1.5"], "budget must lie in [0, 1]"),
        (["x", "--solver", "Dual", "--solver.threshold", "1.5"], "threshold must lie in [0, 1]"),
        (["x", "--solver", "Nope"], "there is no solver 'Nope'"),
        (["x", "--loss", "nowhere.MyLoss"], "No module named 'nowhere'"),
        (["x", "--target", "Base", "--loss", "Logistic"], "not both"),
        (["x", "--base", PROXY], "give both --base and --proxy"),
        (["x", "--base", "/nowhere/model", "--proxy", PROXY], "no folder /nowhere/model"),
        (["x", "--base", str(MODELS), "--proxy", PROXY], "holds no model for the base"),
        (["x", "--base", corrupt, "--proxy", PROXY], "cannot load the base from"),
        (["x", "--base", not_a_number, "--proxy", PROXY], "the base model returned NaN or infinite logits"),
        (["--file", "/"], "cannot read the prompt from /"),
        (["x", "--chat", "--proxy-chat"], "choose one of --chat"),
        (["x", "--base", unequal, "--proxy", PROXY], "the vocabularies share too little"),
        (["x", "--base", PROXY, "--proxy", PROXY, "--target", "ImplicitReward"], "--reference"),
        (["x", "--stream", "--json"], "one of --stream and --json"),
        (["x", "--system", "be nice"], "--chat"),
    ],
    ids=lambda v: v if isinstance(v, str) else None,
)
def test_errors_are_one_sentence_and_no_traceback(capsys, tmp_path, arguments, words: str) -> None:
    arguments = [a(tmp_path) if callable(a) else a for a in arguments]
    assert main(["generate", *arguments]) != 0
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.err.count("\n") == 1, "one sentence on one line"
    assert captured.err.startswith("kad: ")
    assert "Traceback" not in captured.err
    assert captured.out == ""


def test_debug_shows_the_traceback() -> None:
    with pytest.raises(ValueError, match="the prompt is empty"):
        main(["generate", " ", "--debug"])


@pytest.mark.parametrize("command", ["demo", "generate"])
def test_help(capsys, command: str) -> None:
    assert main([command, "--help"]) == 0
    assert "--help" in capsys.readouterr().out


def test_command_line_as_a_process(tmp_path: Path, forks: Forks) -> None:
    """Exit status, streams and --help of the real program; started anew, and with everything imported."""
    done = subprocess.run(
        [sys.executable, "-m", "kad", "generate", ""], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("kad: the prompt is empty")
    again = forks.run(["generate", ""], cwd=tmp_path)
    assert (again.returncode, again.stderr.decode()) == (2, done.stderr)
    done = forks.run(["--help"], cwd=tmp_path)
    assert done.returncode == 0
    assert b"--help" in done.stdout
    assert forks.run(["--version"], cwd=tmp_path).stdout.strip().endswith(b"0.1.0")
