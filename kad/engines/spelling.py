"""Targets as plain data, for processes that build them anew: what `kad generate --target` reads, class_path and init_args."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from ..imports import made
from ..losses import Loss
from ..solvers import Solver
from ..target import Target

PARTS: dict[str, type[Any]] = {"target": Target, "loss": Loss, "solver": Solver}


def spell(thing: Any) -> Any:
    """A target, a loss or a solver as JSON holds it. A reference model is left out: it is named by its place, elsewhere.

    Raises:
        ValueError: it is no dataclass of numbers and names, or another process could not import it.

    >>> import kad
    >>> spell(kad.Ensemble(0.5))
    {'class_path': 'kad.mixture.Ensemble', 'init_args': {'weight': 0.5, 'placement': 'models'}}
    """
    if thing is None or isinstance(thing, bool | int | float | str):
        return thing
    if isinstance(thing, torch.Tensor) and thing.ndim == 0:
        return thing.item()
    kind = type(thing)
    if not dataclasses.is_dataclass(thing) or not isinstance(thing, tuple(PARTS.values())):
        raise ValueError(
            f"{thing!r} cannot be sent to another process; a target is spelled by numbers and names alone."
        )
    if "." in kind.__qualname__ or kind.__module__ == "__main__":
        raise ValueError(
            f"{kind.__qualname__} must stand at the top of a module, from which another process can import it."
        )
    fields = {f.name: getattr(thing, f.name) for f in dataclasses.fields(thing) if f.init and f.name != "reference"}
    return {
        "class_path": f"{kind.__module__}.{kind.__qualname__}",
        "init_args": {name: spell(value) for name, value in fields.items()},
    }


def unspelled(plain: Any, reference: Any = None, what: str = "target") -> Any:
    """What `spell` wrote. ``reference`` stands in a target's field of that name.

    Raises:
        ValueError: it cannot be imported or made.

    >>> import kad
    >>> unspelled(spell(kad.dual(0.4, "draws"))) == kad.dual(0.4, "draws")
    True
    """
    if not isinstance(plain, dict):
        return plain
    given = {
        name: unspelled(value, reference, name if name in PARTS else what) for name, value in plain["init_args"].items()
    }
    return made(plain["class_path"], what, PARTS[what], given | {"reference": reference})
