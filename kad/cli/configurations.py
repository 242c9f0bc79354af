"""Options from YAML files, and losses, solvers and targets as people write them, made into what the parser reads.

``solver: Primal`` with ``solver.budget: 0.9`` beside it, ``solver: {Primal: {budget: 0.9}}``, and the parser's own
``solver: {class_path: Primal, init_args: {budget: 0.9}}`` are the same.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from ..bounded import check_yaml, read_text
from ..errors import UsageError, said
from .names import nearest
from .refusals import CLASSES, choose_from


def as_json(given: str, lists: Collection[str], names: Collection[str]) -> str:
    """The options of a file, or of YAML that is given itself, for the parser.

    Args:
        given: a path, or YAML that begins with a brace or has several lines.
        lists: options that may be given several times: one value is a list of one.
        names: all options.

    Raises:
        UsageError: it cannot be read, or is no mapping of options; one sentence.

    >>> as_json("{max-new-tokens: 3, stop: x, solver: Primal, solver.budget: 0.9}", ["stop"], ["max_new_tokens", "stop", "solver"])
    '{"max_new_tokens": 3, "stop": ["x"], "solver": {"class_path": "Primal", "init_args": {"budget": 0.9}}}'
    """
    inline = given.lstrip().startswith("{") or "\n" in given
    what = "the options" if inline else f"the options from {given}"
    try:
        text = given if inline else read_text(Path(given), what)
        check_yaml(text)
        found = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        about = said(error)
        raise UsageError(about if about.startswith("cannot read") else f"cannot read {what}: {about}") from error
    if found is None:
        found = {}
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise UsageError(f"{what} must be options with their values, such as `window: 3`.")
    options = gathered_settings({key.replace("-", "_"): value for key, value in found.items()}, what)
    for key, value in options.items():
        if key not in names:
            raise UsageError(f"{what}: there is no option {key!r}{nearest(key, names) or '.'}")
        if key in CLASSES and value is not None:
            options[key] = made_of(key, value)
        elif key in lists and not isinstance(value, list):
            options[key] = [value]
    return json.dumps(options, default=str)


def gathered_settings(options: Mapping[str, Any], what: str) -> dict[str, Any]:
    """``solver.budget`` goes into ``solver``."""
    found = {key: value for key, value in options.items() if "." not in key}
    for key, value in options.items():
        name, dot, setting = key.partition(".")
        if not dot:
            continue
        if name not in CLASSES or found.get(name) is None:
            raise UsageError(f"{what}: {key} is a setting of {name}, which is not given beside it.")
        whole = made_of(name, found[name])
        found[name] = {**whole, "init_args": {**whole.get("init_args", {}), setting: value}}
    return found


def made_of(key: str, value: Any) -> dict[str, Any]:
    """A loss, a solver or a target as the parser takes it.

    Raises:
        UsageError: there is none of this name.

    >>> made_of("solver", {"Primal": {"budget": 0.9}})
    {'class_path': 'Primal', 'init_args': {'budget': 0.9}}
    >>> made_of("solver", "mine.MySolver")
    {'class_path': 'mine.MySolver'}
    """
    if isinstance(value, dict) and "class_path" not in value and len(value) == 1:
        ((name, settings),) = value.items()
        value = {"class_path": name, "init_args": settings or {}}
    whole = value if isinstance(value, dict) else {"class_path": value}
    name, settings = whole.get("class_path"), whole.get("init_args", {})
    if not isinstance(name, str) or not isinstance(settings, dict):
        example = f"{key}: {CLASSES[key][1]}, or {key}: {{{CLASSES[key][1]}: {{NAME: VALUE}}}}"
        raise UsageError(f"a {key} is written as {example}; got {value!r}.")
    if "." not in name and name not in CLASSES[key]:
        raise UsageError(f"there is no {key} {name!r}{nearest(name, CLASSES[key]) or '.'} {choose_from(key)}")
    return whole
