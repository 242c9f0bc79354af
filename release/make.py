"""Build the sdist and the wheel of the last commit into dist/, with their SHA-256 sums: `make release`.

A commit is built, never a folder: what lies about in the folder cannot come in, and the same commit gives the same wheel.
"""

from __future__ import annotations

import hashlib
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
DIST = ROOT / "dist"


def git(*words: str) -> str:
    """What git says about this checkout."""
    return subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def main() -> None:
    """Refuse changes that no commit holds; build the commit; write the sums."""
    changed = git("status", "--porcelain")
    if changed:
        sys.exit(f"release: a commit is released, and these changes are in none:\n{changed}")
    version = runpy.run_path(str(ROOT / "kad" / "version.py"))["VERSION"]
    shutil.rmtree(DIST, ignore_errors=True)
    with tempfile.TemporaryDirectory() as place:
        tar = subprocess.run(
            ["git", "-c", "tar.umask=0022", "archive", "HEAD"], cwd=ROOT, check=True, capture_output=True
        ).stdout
        subprocess.run(["tar", "-x", "-C", place], input=tar, check=True)
        build(Path(place), DIST, int(git("log", "-1", "--format=%ct")))
    files = sorted(DIST.iterdir())
    sums = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files]
    (DIST / "SHA256SUMS").write_text("".join(sums))
    print(f"kad-align {version} of commit {git('rev-parse', '--short', 'HEAD')}, in {DIST.name}/:")
    print("".join(sums), end="")


def build(source: Path, target: Path, moment: int, *kinds: str) -> None:
    """Run the build backend in an environment of its own, with the pinned setuptools, at a moment that files then bear."""
    words = ["--dependency-constraints-txt", str(ROOT / "constraints.txt"), "--outdir", str(target)]
    environment = os.environ | {"SOURCE_DATE_EPOCH": str(moment)}
    command = (
        [sys.executable, "-m", "build", "--sdist", "--wheel"] if not kinds else [sys.executable, "-m", "build", *kinds]
    )
    done = subprocess.run([*command, *words, str(source)], env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"release: the build failed.\n{done.stdout[-3000:]}{done.stderr[-3000:]}")


if __name__ == "__main__":
    main()
