"""``kad eval --engine vllm``: the tasks, the grading, the store and the report of the house; only the texts come from vLLM."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from kad.checkpoints import load_checkpoints
from kad.evaluation import Job, Store, read, run
from kad.evaluation.plan import from_yaml

from .running import ENVIRONMENT

LIMIT = 300  # seconds
PLAN = """
tasks: [embedded]
n: 30
runs:
  - methods: [p, "q*", "dual:0.3", "dual:0.6", "primal:0.9", "implicit-reward:1"]
    windows: [0]
    temperatures: [greedy, 1.0]
"""
WHOLE = """
from pathlib import Path

from kad.checkpoints import describe_checkpoints
from kad.engines.vllm import VLLM
from kad.evaluation import Job, Store, run
from kad.evaluation.plan import from_yaml
from kad.testing import check_engine

if __name__ == "__main__":
    engine = VLLM()
    check_engine(engine, [engine.tokenizer(text)["input_ids"] for text in ("q : tom", "worksheet .", "count 3 4")])
    with Store(Path("whole")) as store:
        run(Job(from_yaml(Path("plan.yaml"))[0], describe_checkpoints({}), engine=engine), store)
    engine.close()
"""


def start(folder: Path, *command: str) -> subprocess.Popen[bytes]:
    """Its words go to a file: a pipe would stay open as long as a process of vLLM's."""
    with (folder / "log").open("w") as log:
        return subprocess.Popen(command, cwd=folder, env=os.environ | ENVIRONMENT, stdout=log, stderr=log)


def sweep(folder: Path, output: str) -> subprocess.Popen[bytes]:
    program = str(Path(sys.executable).with_name("kad"))
    return start(
        folder,
        program,
        "sweep",
        "plan.yaml",
        "--engine=vllm",
        f"--output={output}",
        "--no-report",
        "--traces=0",
        "--batch=4",
    )


def rows(folder: Path) -> dict[Any, dict[str, Any]]:
    """The texts and what was made of them, by everything that was asked but for the engine."""
    configurations, found, _ = read(folder)
    told = ("question", "text", "tokens", "ids", "answer", "gold", "correct", "grader", "finished")
    return {
        (replace(configurations[row["key"]], engine=""), row["seed"], row["item"]): {name: row[name] for name in told}
        for row in found
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run in one go, by the engine in Python, after `check_engine` has checked it."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "plan.yaml").write_text(PLAN)
    (folder / "whole.py").write_text(WHOLE)
    assert start(folder, sys.executable, "whole.py").wait(LIMIT) == 0, (folder / "log").read_text()[-3000:]
    return folder / "whole"


def test_greedy_answers_are_those_of_kads_own_engine(whole: Path, tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        run(Job(from_yaml(whole.parent / "plan.yaml")[0], load_checkpoints({})), store)
    own, inside = rows(tmp_path), rows(whole)
    assert len(own) == 30 * 6 * 2
    assert inside.keys() == own.keys()
    greedy = [place for place in own if place[0].temperature is None]
    assert [inside[place] for place in greedy] == [own[place] for place in greedy]
    assert {c.engine for c in read(whole)[0].values()} == {"vllm on cpu"}


def test_a_killed_run_goes_on(whole: Path) -> None:
    """SIGKILL with answers written and more to come: vLLM's processes end by themselves, and the next run asks for the rest."""
    folder = whole.parent
    driver, file, ends = sweep(folder, "s"), folder / "s" / "results.jsonl", time.monotonic() + LIMIT
    while not file.exists() or file.read_text().count('"text"') < 20:
        assert driver.poll() is None, (folder / "log").read_text()[-3000:]
        assert time.monotonic() < ends
        time.sleep(0.01)
    started = psutil.Process(driver.pid).children(recursive=True)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    assert psutil.wait_procs(started, timeout=30)[1] == []
    before = len(read(folder / "s")[1])
    assert 20 <= before < 30 * 6 * 2
    assert sweep(folder, "s").wait(LIMIT) == 0, (folder / "log").read_text()[-3000:]
    assert f"{360 - before} questions answered, {before} were there" in (folder / "log").read_text()
    assert rows(folder / "s") == rows(whole)
