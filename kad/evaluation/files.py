"""Files that are written whole, and JSON that is read with a sentence if it is damaged."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it is there as a whole, or as it was before.

    Raises:
        ValueError: it cannot be written; one sentence.
    """
    try:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=".", delete=False) as scratch:
            try:
                scratch.write(text)
                scratch.flush()
                os.fsync(scratch.fileno())
                os.chmod(scratch.name, 0o644)
                os.replace(scratch.name, path)
            except BaseException:
                os.unlink(scratch.name)
                raise
    except OSError as error:
        raise ValueError(f"cannot write {path}: {error.strerror}.") from error


def read_json(path: Path, default: Any) -> Any:
    """What a file of JSON holds, of the same type as ``default``, which stands for a file that is not there.

    Raises:
        ValueError: it cannot be read, or is damaged; one sentence that names it.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return default
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "it is no JSON"
        raise ValueError(f"{path} is damaged ({reason}); restore it, or choose another folder.") from error
    if not isinstance(found, type(default)):
        wanted = "an object" if isinstance(default, dict) else "a list"
        raise ValueError(f"{path} is damaged (it must hold {wanted}); restore it, or choose another folder.")
    return found
