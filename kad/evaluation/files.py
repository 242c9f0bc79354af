"""Files that are written whole, and JSON and YAML that are read with a sentence if they are damaged."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import yaml

from ..bounded import check_yaml, read_text


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it is there as a whole, or as it was before; a ValueError if it cannot be written."""
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


def read_yaml(path: Path, what: str) -> Any:
    """What a user's file holds, read within bounds; ``what`` is its name in the sentence if it cannot be read.

    Raises:
        ValueError: no such file, no YAML, a key given twice, or more than the bounds of `kad.bounded`.
    """
    text = read_text(path, f"the {what} {path}")
    try:
        check_yaml(text)
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"the {what} {path} is no YAML: {' '.join(str(error).split())}.") from error
    except ValueError as error:
        raise ValueError(f"cannot read the {what} {path}: {error}") from error
