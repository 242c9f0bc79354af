"""Every example runs, is short, and prints what it promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from .forks import Forks

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))
PRINTS = {
    "new_loss": "first 6 + 8 = 14 . then 14 - 3 = 11 . #### 11",
    "new_target": "#### 11 [",
    "new_solver": "BestOfTwo(budget=0.45): defers [0.0, 1.0, 0.0]",
    "steer_two_checkpoints": "#### 19",
    "read_a_trace": "window 4",
    "learn_a_price": "first 6 + 8 = 14 . then 14 - 3 = 11 . #### 11",
}


STUDIES = sorted((Path(__file__).parent.parent / "examples" / "studies").glob("*.py"))


@pytest.mark.parametrize("path", STUDIES, ids=lambda p: p.stem)
def test_study(path: Path, tmp_path: Path, forks: Forks) -> None:
    done = forks.run(["--quick"], file=path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    assert b"written: " in done.stdout
    assert not list(tmp_path.iterdir())  # a quick run leaves nothing behind


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_example(path: Path, forks: Forks) -> None:
    assert len(path.read_text().splitlines()) < 60
    done = forks.run(file=path)
    assert done.returncode == 0, done.stderr.decode()
    assert PRINTS[path.stem] in done.stdout.decode()
