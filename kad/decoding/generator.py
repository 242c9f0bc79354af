"""What the argument ``generator`` becomes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from ..arithmetic import Arithmetic
from ..chances import Agreed, Chance, Greedy, Looked, PerRow, Sampled
from ..chances.looked import foreign
from ..checks import instance
from ..checks import seed as check_seed
from .huggingface import is_parallel


def source(
    sample: bool, generator: torch.Generator | Chance | None, models: Iterable[Any], arithmetic: Arithmetic
) -> Chance:
    """Where decisions come from; one process decides for all that share a model (``tp_plan``).

    Raises:
        ValueError: a generator that is none, or a source that draws where nothing is to be drawn.
    """
    chance: Chance = Greedy()
    if isinstance(generator, type) and issubclass(generator, Chance):
        instance("generator", generator, Chance)  # type: ignore[type-abstract]
    if isinstance(generator, Chance):
        own = Looked(generator) if foreign(generator) else generator
        if sample or own.greedy:
            chance = own
        elif own.seeded_rows is None:  # seeds of rows, which like any other have nothing to do here
            raise ValueError(
                f"do_sample=False decodes greedily, and {type(generator).__name__} draws; add do_sample=True, leave it out, or "
                "let its `greedy` be True if it takes the heaviest token everywhere."
            )
    elif generator is not None and not isinstance(generator, torch.Generator):
        raise ValueError(f"generator must be a torch.Generator or a kad.Chance, got {type(generator).__name__}.")
    elif sample:
        chance = Sampled(generator, arithmetic.draw)
    return Agreed(chance) if any(is_parallel(model) for model in models) else chance


def seeded(generator: Any, seed: Any, device: torch.device) -> Any:
    """The generator that was given, or one of a seed, or of a seed for every row.

    Raises:
        ValueError: both, or a seed that is no whole number.
    """
    if seed is None:
        return generator
    if generator is not None:
        raise ValueError("pass either generator or seed, not both.")
    many = hasattr(seed, "__iter__") and not isinstance(seed, str)  # a list, a tuple, an array, a tensor
    given = seed.tolist() if hasattr(seed, "tolist") else seed
    return PerRow(list(given)) if many else torch.Generator(device=device).manual_seed(check_seed(given))
