"""Where no Ray runs. The file stands before the others, whose cluster would be found."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from .shell import kad, said_in_one_sentence


def test_no_cluster(tmp_path: Path) -> None:
    if any("gcs_server" in process.info["name"] for process in psutil.process_iter(["name"]) if process.info["name"]):
        pytest.skip("a cluster runs on this machine")
    apart = {"RAY_TMPDIR": str(tmp_path)}  # where Ray notes the clusters of this machine
    done = kad("eval", "--n", "2", "--workers", "2", "--ray", "auto", cwd=tmp_path, environment=apart)
    said_in_one_sentence(done, "there is no cluster of Ray on this machine; start one with ray start --head")
