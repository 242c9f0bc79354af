"""The rows of a task: from a folder of local files, or from the hub."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from ..bounded import read_text
from ..errors import said
from ..extras import need
from .task import Item, Part, Row, Task

FILE_LIMIT = 2**30  # characters of a file of rows


def load_rows(task: Task, data: Path | None = None, count: int | None = None, part: Part = "all") -> list[Row]:
    """The first ``count`` rows (all by default), from ``data`` if given, else from the hub.

    ``part`` is for tasks that make their own rows; `counted` parts those that are loaded.

    Raises:
        ValueError: no such file, a file that cannot be read, or no way to the hub; one sentence.
        ImportError: the hub is wanted and ``datasets`` is missing.
    """
    if count is not None and count < 1:
        raise ValueError(f"the number of questions must be ≥ 1, got {count}.")
    own = task.generate(count, part)
    if own is not None:
        return own
    absolute = [Path(name) for name in task.files if Path(name).is_absolute()]
    if absolute:
        rows = rows_in(absolute[0])
    elif data is not None:
        rows = rows_in(local(task, data))
    else:
        rows = from_hub(task)
    if not rows:
        raise ValueError(f"{task.name} has no rows.")
    return rows[:count]


def local(task: Task, folder: Path) -> Path:
    """The task's file in the folder."""
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder} with local data.")
    for name in task.files:
        if (folder / name).is_file():
            return folder / name
    wanted = " or ".join(task.files) or "a file of its own"
    raise ValueError(f"{folder} holds no data for {task.name}: it looks for {wanted}.")


def rows_in(path: Path) -> list[Row]:
    """Rows of a .jsonl, .json or .csv file of at most `FILE_LIMIT` characters."""
    text = read_text(path, str(path), FILE_LIMIT)
    try:
        if path.suffix == ".csv":
            return list(csv.DictReader(io.StringIO(text)))
        if path.suffix == ".json":
            found: Any = json.loads(text)
            rows = found if isinstance(found, list) else None
        else:
            rows = [json.loads(line) for line in text.split("\n") if line.strip()]
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is no JSON: {error.msg} in {error.doc[:60]!r}.") from error
    except (ValueError, RecursionError, csv.Error) as error:
        raise ValueError(f"{path} cannot be read: {said(error)}.") from error
    if rows is None or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{path} must hold one JSON object per row.")
    return rows


def from_hub(task: Task) -> list[Row]:
    """Rows through the library ``datasets``."""
    if task.hub is None:
        raise ValueError(f"{task.name} is not on the hub; give the folder of its file with --data.")
    need(f"loading {task.name} from the hub (instead of local files with --data)", "datasets")
    import datasets

    path, configuration, split = task.hub
    try:
        return list(datasets.load_dataset(path, configuration, split=split, trust_remote_code=False))
    except Exception as error:
        raise ValueError(
            f"cannot load {task.name} from the hub ({path}): {said(error)}; or give local files with --data."
        ) from error


@dataclass(frozen=True)
class Counted:
    """Questions, and what is known of those beside them.

    Attributes:
        items: the questions.
        total: how many there are without a count; None of a task that makes as many as are wanted.
        ids: of all that there are; None if that is not known.
    """

    items: list[Item]
    total: int | None = None
    ids: frozenset[str] | None = None


def counted(task: Task, data: Path | None, count: int | None, part: Part) -> Counted:
    """The questions of one part, at most ``count`` of them (all by default), and how many and which there are without it.

    Raises:
        ValueError: as `load_rows` and `Task.items`; no question in the part.
    """
    if part not in get_args(Part):
        raise ValueError(f"the part must be one of {', '.join(get_args(Part))}; got {part!r}.")
    if task.generate(1, part) is not None:
        return Counted(task.items(load_rows(task, data, count, part)))
    rows = load_rows(task, data, None, part)
    try:
        found = task.items(rows)
    except ValueError:  # raised again if it is a row that is asked
        if part != "all":
            raise
        return Counted(task.items(rows[:count]), len(rows))
    if part != "all":
        found = [item for item in found if task.part_of(item) == part]
    if not found:
        raise ValueError(f"{task.name} has no questions in its {part} part.")
    return Counted(found[:count], len(found), frozenset(item.id for item in found))
