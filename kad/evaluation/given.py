"""What users give by path: YAML files, and things to import."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import yaml


def read_yaml(path: Path, what: str) -> Any:
    """What the file holds; ``what`` is its name in the sentence if it cannot be read.

    Raises:
        ValueError: no such file, or no YAML.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"cannot read the {what} {path}: {error.strerror}.") from error
    except yaml.YAMLError as error:
        raise ValueError(f"the {what} {path} is no YAML: {' '.join(str(error).split())}.") from error


def imported(path: str, what: str) -> Any:
    """The thing at an import path such as ``mymodule.MyTask``.

    Raises:
        ValueError: it is not there.
    """
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"cannot load the {what} {path}: {error}.") from error
