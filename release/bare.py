"""Install the wheel of dist/ with its required dependencies alone, and run every command: second half of `make release-check`.

Each command works there, or names its extra in one sentence and ends with status 1.

python -m release.bare
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .check import PROJECT, WHEEL, Wrong, must
from .make import ROOT

QUESTION = "q : mia has 6 pens . she buys 8 more . she loses 3 . how many pens does mia have now ? a :"
FEW = ["--task", "embedded", "--n", "2", "--method", "dual:0.4"]
PAIR = ["--base", "{models}/base", "--proxy", "{models}/proxy"]
SHORT = ["--rounds", "2", "--turns", "1", "--new-tokens", "4", "--prompt-tokens", "4", "--threads", "1"]
RUNS: list[tuple[list[str], str]] = [  # and what each prints, or [the extra] that it names
    (["generate", QUESTION], "first 6 + 8 = 14 . then 14 - 3 = 11 . #### 11"),
    (["generate", QUESTION, "--window", "3", "--sample", "--seed", "1"], "####"),
    (["solve", "--family", "zipf", "--size", "1000"], "optimal"),
    (["solve", "--family", "zipf", "--size", "1000", "--plots", "plots"], "[plots]"),
    (["gaps", QUESTION], "gap"),
    (["bench", *PAIR, "--batch", "1", "--gamma", "0", "--contender", "hf", "--contender", "kad", *SHORT], "tok"),
    (["eval", *FEW, "--no-report", "--output", "results"], "2 questions answered"),
    (["eval", *FEW, "--output", "other"], "[plots]"),
    (["sweep", "plan.yaml", "--n", "2", "--no-report", "--output", "swept"], "2 questions answered"),
    (["report", "results"], "[plots]"),
    (["demo", "--quick"], "[plots]"),
    (["tune", "--task", "embedded"], "[tune]"),
    (["chat"], "/help"),
    (["play"], "[play]"),
    (["serve"], "[vllm]"),
    (["lm-eval", "--tasks", "gsm8k"], "[lm-eval]"),
]
IMPORTS = """
import importlib, pkgutil, kad
for module in pkgutil.walk_packages(kad.__path__, "kad."):
    if not module.name.endswith("__main__"):
        try:
            importlib.import_module(module.name)
        except ImportError as error:
            print(module.name, error.name or error)
"""
# Modules that live inside other libraries, and the server, which is loaded once `kad play` has seen that its extra is there.
LACKING = ["kad.arithmetic.scan triton", "kad.engines.vllm.state vllm", "kad.play.server uvicorn"]


def run(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A process that sees the environment at ``place`` and nothing of this checkout, in a folder of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    kept |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "COLUMNS": "120"}
    command = [str(place / "bin" / words[0]), *words[1:]]
    return subprocess.run(
        command, cwd=place / "empty", env=kept, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )


def install(place: Path) -> str:
    """An environment with the wheel and what it requires."""
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    (place / "empty").mkdir()
    (place / "empty" / "plan.yaml").write_text("tasks: embedded\nruns: [{methods: p}]\n")
    for words in (["install", "-q", "-c", str(ROOT / "constraints.txt"), str(WHEEL)], ["check"]):
        done = run(place, "pip", *words)
        must(not done.returncode, f"pip {words[0]} failed: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    names = {line.split("==")[0].lower() for line in run(place, "pip", "freeze").stdout.splitlines()}
    for package in ("matplotlib", "optuna", "ortools", "datasets", "pytest", "mkdocs"):
        must(package not in names, f"the required dependencies bring {package}, so this environment is not bare.")
    return f"installed with {len(names) - 1} packages that it requires"


def check_imports(place: Path) -> str:
    """Every module, the embedded models' sums, and where the package lies."""
    found = run(place, "python", "-W", "ignore", "-c", IMPORTS)
    must(not found.returncode, f"a module fails to be imported: {found.stderr[-2000:]}")
    others = [line for line in found.stdout.splitlines() if line not in LACKING and "kad-align[" not in line]
    must(not others, f"these modules need what nothing requires: {'; '.join(others)}.")
    done = run(place, "python", "-c", "from kad import demo; print(demo.check_sums(), demo.MODELS)")
    must(not done.returncode, f"the embedded models are not whole: {done.stderr[-2000:]}")
    count, models = done.stdout.split(maxsplit=1)
    must(models.startswith(str(place)), f"the package was imported from {models.strip()}.")
    return f"every module is imported or names what it lacks; the {count} files of the embedded models are as released"


def check_commands(place: Path) -> str:
    """Every command has a help and a row in RUNS."""
    listed = run(place, "python", "-c", "from kad.cli.names import COMMANDS; print(*COMMANDS)").stdout.split()
    must(bool(listed), "the wheel has no commands.")
    for command in listed:
        must(any(words[0] == command for words, _ in RUNS), f"release/bare.py has no run of kad {command} in RUNS.")
        done = run(place, "kad", command, "--help")
        must(not done.returncode and "usage: kad" in done.stdout, f"kad {command} --help: {done.stderr[-2000:]}")
    return f"{len(listed)} commands have a help"


def check_run(place: Path, words: list[str], expected: str) -> str:
    """One command, which works or names its extra in one sentence."""
    models = next(place.glob("lib/python*/site-packages/kad/demo/models"))
    began = time.monotonic()
    done = run(place, "kad", *[word.replace("{models}", str(models)) for word in words])
    shown = f"kad {' '.join(word for word in words if word != QUESTION)}"
    if expected.startswith("["):
        said = done.stderr.strip()
        must(done.returncode == 1, f"{shown} ends with status {done.returncode}: {said}")
        must("\n" not in said, f"{shown} says more than a sentence: {said}")
        must(re.match(r"kad: .+ needs .+: pip install 'kad-align\[.+\.$", said) is not None, f"{shown} says: {said}")
        named = set(re.findall(r"kad-align\[([\w-]+)\]", said))
        must(expected[1:-1] in named, f"{shown} names no extra {expected}: {said}")
        must(named <= set(PROJECT["optional-dependencies"]), f"{shown} names an extra that there is not: {said}")
        return f"{shown}: {said.removeprefix('kad: ')}"
    must(not done.returncode, f"{shown} failed: {done.stderr[-2000:]}")
    must(expected in done.stdout, f"{shown} does not print {expected!r}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return f"{shown}: works, {time.monotonic() - began:.0f} s"


def main() -> None:
    """All of it; the first thing that is wrong ends it."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder).resolve() / "bare"
        try:
            print("ok:", install(place), f"({time.monotonic() - began:.0f} s)", flush=True)
            print("ok:", check_imports(place), flush=True)
            print("ok:", check_commands(place), flush=True)
            for words, expected in RUNS:
                print("ok:", check_run(place, words, expected), flush=True)
        except Wrong as wrong:
            sys.exit(f"release-check: {wrong}")
    print(f"The release is good ({time.monotonic() - began:.0f} s for the bare environment).")


if __name__ == "__main__":
    main()
