"""Modules of a user's own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest


def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stem: str, text: str) -> str:
    """Write a module to a folder of the test and go there; its name, which is another one in every test."""
    name = re.sub(r"[-\[\]]", "_", f"{stem}_{tmp_path.name}")
    (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    return name
