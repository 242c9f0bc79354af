"""Where no Ray runs. The file stands before the others, whose cluster would be found."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from kad.cli.main import main

from .shell import kad


def test_no_cluster(tmp_path: Path) -> None:
    if any("gcs_server" in process.info["name"] for process in psutil.process_iter(["name"]) if process.info["name"]):
        pytest.skip("a cluster runs on this machine")
    apart = {"RAY_TMPDIR": str(tmp_path)}  # where Ray notes the clusters of this machine
    done = kad("eval", "--n", "2", "--workers", "2", "--ray", "auto", cwd=tmp_path, environment=apart)
    assert done.returncode == 1
    assert "there is no cluster of Ray on this machine; start one with ray start --head" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.filterwarnings("ignore")  # Ray's own, while it is imported
@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("127.0.0.1:1", "nobody answers at 127.0.0.1:1"),
        ("ray://head:10001", "a cluster's address is host:port or auto"),
        ("head:port", "a cluster's address is host:port or auto"),
    ],
)
def test_what_is_no_cluster(address: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ray itself would ask for ever."""
    folder = tmp_path / "s"
    assert main(["eval", "--n", "2", "--workers", "2", "--ray", address, "--output", str(folder)]) == 1
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert not folder.exists()
