"""Results on disk: lines that are only ever appended, whole batches at a time.

A folder holds ``results.jsonl``, one JSON object a line: first a configuration whenever one is met for the first time,
then one line per question and seed, and verdicts on answers that are there (`kad.evaluation.schema`). ``manifest.json`` says
which models, data, prompts and versions made it, ``failures.json`` which questions could not be answered. A run that is
killed leaves at most a last line cut short, which the next run cuts off.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

try:
    from filelock import FileLock, Timeout
except ImportError as error:
    raise ImportError("a folder of results needs filelock: pip install 'kad-align[evaluation]'.") from error

from .configuration import Configuration
from .failures import FAILURES, Failure, read_failures, write_failures
from .files import write_whole
from .schema import FORMAT, MANIFEST, Line, RowId, Rows, configuration_of, parsed, read_manifest, row_id, rows_of

RESULTS = "results.jsonl"


class Store:
    """A folder of results, open for one writer.

    Args:
        folder: made if it is not there.

    Attributes:
        configurations: by their keys.
        done: what has been answered: the hashes of the prompts, by place; the one that counts is the last.
        answers: how many answers that is.
        failed: what could not be answered, and has not been since.
        cut: bytes of a last line that a killed run had not finished, and that were dropped.

    Raises:
        ValueError: a folder that cannot be written, that another run is writing to, that holds something else, or whose
            files are damaged (elsewhere than at the end of the results), or of a newer version; one sentence.

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> row = {"key": Configuration("gsm8k", "p").key, "seed": 0, "item": "7", "question": "ab12cd34", "text": "#### 18"}
    >>> with Store(folder) as store:
    ...     store.append(Configuration("gsm8k", "p"), [row])
    >>> read(folder)[1][0]["text"]
    '#### 18'
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.configurations: dict[str, Configuration] = {}
        self.done: dict[RowId, list[str]] = {}
        self.answers = 0
        self.failed: dict[RowId, Failure] = {}
        check_folder(self.folder)
        self.lock = FileLock(self.folder / ".lock")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.lock.acquire(timeout=0)
            self.file = os.open(self.folder / RESULTS, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except Timeout:
            raise ValueError(
                f"another run is writing to {self.folder}; wait for it, or choose another folder."
            ) from None
        except OSError as error:
            self.lock.release()
            raise ValueError(f"cannot write to {self.folder}: {error.strerror}.") from error
        try:
            self._read()
        except BaseException:
            self.close()
            raise

    def _read(self) -> None:
        path = self.folder / RESULTS
        read_manifest(self.folder)  # a newer format is no damage
        text = path.read_bytes()
        whole = text.rfind(b"\n") + 1
        self.cut = len(text) - whole
        for line in parsed(text[:whole], path):
            self._learn(line)
        self.failed = {f.place: f for f in read_failures(self.folder) if f.place not in self.done}
        if self.cut:
            os.ftruncate(self.file, whole)

    def _learn(self, line: Line) -> None:
        if "configuration" in line:
            self.configurations[line["key"]] = configuration_of(line["configuration"])
            return
        if line.get("asked"):
            return
        self.failed.pop(row_id(line), None)
        marks = self.done.setdefault(row_id(line), [])
        if line["question"] in marks:
            marks.remove(line["question"])
        else:
            self.answers += 1
        marks.append(line["question"])

    def append(self, configuration: Configuration, rows: Sequence[Line]) -> None:
        """Add rows of one configuration, all of them or none, and make sure that they are on the disk.

        Raises:
            ValueError: no space left, the file is no longer there, or another failure to write; nothing was added.
        """
        lines = list[Line]()
        if configuration.key not in self.configurations:
            lines.append({"key": configuration.key, "configuration": asdict(configuration)})
        self._write([*lines, *(row for row in rows if not self.has(row))])

    def judge(self, verdicts: Sequence[Line]) -> None:
        """Add verdicts (`kad.evaluation.schema`) on answers that are there; errors as for `append`."""
        self._write([{**verdict, "verdict": True} for verdict in verdicts if self.has(verdict)])

    def ask(self, notes: Sequence[Line]) -> None:
        """Note that questions have another prompt now, or none: former answers count no more; errors as for `append`."""
        self._write([{**note, "asked": True} for note in notes])

    def has(self, row: Line) -> bool:
        """Whether this question is answered, with this prompt."""
        return row["question"] in self.done.get(row_id(row), ())

    def _write(self, lines: Sequence[Line]) -> None:
        if not lines:
            return
        self._check_place()
        data = "".join(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n" for line in lines).encode()
        size = os.fstat(self.file).st_size
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(self.file, left) :]
            os.fsync(self.file)
        except OSError as error:
            os.ftruncate(self.file, size)
            what = "there is no space left" if error.errno == errno.ENOSPC else str(error.strerror)
            raise ValueError(
                f"cannot write to {self.folder}: {what}; what was there is kept, run again to go on."
            ) from error
        failed = len(self.failed)
        for line in lines:
            self._learn(line)
        if len(self.failed) < failed:
            write_failures(self.folder, self.failed.values())

    def fail(self, failure: Failure) -> None:
        """Note that a question could not be answered."""
        self.failed[failure.place] = failure
        write_failures(self.folder, self.failed.values())

    def _check_place(self) -> None:
        """Raise a ValueError if somebody has removed or replaced the file: what is written would be lost."""
        path = self.folder / RESULTS
        try:
            there = os.path.samestat(os.stat(path), os.fstat(self.file))
        except OSError:
            there = False
        if not there:
            raise ValueError(
                f"{path} was removed or replaced while it was being written; put it back or choose another folder, and run again."
            )

    def missing(self, configuration: Configuration, seed: int, asked: Iterable[tuple[str, str]]) -> list[str]:
        """The questions that have no answer yet, of these with the hashes of their prompts."""
        key = configuration.key
        return [item for item, mark in asked if mark not in self.done.get((key, seed, item), ())]

    def manifest(self) -> dict[str, Any]:
        """What the last run said about itself; empty in a new folder."""
        return read_manifest(self.folder)

    def describe(self, manifest: dict[str, Any]) -> None:
        """Write the manifest, at once and whole."""
        text = json.dumps({"format": FORMAT, **manifest}, indent=1, ensure_ascii=False)
        write_whole(self.folder / MANIFEST, f"{text}\n")

    def close(self) -> None:
        """Let others write."""
        os.close(self.file)
        self.lock.release()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def check_folder(folder: Path) -> None:
    """Raise a ValueError if this is a file, or a folder with other things in it."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; choose a folder.")
    if folder.is_dir() and not (folder / RESULTS).exists():
        others = [path.name for path in folder.iterdir() if path.name not in (".lock", MANIFEST, FAILURES)]
        if others:
            raise ValueError(f"{folder} holds other files and no {RESULTS}; choose a new or empty folder.")


def read(folder: str | Path) -> tuple[dict[str, Configuration], list[Line], dict[str, Any]]:
    """Configurations by key, results and manifest of a folder, without writing to it.

    Of several answers to one question, whose prompt has changed between them, the last one asked for is read.

    Raises:
        ValueError: no results there, or a damaged file.

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> Store(folder).close()
    >>> read(folder)
    ({}, [], {})
    """
    found, manifest = read_rows(folder)
    return found.configurations, found.current, manifest


def read_rows(folder: str | Path) -> tuple[Rows, dict[str, Any]]:
    """`read`, with the answers that no longer count; errors as for it."""
    folder = Path(folder)
    path = folder / RESULTS
    if not path.is_file():
        raise ValueError(f"{folder} holds no {RESULTS}; kad eval writes one.")
    manifest = read_manifest(folder)
    text = path.read_bytes()
    found = rows_of(parsed(text[: text.rfind(b"\n") + 1], path))
    keys = {row["key"] for row in (*found.current, *found.superseded)}
    if orphans := sorted(keys - found.configurations.keys()):
        raise ValueError(f"{path} has results of the configuration {orphans[0]}, which it does not describe.")
    return found, manifest
