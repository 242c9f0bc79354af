"""What users give as YAML files: read within bounds, so that a small file cannot stand for a large thing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from ..bounded import check_yaml, read_text


def read_yaml(path: Path, what: str) -> Any:
    """What the file holds; ``what`` is its name in the sentence if it cannot be read.

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
