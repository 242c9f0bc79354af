"""What a release is made of: every file that git has, every command that is run bare, images from files that exist."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from kad.cli.names import COMMANDS
from release.bare import RUNS

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONTAINER = (ROOT / "Containerfile").read_text()


def test_every_command_is_run_bare_and_every_extra_that_one_names_exists() -> None:
    assert {*COMMANDS, "lm-eval"} <= {words[0] for words, _ in RUNS}
    named = {expected[1:-1] for _, expected in RUNS if expected.startswith("[")}
    assert named <= set(PROJECT["optional-dependencies"])


def test_the_images_are_built_from_files_that_exist() -> None:
    """No image is built by the tests: what can be seen without one."""
    copied = {name for line in re.findall(r"^COPY (.+) \S+$", CONTAINER, re.MULTILINE) for name in line.split()}
    assert all((ROOT / name).exists() for name in copied)
    ignored = (ROOT / ".containerignore").read_text().splitlines()
    assert {line[1:] for line in ignored if line.startswith("!")} == copied
    for constraints in re.findall(r"-c (\S+)", CONTAINER):
        assert constraints in copied
    for extra in re.findall(r'"\.\[([\w-]+)\]"', CONTAINER):
        assert extra in PROJECT["optional-dependencies"]
    made = (ROOT / "Makefile").read_text()
    removed = re.search(r"pip uninstall -q -y (.+)", made)
    assert removed is not None
    assert f"pip uninstall -y {removed[1]}\n" in CONTAINER, "as in the environment that is tested"


def test_the_version_is_said_once_or_alike() -> None:
    from kad.version import VERSION

    assert f"\nversion: {VERSION}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"\n## {VERSION}" in (ROOT / "CHANGELOG.md").read_text()
