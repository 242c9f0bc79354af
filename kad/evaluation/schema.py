"""What the files of a folder of results must hold: read back as it was written, or one sentence about the place.

Raising the format's number is for changes that an older version would misread; a field more is none.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .configuration import Configuration
from .files import read_json

FORMAT = 2  # of format 1, lines do not say of which prompt, part and law they are
MANIFEST = "manifest.json"
Line = dict[str, Any]
NEEDED: dict[str, type | tuple[type, ...]] = {"key": str, "seed": int, "item": str, "question": str}
FIELDS: dict[str, type | tuple[type, ...]] = NEEDED | {
    "text": str, "answer": (str, type(None)), "gold": str, "correct": bool, "finished": bool, "options": list,
    "tokens": int, "rounds": int, "drafted": int,
    "accepted": int, "base_fed": int, "proxy_fed": int, "seconds": (int, float), "ids": list, "origins": str, "alphas": list,
    "grader": dict, "verdict": bool, "asked": bool,
}  # fmt: skip


def parsed(text: bytes, path: Path) -> Iterator[Line]:
    """The lines of a file of results, each a configuration or a result.

    Raises:
        ValueError: a line that is neither.
    """
    for number, line in enumerate(text.split(b"\n")[:-1], 1):
        try:
            found = json.loads(line)
            check_line(found)
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error).removesuffix(".")
            raise ValueError(
                f"line {number} of {path} is damaged ({reason}); delete the line to have its question answered again."
            ) from error
        yield found


def check_line(line: Any) -> None:
    """Raise a ValueError unless this is a line of results."""
    if not isinstance(line, dict) or not isinstance(line.get("key"), str):
        raise ValueError("it is no line of results")
    if "configuration" in line:
        configuration_of(line["configuration"])
        return
    if missing := NEEDED.keys() - line.keys():
        raise ValueError(f"it has no {min(missing)}")
    if line.get("verdict") and not isinstance(line.get("correct"), bool):
        raise ValueError("it is a verdict and has no correct")
    for name, kind in FIELDS.items():
        if name in line and (not isinstance(line[name], kind) or (kind is int and isinstance(line[name], bool))):
            raise ValueError(f"its {name} is {line[name]!r}"[:200])


def configuration_of(fields: Any) -> Configuration:
    """What `dataclasses.asdict` and JSON made of a configuration.

    Raises:
        ValueError: it is none, or has fields of a newer version.

    >>> configuration_of({"task": "gsm8k", "method": "p", "zeal": 3})
    Traceback (most recent call last):
    ValueError: its configuration has the field zeal, which this version of kad does not know; update kad
    """
    known = {field.name for field in dataclasses.fields(Configuration)}
    if not isinstance(fields, dict):
        raise ValueError("its configuration is no object")
    if unknown := sorted(set(fields) - known):
        raise ValueError(
            f"its configuration has the field {unknown[0]}, which this version of kad does not know; update kad"
        )
    for name in ("task", "method"):
        if not isinstance(fields.get(name), str):
            raise ValueError(f"its configuration has no {name}")
    try:
        models = tuple((str(role), str(mark)) for role, mark in fields.get("models", ()))
        template = tuple((str(name), value) for name, value in fields.get("template", ()))
        settings = tuple((str(role), str(mark)) for role, mark in fields.get("settings", ()))
        found = Configuration(**{**fields, "models": models, "template": template, "settings": settings})
        hash(found)
    except (TypeError, ValueError) as error:
        raise ValueError("its configuration has values of the wrong type") from error
    return found


def counts(seeds: Any) -> bool:
    """Whether these are numbers of questions by seed."""
    return isinstance(seeds, dict) and all(type(count) is int for count in seeds.values())


def manifest_of(folder: Path) -> dict[str, Any]:
    """The manifest of a folder; empty if there is none.

    Raises:
        ValueError: it is damaged, or a newer version wrote it.
    """
    path = folder / MANIFEST
    found: dict[str, Any] = read_json(path, default={})
    written = found.get("format", FORMAT)
    sessions = found.get("sessions", [])
    whole = isinstance(sessions, list) and all(isinstance(s, dict) for s in sessions)
    for name in ("asked", "prompts"):
        entries = found.get(name, {})
        whole = whole and isinstance(entries, dict) and all(isinstance(entry, dict) for entry in entries.values())
    whole = whole and all(counts(entry.get("seeds")) for entry in found.get("asked", {}).values())
    if type(written) is not int or not whole:
        raise ValueError(f"{path} is damaged (no format and sessions); restore it, or choose another folder.")
    if written > FORMAT:
        raise ValueError(
            f"{folder} was written by a newer version of kad (format {written}, this one reads {FORMAT}); update kad, or "
            "choose another folder."
        )
    return found
