"""The shell before and around the commands: what starts at once, what is refused and how, what a terminal shows meanwhile."""

from __future__ import annotations

import ast
import inspect
import os
import pty
import re
import resource
import signal
import subprocess
import sys
import threading
from argparse import SUPPRESS
from pathlib import Path
from typing import Any

import pytest
from rich.progress import Task

import kad
from kad import cascades
from kad.cli import commands, names
from kad.cli.completion import plain_parser
from kad.cli.configurations import as_json, made_of
from kad.cli.main import main
from kad.cli.names import COMMANDS, HARNESS
from kad.cli.prompts import read_prompt
from kad.cli.top import overview
from kad.errors import UsageError
from kad.evaluation.presets import PRESETS
from kad.evaluation.tasks import BUILTIN
from kad.kinds import KINDS
from kad.terminal import Remaining, waiting

QUESTION = "q : tom has 6 apples . he loses 2 . he finds 9 more . how many apples does tom have now ? a :"
SHELL = [sys.executable, "-m", "kad"]


def seconds_of(arguments: list[str]) -> tuple[float, subprocess.CompletedProcess[str]]:
    """The CPU's, the best of three: others may be at work here."""
    best = float("inf")
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([*SHELL, *arguments], capture_output=True, text=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return best, done


def test_help_version_and_typos_answer_at_once() -> None:
    """On an idle machine they take a tenth of these times; torch alone would take more than all of them."""
    for arguments, most, status, words in (
        (["--help"], 0.5, 0, "lm-eval"), (["--version"], 0.2, 0, "kad 0."), (["generat"], 0.5, 2, "did you mean generate?"),
        (["generate", "--prxy", "M", "hi"], 1.2, 2, "no option --prxy; did you mean --proxy?"),
    ):  # fmt: skip
        seconds, done = seconds_of(arguments)
        assert done.returncode == status
        assert words in done.stdout + done.stderr
        assert seconds < most, arguments


def test_parsing_loads_no_torch() -> None:
    code = (
        "import sys, kad, kad.cli.main as m\n"
        "assert [m.main(a) for a in (['generate', '--help'], ['serve', '--widow', '3'], ['eval', '--engine', 'vlm'])] == [0, 2, 2]\n"
        "assert m.main(['generate', 'hi', '--loss', 'Logistc']) == 2\n"
        "print([name for name in ('torch', 'transformers', 'numpy') if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.endswith("[]\n")


def test_names_of_kad_are_those_that_type_checkers_see() -> None:
    tree = ast.parse(Path(kad.__file__).read_text())
    seen = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level and node.module != "version":
            seen |= {alias.asname or alias.name: node.module for alias in node.names}
    seen = {name: home for name, home in seen.items() if not name.startswith("_")}
    assert seen == {**kad._HOME_OF, **dict.fromkeys(kad._MODULES)}
    assert set(seen) <= set(dir(kad))
    for name, home in kad._HOME_OF.items():
        assert getattr(kad, name) is getattr(__import__(f"kad.{home}", fromlist=[name]), name)
    with pytest.raises(AttributeError, match="module 'kad' has no attribute 'nothing'"):
        _ = kad.nothing


def concrete(kind: type) -> set[str]:
    """The classes of kad's own that are made after this one."""
    found = set().union(*map(concrete, kind.__subclasses__()))
    return found | ({kind.__name__} if not inspect.isabstract(kind) and kind.__module__.startswith("kad.") else set())


def test_what_is_named_without_torch_is_what_there_is() -> None:
    assert set(names.LOSS_NAMES) == concrete(kad.Loss)
    assert "Diff" in names.LOSS_NAMES
    assert cascades.Diff
    assert set(names.SOLVER_NAMES) == concrete(kad.Solver)
    assert set(names.TARGET_NAMES) == concrete(kad.Target)
    assert tuple(KINDS) == names.METHOD_NAMES
    assert tuple(BUILTIN) == names.TASKS_SHIPPED
    assert tuple(PRESETS) == names.PRESETS_SHIPPED
    for name, about in COMMANDS.items():
        assert (commands.class_of(name).__doc__ or "").strip().split("\n")[0] == about
    shown = overview()
    assert all(f"\n  {name} " in shown for name in (*COMMANDS, *HARNESS, "--debug"))
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_every_commands_help_writes_dashes(capsys, name: str) -> None:
    assert main([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert "--debug" in out
    assert "--config" in out
    options = [word for line in out.splitlines() for word in line.split() if word.strip("[]").startswith("--")]
    assert not [word for word in options if "_" in word.partition("=")[0]]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("generat hi", "there is no command 'generat'; did you mean generate?"), ("--vrsion", "did you mean --version?"),
        ("--greedy generate", "options stand after the command"), ("generate hi --max-new 3", "did you mean --max-new-tokens?"),
        ("generate two words", "put a prompt of several words in quotes"), ("generate hi --window", "--window needs a value"),
        ("generate hi --window many", "--window must be a whole number or auto, got 'many'."),
        ("generate hi --top-p x", "must be a number, got 'x'."),
        ("generate hi --placement modls", "must be models, draws or mixture, got 'modls'; did you mean models?"),
        ("solve --family zpf", "--family must be zipf, gaussian, peaked or uniform, got 'zpf'; did you mean zipf?"),
        ("generate hi --loss Logistc", "there is no loss 'Logistc'; did you mean Logistic? Choose from Logistic, Squared,"),
        ("generate hi --solver Dula", "did you mean Dual? Choose from Dual, Primal, Fractional"), ("generate hi --greedy=3", "takes no value"),
        ("generate hi --target kad.Target", "no target. Choose from Mixture, Base"), ("sweep", "needs its argument PLAN"),
        ("generate hi --solver Primal", "Primal needs its setting budget"),
        ("generate hi --solver.budget .3", "name that too, as in --solver Primal"),
        ("generate hi --solver Primal --solver.budgt .3", "Primal has no setting budgt; `kad generate --solver.help kad.Primal`"),
        ("generate hi --solver Primal --solver.budget x", "the setting budget of Primal must be a number, got 'x'."),
        ("serve --max-num-seqs 64", "stands after --, as in kad serve -- --max-num-seqs 64"), ("report a b", "takes no further argument, got 'b'"),
        ("bench --contender kd", "did you mean kad?"), ("eval --window x", "--window takes a number"), ("generate hi --stop", "needs a value"),
    ],
)  # fmt: skip
def test_what_is_asked_wrongly(capsys, words: str, sentence: str) -> None:
    """One sentence that says what was probably meant, and the exit status that everyone's has."""
    assert main(words.split()) == 2
    out, err = capsys.readouterr()
    assert sentence in err
    assert (out, err.count("\n")) == ("", 1)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("generate hi --temperature 0", "--temperature must be above 0, got 0; for the most probable token use --greedy."),
        ("generate hi --top-p 2", "--top-p must lie in (0, 1], got 2."), ("generate hi --top-k 0", "--top-k must be ≥ 1"),
        ("generate hi --min-p -1", "--min-p must lie in"), ("generate hi --max-new-tokens 0", "--max-new-tokens must be ≥ 1"),
        ("generate hi --greedy --top-p .9", "--greedy draws nothing, so --top-p would have no effect"),
        ("generate hi --base x --proxy y --target ImplicitReward", "--reference"), ("generate hi --base x", "give both --base and --proxy"),
        ("eval --engine vllm --top-p .9", "the engine vllm filters π"), ("eval --engine vllm --window 0 --window 3", "run once for each"),
        ("eval --base x --proxy y --task gsm8k --method p*", "give --aligned"), ("eval --method dual:7", "[0, 1]"),
    ],
)  # fmt: skip
def test_no_model_is_loaded_to_refuse(capsys, monkeypatch, words: str, sentence: str) -> None:
    def loaded(*_: object, **__: object) -> None:
        raise AssertionError("a model was loaded")

    for place in ("kad.cli.generate", "kad.cli.crew"):
        monkeypatch.setattr(f"{place}.load_checkpoints", loaded)
    assert main(words.split()) == 2
    assert sentence in capsys.readouterr().err


