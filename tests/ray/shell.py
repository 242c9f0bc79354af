"""kad as a command."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

KAD = str(Path(sys.executable).parent / "kad")


def kad(*arguments: str, cwd: Path, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [KAD, *arguments], cwd=cwd, env=os.environ | dict(environment or {}), capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip
