"""Every statement has a theorem that a machine has checked, and the pages name the theorems that there are."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent.parent
PROOFS = sorted((ROOT / "proofs").glob("*.v"))


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("update_proofs", ROOT / "docs" / "update_proofs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows(script: ModuleType) -> dict[str, list[tuple[str, str]]]:
    """The statements of the table with the theorems that it lists, (name, file in small letters)."""
    found = {}
    for line in script.INDEX.read_text().splitlines():
        if label := re.match(r"\| (S\d+) \|", line):
            found[label[1]] = re.findall(r"\[`(\w+)`\]\(machine\.md#(\w+)\)", line)
    return found


def test_every_statement_has_a_theorem_and_every_theorem_listed_exists(script: ModuleType) -> None:
    known, listed = script.theorems(), rows(script)
    assert list(listed) == [f"S{i}" for i in range(1, len(listed) + 1)]
    assert len(listed) >= 15
    for label, names in listed.items():
        assert names, f"{label} has no theorem"
        assert set(names) <= {(name, file.lower()) for name, file in known[label]}, label


def test_the_pages_are_as_the_files_are(script: ModuleType) -> None:
    """Else: python docs/update_proofs.py."""
    for path, updated in ((script.INDEX, script.with_column), (script.PAGE, script.with_files)):
        assert path.read_text() == updated(path.read_text())


def test_nothing_is_left_out_or_assumed() -> None:
    assert PROOFS
    for file in PROOFS:
        assert not re.search(r"\b(Admitted|admit|Axioms?|Parameters?|Conjectures?|Abort)\b", file.read_text()), (
            file.name
        )


def test_a_missing_theorem_would_be_noticed(script: ModuleType) -> None:
    page = script.INDEX.read_text()
    assert script.with_column(page.replace("`weak_duality`](machine.md#dual)", "`no_such`](machine.md#dual)")) == page