def test_bare_kad_shows_the_commands(capsys) -> None:
    assert main([]) == 2
    assert capsys.readouterr().err == overview()
    assert main(["--help"]) == 0
    assert capsys.readouterr().out == overview()


def test_dashes_behind_two_dashes_are_the_prompts_own() -> None:
    assert commands.spelt("generate", ["--max_new_tokens=3", "--", "--a_b"]) == ["--max-new-tokens=3", "--", "--a_b"]
    assert commands.command_of("generate", ["--greedy", "--", "--a_b"]).prompt == "--a_b"


NATURAL = (
    "solver: Primal\nsolver.budget: 0.8\n",
    "solver: {Primal: {budget: 0.8}}\n",
    "solver:\n  class_path: kad.Primal\n  init_args: {budget: 0.8}\n",
)


@pytest.mark.parametrize("text", NATURAL)
def test_options_from_yaml_as_people_write_them(tmp_path: Path, text: str) -> None:
    file = tmp_path / "o.yaml"
    file.write_text(text + "max-new-tokens: 3\nstop: x\nloss: Squared\n")
    o = commands.command_of("generate", ["hi", "--config", str(file), "--window", "2"])
    assert (o.solver, o.loss, o.max_new_tokens, list(o.stop), o.window) == (kad.Primal(0.8), kad.Squared(), 3, ["x"], 2)
    again = commands.command_of("generate", ["hi", f"--config={file}", "--solver.budget", "0.5"])
    assert again.solver == kad.Primal(0.5)


