"""The README keeps its word: its example runs and prints what it says, its files exist, its commands are real."""

from __future__ import annotations

import re
from pathlib import Path

from .forks import Forks

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()


def test_the_example_prints_what_the_readme_says(forks: Forks) -> None:
    code, after = re.search(r"```python\n(.*?)```\n\n(.*?)\n\n", TEXT, re.DOTALL).groups()
    assert len([line for line in code.splitlines() if line.strip()]) == 9
    done = forks.run(code=code)
    assert done.stdout.decode().splitlines() == [line.strip() for line in after.splitlines()]


def test_linked_files_exist() -> None:
    for link in re.findall(r"\]\(([^)]+)\)", TEXT):
        if not link.startswith("http"):
            assert (ROOT / link).exists(), link


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^    make (\w+)", TEXT, re.MULTILINE):
        assert f"\n{target}:" in makefile


def test_ci_runs_the_readmes_test_command() -> None:
    assert "make test" in (ROOT / ".ci" / "run").read_text()
