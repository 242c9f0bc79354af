"""Variables of a chat template, as the shell gives them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from ..decoding.template import check_variables


def variables(options: Sequence[str]) -> dict[str, Any]:
    """Variables of a chat template, from texts such as ``enable_thinking=false``; values as YAML reads them.

    Raises:
        ValueError: no name and value, or a name twice.

    >>> variables(["enable_thinking=false", "date_string=1 May 2026"])
    {'enable_thinking': False, 'date_string': '1 May 2026'}
    """
    return check_variables(named_values("--template-option", options))


def named_values(flag: str, options: Sequence[str]) -> dict[str, Any]:
    """Plain values by name, from texts such as ``tensor_parallel_size=2``; errors as for `variables`, about this flag."""
    found = dict[str, Any]()
    for option in options:
        name, equals, value = option.partition("=")
        if not equals or name in found:
            raise ValueError(f"{flag} takes NAME=VALUE, each name once, got {option!r}.")
        try:
            read = yaml.safe_load(value) if len(value) < 1000 else value
        except yaml.YAMLError:
            read = value
        found[name] = read if isinstance(read, bool | int | float | str) else value
    return found