def test_the_options_of_the_guide(tmp_path: Path) -> None:
    """The file in docs/start/shell.md, and the two other ways to write it that the page names."""
    page = (Path(__file__).parents[2] / "docs" / "start" / "shell.md").read_text()
    text = re.search(r"```yaml\n(.*?)```", page, re.DOTALL)[1]
    assert text.startswith("# options.yaml")
    found = []
    for one in (text, text.replace("solver: Primal\nsolver.budget: 0.9", "solver: {Primal: {budget: 0.9}}")):
        (tmp_path / "options.yaml").write_text(one)
        found.append(commands.command_of("generate", ["--config", str(tmp_path / "options.yaml"), "q : tom"]))
    assert found[0] == found[1]
    assert (found[0].solver, found[0].window, found[0].temperature, found[0].stop) == (
        kad.Primal(0.9),
        5,
        0.7,
        ("####",),
    )


def test_on_the_shell_too() -> None:
    assert commands.command_of("generate", ["hi", "--solver", "{Primal: {budget: 0.8}}"]).solver == kad.Primal(0.8)
    assert commands.command_of("generate", ["hi", "--solver=Primal", "--solver.budget=0.8"]).solver == kad.Primal(0.8)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("windw: 3", "there is no option 'windw'; did you mean window?"), ("solver: Priml", "did you mean Primal?"), ("[1]", "must be options"),
        ("solver.budget: 1", "solver.budget is a setting of solver, which is not given"), ("solver: 3", "a solver is written as solver: Primal"),
        ("a: [", "cannot read"), ("window: many", "must be a whole number or auto, got 'many'."),
    ],
)  # fmt: skip
def test_yaml_that_cannot_be_options(capsys, tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "o.yaml"
    file.write_text(text)
    assert main(["generate", "hi", "--config", str(file)]) == 2
    err = capsys.readouterr().err
    assert sentence in err
    assert err.count("\n") == 1


def test_a_class_that_is_none() -> None:
    assert as_json("\n", [], []) == "{}"
    for value in ({"class_path": 3}, {"a": 1, "b": 2}, ["Primal"], {"Primal": 3}):
        with pytest.raises(UsageError, match="a solver is written as"):
            made_of("solver", value)


class Terminal:
    """Standard streams that are a terminal; ``said`` is what was typed."""

    def __init__(self, said: str) -> None:
        self.said = said

    def isatty(self) -> bool:
        return True

    def read(self) -> str:
        return self.said


def test_who_sits_at_a_terminal_is_asked_for_the_prompt(capsys, monkeypatch) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("hello\n"))
    assert read_prompt(None, None) == "hello"
    assert "reading the prompt from the keyboard; end with Ctrl-D" in capsys.readouterr().err


def on_terminal(command: list[str], interrupt_after: float | None = None) -> tuple[int, str]:
    """The exit status and all that a terminal of its own gets from a process, which is interrupted after some seconds."""
    pid, leader = pty.fork()
    if not pid:
        os.environ |= {"TERM": "xterm-256color", "COLUMNS": "100", "OMP_NUM_THREADS": "1"}
        os.execv(command[0], command)
    if interrupt_after is not None:
        threading.Timer(interrupt_after, lambda: os.kill(pid, signal.SIGINT)).start()
    seen = b""
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:
            break
        if not part:
            break
        seen += part
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen.decode()


