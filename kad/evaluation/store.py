"""Results on disk: lines that are only ever appended, whole batches at a time.

A folder holds ``results.jsonl``, one JSON object a line: first a configuration whenever one is met for the first time,
then one line per question and seed. ``manifest.json`` says which models, data and versions made it. A run that is killed
leaves at most a last line cut short, which the next run cuts off.
"""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from .plan import Configuration

RESULTS, MANIFEST = "results.jsonl", "manifest.json"
Line = dict[str, Any]
Place = tuple[str, int, str]  # configuration's key, seed, question's id


class Store:
    """A folder of results, open for one writer.

    Args:
        folder: made if it is not there.

    Attributes:
        configurations: by their keys.
        done: what has been answered.
        cut: bytes of a last line that a killed run had not finished, and that were dropped.

    Raises:
        ValueError: a folder that cannot be written, that another run is writing to, that holds something else, or whose
            file is damaged elsewhere than at its end; one sentence.

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
        self.done: dict[Place, str] = {}
        self.cut = 0
        check_folder(self.folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.lock = FileLock(self.folder / ".lock")
            self.lock.acquire(timeout=0)
        except Timeout:
            raise ValueError(
                f"another run is writing to {self.folder}; wait for it, or choose another folder."
            ) from None
        except OSError as error:
            raise ValueError(f"cannot write to {self.folder}: {error.strerror}.") from error
        try:
            self.file = os.open(self.folder / RESULTS, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
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
        text = path.read_bytes()
        whole = text.rfind(b"\n") + 1
        self.cut = len(text) - whole
        for line in parsed(text[:whole], path):
            self._learn(line)
        if self.cut:
            os.ftruncate(self.file, whole)

    def _learn(self, line: Line) -> None:
        if "configuration" in line:
            self.configurations[line["key"]] = Configuration.from_dict(line["configuration"])
        else:
            self.done[line["key"], line["seed"], line["item"]] = line["question"]

    def append(self, configuration: Configuration, rows: Sequence[Line]) -> None:
        """Add rows of one configuration, all of them or none, and make sure that they are on the disk.

        Raises:
            ValueError: no space left, or another failure to write; nothing was added.
        """
        lines = list[Line]()
        if configuration.key not in self.configurations:
            lines.append({"key": configuration.key, "configuration": asdict(configuration)})
        lines += [row for row in rows if (row["key"], row["seed"], row["item"]) not in self.done]
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
        for line in lines:
            self._learn(line)

    def missing(self, configuration: Configuration, seed: int, items: Iterable[str]) -> list[str]:
        """The questions that have no answer yet."""
        return [item for item in items if (configuration.key, seed, item) not in self.done]

    def manifest(self) -> dict[str, Any]:
        """What the last run said about itself; empty in a new folder."""
        return manifest_of(self.folder)

    def describe(self, manifest: dict[str, Any]) -> None:
        """Write the manifest, at once and whole."""
        write_whole(self.folder / MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")

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
        others = [path.name for path in folder.iterdir() if path.name not in (".lock", MANIFEST)]
        if others:
            raise ValueError(f"{folder} holds other files and no {RESULTS}; choose a new or empty folder.")


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


def parsed(text: bytes, path: Path) -> Iterator[Line]:
    """The lines of a file of results.

    Raises:
        ValueError: a line that is none.
    """
    for number, line in enumerate(text.split(b"\n")[:-1], 1):
        try:
            found = json.loads(line)
            if not isinstance(found, dict) or "key" not in found:
                raise ValueError("it is no line of results")
        except ValueError as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            raise ValueError(
                f"line {number} of {path} is damaged ({reason}); delete the line to have its question answered again."
            ) from error
        yield found


def read(folder: str | Path) -> tuple[dict[str, Configuration], list[Line], dict[str, Any]]:
    """Configurations by key, results and manifest of a folder, without writing to it.

    Raises:
        ValueError: no results there, or a damaged file.

    >>> folder = tempfile.mkdtemp()
    >>> Store(folder).close()
    >>> read(folder)
    ({}, [], {})
    """
    folder = Path(folder)
    path = folder / RESULTS
    if not path.is_file():
        raise ValueError(f"{folder} holds no {RESULTS}; kad eval writes one.")
    text = path.read_bytes()
    lines = list(parsed(text[: text.rfind(b"\n") + 1], path))
    configurations = {x["key"]: Configuration.from_dict(x["configuration"]) for x in lines if "configuration" in x}
    rows = [x for x in lines if "configuration" not in x]
    if orphan := next((x for x in rows if x["key"] not in configurations), None):
        raise ValueError(f"{path} has results of the configuration {orphan['key']}, which it does not describe.")
    return configurations, rows, manifest_of(folder)


def manifest_of(folder: Path) -> dict[str, Any]:
    """The manifest of a folder; empty if there is none.

    Raises:
        ValueError: it is damaged.
    """
    path = folder / MANIFEST
    if not path.exists():
        return {}
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is damaged ({error.msg}); restore it, or choose another folder.") from error
    return found
