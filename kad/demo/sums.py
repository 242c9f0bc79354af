"""Whether the shipped models are the ones that the project released: SHA-256 sums of every file of theirs."""

from __future__ import annotations

import hashlib
from pathlib import Path

SUMS = "SHA256SUMS"  # as `sha256sum -c` reads it, beside the four models


def check_sums(folder: str | Path = Path(__file__).parent / "models") -> int:
    """Compare the files of the embedded pair with their SHA-256 sums; returns how many there are.

    Loading does not ask: a pair that ``kad demo --retrain`` wrote is as good, and has none of these sums.

    Raises:
        ValueError: the sums are missing, or files differ from them, are missing, or stand there without a sum.

    >>> check_sums()
    24
    """
    folder = Path(folder)
    if not (folder / SUMS).is_file():
        raise ValueError(f"{folder} holds no {SUMS}, with which its files could be compared.")
    lines = [line.split(maxsplit=1) for line in (folder / SUMS).read_text(encoding="utf-8").splitlines()]
    expected = {name: digest for digest, name in lines}
    found = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.glob("*/*")
        if path.is_file()
    }
    other = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if other:
        raise ValueError(f"{folder} is not as it was released: {', '.join(other)} {differ(len(other))} {SUMS}.")
    return len(expected)


def differ(count: int) -> str:
    """The verb of a sentence about one file or several."""
    return "differs from" if count == 1 else "differ from"