def test_an_interrupt_at_the_start_is_a_word() -> None:
    for after in (0.15, 0.9):
        status, seen = on_terminal([*SHELL, "generate", "hi"], after)
        if seen:  # Python itself had started
            assert "Traceback" not in seen
            assert seen.replace("\r", "").endswith("kad: interrupted\n")
            assert status == 130
        assert status != 0


def test_what_a_terminal_shows_meanwhile_and_at_the_end() -> None:
    status, seen = on_terminal([*SHELL, "generate", QUESTION, "--greedy", "--stream"])
    assert status == 0
    for words in ("starting", "loading the embedded pair", "17 tokens in", "13 of 13 drafts accepted", "13% deferred"):
        assert words in seen
    assert seen.index("####") < seen.index("kept from the base")  # the colours' names, in their colours
    assert "from the proxy" in seen


def test_into_a_pipe_nothing_moves(capsys) -> None:
    assert main(["generate", QUESTION, "--greedy", "--max-new-tokens", "9"]) == 0
    out, err = capsys.readouterr()
    assert out == "first 6 - 2 = 4 . then 4\n"
    assert err.startswith("9 tokens in ")
    assert err.count("\n") == 1
    assert "\x1b" not in err
    assert main(["generate", QUESTION, "--greedy", "--max-new-tokens", "9", "--json"]) == 0
    assert capsys.readouterr().err == ""


def test_waiting_is_silent_where_nobody_looks(capsys) -> None:
    with waiting("loading"):
        pass
    assert capsys.readouterr() == ("", "")


def test_the_time_that_is_left() -> None:
    def shown(**known: Any) -> str:
        task = Task(1, "x", 100, known.pop("completed", 0), _get_time=lambda: 50.0, **known)
        task.start_time = 0.0
        return Remaining().render(task).plain

    assert shown() == "? left"
    assert shown(completed=10) == "0:07:30 left"  # however long the last of them took


def test_a_run_says_how_many_are_right_so_far(tmp_path: Path) -> None:
    from kad.checkpoints import load_checkpoints
    from kad.cli.progress import Counted
    from kad.evaluation import Block, Job, Method, Plan, Store, run
    from kad.evaluation.workers import HERE

    watched = Counted(HERE)
    assert watched.so_far == ""
    job = Job(Plan(("embedded",), (Block((Method("dual", 0.4),)),), count=4), load_checkpoints({}), batch=2)
    with Store(tmp_path / "r") as store:
        run(job, store, workers=watched)
    assert watched.answers == 4
    right, speed = watched.so_far.split(" right ")
    assert right == f"{25 * watched.right}%"
    assert speed.endswith(" tok/s")
    assert watched.tokens > 0


def test_vllm_refuses_what_it_is_handed(capsys, monkeypatch) -> None:
    monkeypatch.setattr("kad.cli.serve.need_vllm", lambda what: None)

    codes = iter((2, 0, 3))

    def server(given: object, rest: object) -> None:
        raise SystemExit(next(codes))

    monkeypatch.setattr("kad.cli.serve.become_server", server)
    for status, words in (
        (2, "`kad serve -- --help` lists what it does take"),
        (0, ""),
        (1, "ended with status 3"),
    ):
        assert main(["serve", "--", "--max-num-seq", "3"]) == status
        assert words in capsys.readouterr().err


def test_completion_knows_every_option() -> None:
    (known,) = (
        action.choices for action in plain_parser()._actions if action.dest == "==SUPPRESS==" and action.choices
    )
    assert list(known) == [*COMMANDS, *HARNESS]
    for name in COMMANDS:
        flags = {
            flag
            for action in commands.parser(name)._actions
            for flag in action.option_strings
            if action.help != SUPPRESS
        }
        assert set(known[name]._option_string_actions) == flags
    (solver,) = (action for action in known["solve"]._actions if action.dest == "solver")
    assert solver.completer() == list(names.SOLVER_NAMES)


def test_the_tab_key() -> None:
    """As bash asks, where argcomplete is installed."""
    pytest.importorskip("argcomplete")
    line = "kad generate --max"
    asked = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": " ",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "COMP_TYPE": "9",
    }
    script = f"{sys.executable} -m kad 8>&1 9>/dev/null >/dev/null"
    done = subprocess.run(["bash", "-c", script], env=os.environ | asked, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["--max-new-tokens"]
