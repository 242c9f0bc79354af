"""The notebook keeps its word: it runs from top to bottom in a fresh kernel, and prints what the text around it says."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
NOTEBOOK = ROOT / "docs" / "start" / "minute.ipynb"
CELLS: list[dict[str, Any]] = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]


def source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def test_nothing_that_was_printed_is_committed() -> None:
    for cell in CELLS:
        if cell["cell_type"] == "code":
            assert not cell["outputs"], source(cell)
            assert cell["execution_count"] is None


def test_it_is_linked_and_its_own_links_lead_somewhere() -> None:
    for page in ("README.md", "docs/index.md", "docs/start/quickstart.md", "docs/examples.md"):
        assert "minute.ipynb" in (ROOT / page).read_text(encoding="utf-8"), page
    for cell in CELLS:
        for link in re.findall(r"\]\((?!http)([^)#]+)", source(cell)):
            assert (NOTEBOOK.parent / link).is_file(), link


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What every cell of code shows, as text."""
    pytest.importorskip("ipykernel")
    client, formats = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep))
    notebook = formats.read(NOTEBOOK, as_version=4)
    formats.validate(notebook)
    client.NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(tmp_path)}}).execute()
    return [
        "".join(str(shown.get("text") or shown.get("data") or shown) for shown in cell["outputs"])
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def test_it_runs_and_prints_what_it_says(outputs: list[str]) -> None:
    first, answers, colours, place, solvers, windows, problems, own = outputs
    assert not first, "loading the pair is quiet"
    lines = dict(re.findall(r"^(\S+) +(.+)$", answers, re.MULTILINE))
    assert lines["mixture"].endswith("#### 11"), answers
    assert "####" not in lines["p"], "the base does not know the format"
    assert lines["q*"].endswith("####" + lines["q*"].split("####")[1]), answers
    assert not lines["q*"].endswith("#### 11"), "the proxy cannot calculate"
    assert re.findall(r"underline\">([^<]+)</span>", colours) == ["first", "####"], "how to begin, and how to end"
    assert colours.count("color:#1e90ff") > 10
    assert 0.1 < float(re.search(r"deferred mass (\S+)", place)[1]) < 0.9, "the rule is divided there"
    assert re.search(r"Exact +risk (\S+) ≥ \1  OPTIMAL", solvers), solvers
    passes = [int(n) for n in re.findall(r"in (\d+) passes", windows)]
    assert passes == sorted(passes, reverse=True), windows
    assert len(set(passes)) == 3, windows
    assert len({line.split("|")[1] for line in windows.splitlines()}) == 1, "the text is the same at every window"
    right = {name.strip(): int(n) for name, n in re.findall(r"^(.+?) +(\d+) of 40", problems, re.MULTILINE)}
    assert right["dual 0.4"] > 1.5 * right["q*"] > right["p"], problems
    assert own.rstrip().endswith("#### 11")


def test_the_kernel_is_this_interpreter() -> None:
    """Else the test above would try another installation."""
    specs = pytest.importorskip("jupyter_client.kernelspec")
    pytest.importorskip("ipykernel")
    assert Path(specs.KernelSpecManager().get_kernel_spec("python3").argv[0]) in (Path(sys.executable), Path("python"))
