"""The shell commands of the pages that are all ``kad`` run as they stand, with fewer questions and short replies."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from ..forks import Forks

DOCS = Path(__file__).parent.parent.parent / "docs"
FEWER, SHORT = {"--n": "1", "--trials": "1"}, ["--new-tokens", "4"]


def commands(page: str) -> list[list[str]]:
    """The words of every ``kad`` command on a page, a line that goes on being one."""
    text = "\n".join(re.findall(r"^```console\n(.*?)^```", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL))
    lines = re.findall(r"^\$ (.+)$", text.replace("\\\n", " "), re.MULTILINE)
    assert all(line.startswith("kad ") for line in lines)
    found = [shlex.split(line)[1:] for line in lines]
    return [[FEWER.get(before, word) for before, word in zip(["", *words], words, strict=False)] for words in found]


@pytest.mark.parametrize("page", ["start/tuning.md", "guides/others.md"])
def test_commands_run(page: str, forks: Forks, tmp_path: Path) -> None:
    asked = commands(page)
    assert len(asked) == 2
    for words in asked:
        done = forks.run([*words, *([] if "--protocol" in words else SHORT)], cwd=tmp_path)
        assert done.returncode == 0, (words, done.stderr.decode())
