"""What strangers write, in one process: import paths, names on a terminal, small files that stand for large things."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import kad
from kad.cli.arrays import read_array
from kad.cli.main import main
from kad.decoding import template
from kad.decoding.template import TemplateFailed, through_template
from kad.demo import MODELS
from kad.evaluation.methods import methods_of
from kad.evaluation.task import messages, render
from kad.evaluation.tasks import task_of

from ..modules import written

ESCAPE = "\x1b[31m"
MODULE = """
import functools
from kad import Base, Target, dual
from kad.evaluation import Task
from kad.evaluation.tasks import Embedded
CALLED = []
def plain(): CALLED.append(1)
def untyped(): CALLED.append(1); return Base()
def unknown() -> "Nowhere": CALLED.append(1); return Base()
def other() -> int: CALLED.append(1); return 1
def maybe() -> "Target | None": CALLED.append(1)
async def later() -> Target: CALLED.append(1)
bound = functools.partial(untyped)
class Callable_:
    def __call__(self) -> Target: CALLED.append(1)
thing = Callable_()
ready = dual(0.3)
def typed() -> Target: return ready
def text() -> "Base": return Base()
def liar() -> Target: return 3
def leaves() -> Target: raise SystemExit(0)
def needs(x) -> Target: return ready
def task() -> Task: return Embedded()
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module in the current folder, of another name in every test."""
    return written(tmp_path, monkeypatch, "strangers", MODULE)


def test_nothing_is_called_but_what_is_declared_to_make_a_target(module: str) -> None:
    before = list(sys.path), list(sys.meta_path)
    for name in ("plain", "untyped", "unknown", "other", "maybe", "later", "bound", "thing", "Task", "CALLED", "task"):
        with pytest.raises(ValueError, match=rf"cannot load the target {module}.{name}: it is no Target"):
            methods_of(f"{module}.{name}")
    for name in ("os.abort", "sys.exit", "os._exit", "kad.demo.load", "builtins.exit", "builtins.input"):
        with pytest.raises(ValueError, match=f"cannot load the target {name}: it is no Target"):
            methods_of(name)
        with pytest.raises(ValueError, match=f"cannot load the task {name}: it is no Task"):
            task_of(name)
    assert sys.modules[module].CALLED == []
    for name, wanted in (
        ("ready", kad.dual(0.3)),
        ("typed", kad.dual(0.3)),
        ("text", kad.Base()),
        ("Base", kad.Base()),
    ):
        assert methods_of(f"{module}.{name}")[0].target("models") == wanted
    for name, words in (
        ("liar", "it made a int"),
        ("leaves", "SystemExit: 0"),
        ("needs", "missing 1 required"),
        ("Target", "abstract"),
    ):
        with pytest.raises(ValueError, match=words):
            methods_of(f"{module}.{name}")
    assert task_of(f"{module}.task").name == task_of(f"{module}.Embedded").name == "embedded"
    assert (sys.path, sys.meta_path) == before


@pytest.mark.parametrize(
    "body",
    ["raise SystemExit(0)", "import sys; sys.exit()", "raise BaseException('no')", "def", "import nowhere_at_all"],
)
def test_a_module_that_fails_or_ends_the_program_is_an_error(capsys, tmp_path, monkeypatch, body: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "leaving.py").write_text(body)
    (tmp_path / "plan.yaml").write_text("tasks: embedded\nruns: [{methods: leaving.Target}]\n")
    (tmp_path / "options.yaml").write_text("loss: leaving.Loss\n")
    for arguments in (
        ["eval", "--method", "leaving.Target"], ["eval", "--task", "leaving.Task"], ["sweep", "plan.yaml"],
        ["generate", "x", "--target", "leaving.Target"], ["solve", "--solver=leaving.Solver", "--family", "zipf"],
        ["generate", "x", "--config", "options.yaml"], ["lm-eval", "--tasks", "arc_easy", "--model_args", "method=leaving.T"],
    ):  # fmt: skip
        if body.startswith("raise Base") and arguments[0] in ("generate", "solve"):
            continue  # the parser's own
        if arguments[0] != "lm-eval":
            assert main(arguments) in (1, 2), arguments
            out, err = capsys.readouterr()
            assert (out, err.count("\n"), err[:5]) == ("", 1, "kad: "), arguments
    assert str(tmp_path) not in sys.path


def test_the_module_may_import_what_lies_beside_it_and_shadows_nothing(capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "beside_it.py").write_text("POWER = 2.0\n")
    loss = "from kad import Loss\nfrom beside_it import POWER\nclass Mine(Loss):\n    decreasing = strict = True\n"
    (tmp_path / "my_losses").mkdir()
    (tmp_path / "my_losses" / "one.py").write_text(
        loss + "    def __call__(self, p, q=None):\n        return (1 - p) ** POWER\n"
    )
    (tmp_path / "json.py").write_text("raise RuntimeError('shadowed')\n")
    assert main(["generate", "q : a", "--greedy", "--json", "--loss", "my_losses.one.Mine"]) == 0
    assert "Mine" in json.loads(capsys.readouterr().out)["totals"]["settings"]["target"]
    assert main(["generate", "q : a", "--loss", "json.Mine"]) == 2
    assert "shadowed" not in capsys.readouterr().err
    assert main(["generate", "see beside_it.POWER", "--loss", "Logistic", "--greedy"]) == 0
    assert str(tmp_path) not in sys.path


def test_as_a_module_too(tmp_path: Path) -> None:
    """``python -m kad`` puts the current folder first; it is taken out before anything is imported."""
    for name in ("docstring_parser", "rich", "jsonargparse", "torch", "yaml"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('run')\n")
    done = subprocess.run(
        [sys.executable, "-m", "kad", "--version"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["out[dual]", "out[/b]", "out[bold red]x", ":smile:", "a b\x1b]0;title\x07"])
def test_names_are_printed_as_they_are(capsys, tmp_path, monkeypatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    shown = name.replace("\x1b", "\\x1b").replace("\x07", "\\x07")
    (tmp_path / "task.yaml").write_text(json.dumps({"name": name, "file": "rows.jsonl", "new_tokens": 4}))
    (tmp_path / "rows.jsonl").write_text('{"question": "q : a", "answer": "1"}\n')
    arguments = ["eval", "--task", "task.yaml", "--method", "p", "--method", "q*", "--output", name]
    assert main([*arguments, "--task", "embedded", "--n", "1"]) == 0
    out = capsys.readouterr().out
    assert f"written: {shown}/report.html" in out
    assert (tmp_path / name / "report.html").is_file()
    assert "\x1b" not in out
    assert main([*arguments, "--dry-run"]) == 0
    assert shown in "".join(capsys.readouterr().out.split("\n"))
    assert main(["report", name, "--json"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert json.loads(out)["summaries"][0]["task"] == name


def speaking(tmp_path: Path) -> list[str]:
    """The embedded pair with control characters in its words."""
    places = []
    for kind in ("base", "proxy"):
        folder = tmp_path / kind
        shutil.copytree(MODELS / kind, folder)
        words = json.loads((folder / "tokenizer.json").read_text())
        vocabulary = words["model"]["vocab"]
        for word, new in (("first", f"{ESCAPE}first\t\r"), ("=", "\x9b=\x08"), ("then", "\u202ethen")):
            vocabulary[new] = vocabulary.pop(word)
        (folder / "tokenizer.json").write_text(json.dumps(words))
        places += [f"--{kind}", str(folder)]
    return places


def test_generated_text_is_shown_on_a_terminal_and_faithful_in_a_pipe(capsys, tmp_path, monkeypatch) -> None:
    question = "q : tom has 6 apples . he loses 2 . he finds 9 more . how many apples does tom have now ? a :"
    command = ["generate", question, "--greedy", *speaking(tmp_path)]
    for more in ([], ["--stream"]):
        assert main([*command, *more]) == 0
        assert (
            capsys.readouterr()
            .out.rstrip("\n")
            .strip(" ")
            .startswith(f"{ESCAPE}first\t\r 6 - 2 \x9b=\x08 4 . \u202ethen")
        )
        with monkeypatch.context() as patch:
            patch.setenv("FORCE_COLOR", "1")
            patch.setenv("NO_COLOR", "1")
            assert main([*command, *more]) == 0
        out = capsys.readouterr().out
        assert "\\x1b[31mfirst" in out
        assert "\\r" in out
        assert "\\x9b=\\x08" in out
        assert "\\u202ethen" in out
        assert not {"\x9b", "\x08", "\u202e", "\r"} & set(out)
        assert ESCAPE not in out
    assert main([*command, "--json"]) == 0
    out = capsys.readouterr().out
    assert not {"\x1b", "\x9b", "\x08", "\u202e"} & set(out)
    assert json.loads(out)["text"].strip().startswith(f"{ESCAPE}first")


def test_errors_are_shown_too(capsys, tmp_path) -> None:
    for arguments in (
        ["generate", "--file", f"no{ESCAPE}where"], ["eval", "--task", f"a{ESCAPE}"], ["eval", "--method", "\x9bx"],
        ["report", f"{tmp_path}/{ESCAPE}"], [f"gen{ESCAPE}"], ["generate", "x", f"--{ESCAPE}", "1"], ["report", "\udcff"],
    ):  # fmt: skip
        assert main(arguments) in (1, 2)
        out, err = capsys.readouterr()
        assert not {"\x1b", "\x9b", "\udcff"} & set(out + err), arguments
        assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("stop:\n- {a: 1, b: 2, a: 3}\n", "line 2 gives the key 'a' again"), (f"seed: {'9' * 5000}", ""), ("seed: 2001-99-99", ""),
        ("a: \x1b", ""), ("? [a]\n: 1", ""),
    ],
)  # fmt: skip
def test_odd_yaml_is_one_sentence(capsys, tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(text)
    for arguments in (["sweep", str(file)], ["eval", "--task", str(file)], ["generate", "x", "--config", str(file)]):
        assert main(arguments) in (1, 2)
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert len(err) < 1000
        assert words in err


def test_an_alias_is_no_bomb(capsys, tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        "common: &c {min_p: 0.3}\ntasks: embedded\nruns: [{methods: p, filters: [*c, {<<: *c, top_p: 0.9}]}]\n"
    )
    assert main(["sweep", str(plan)]) == 2
    assert "unknown keys: common" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "text"),
    [("r.json", "[" * 100_000), ("r.jsonl", '{"a":' * 50_000), ("r.json", "9" * 5000), ("r.csv", '"' + "x" * 200_000)],
)
def test_rows_are_bounded(capsys, tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    (tmp_path / "task.yaml").write_text(f"name: t\nfile: {name}\n")
    assert main(["eval", "--task", str(tmp_path / "task.yaml")]) in (1, 2)
    err = capsys.readouterr().err
    assert name in err
    assert err.count("\n") == 1
    assert len(err) < 500


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
def test_tensors_are_bounded(tmp_path: Path) -> None:
    half = torch.tensor([0.5])
    for number, (thing, words) in enumerate((
        (half.expand(10**9), "stands for 1,000,000,000 numbers"), (half.expand(10**6), "repeats fewer stored ones"),
        (torch.sparse_coo_tensor(torch.tensor([[0]]), half, (10**12,)), "no plain tensor"), ({"a": half}, "no plain tensor"),
        (torch.empty(10**12, device="meta"), "stands for 1,000,000,000,000"), (half.to(torch.complex64), "complex numbers"),
    )):  # fmt: skip
        file = tmp_path / f"{number}.pt"
        torch.save(thing, file)
        with pytest.raises(ValueError, match=words):
            read_array(file)
    code = tmp_path / "code.pt"
    torch.save(kad.dual(0.4), code)
    with pytest.raises(ValueError, match="no tensor saved"):
        read_array(code)
    torch.save(torch.tensor([[0.25, 0.75]]), tmp_path / "good.pt")
    assert read_array(tmp_path / "good.pt").tolist() == [[0.25, 0.75]]
    for shape, dtype, words in (
        ("(1000000000000,)", "<f8", "less than it claims"),
        ("(1000000000000,)", "|V0", "no numbers"),
    ):
        header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
        (tmp_path / "x.npy").write_bytes(
            b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + b"\0" * 64
        )
        with pytest.raises(ValueError, match=words):
            read_array(tmp_path / "x.npy")
    np.save(tmp_path / "o.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(ValueError, match="no array of numbers"):
        read_array(tmp_path / "o.npy")


@pytest.mark.parametrize(
    ("text", "words", "kind"),
    [
        ("{{ 10 ** (10 ** 9) }}", "took more than 0.5 seconds", ValueError),
        ("{{ 'x' * 20000000 }}", "wrote 20,000,000 characters", ValueError),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "fails: maximum recursion", TemplateFailed),
    ],
)
def test_chat_templates_in_every_place(monkeypatch, text: str, words: str, kind: type[ValueError]) -> None:
    """Questions of a task and chat messages of `kad.generate` go the same way."""
    monkeypatch.setattr(template, "SECONDS", 0.5 if "seconds" in words else 60)
    pair = kad.demo.load()
    pair.tokenizer.chat_template = text
    with pytest.raises(kind, match=f"the chat template of .*base {words}"):
        render(pair.tokenizer, messages(task_of("gsm8k"), kad.evaluation.Item("0", "x", "1", "")))
    turns = [{"role": "user", "content": "x"}]
    with pytest.raises(kind, match=words):
        kad.generate(pair.base, pair.proxy, turns, target=kad.dual(0.4), tokenizer=pair.tokenizer)


def test_chat_templates_are_bounded_in_threads(monkeypatch) -> None:
    from concurrent.futures import ThreadPoolExecutor

    monkeypatch.setattr(template, "SECONDS", 0.5)
    tokenizer = kad.demo.load().tokenizer
    tokenizer.chat_template = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
    with ThreadPoolExecutor(1) as pool, pytest.raises(ValueError, match=r"took more than 0.5 seconds"):
        pool.submit(through_template, tokenizer, [{"role": "user", "content": "x"}]).result()
