"""Named distributions over a vocabulary, to try solvers on: float64 logits ``(size,)``, the heaviest token first."""

from __future__ import annotations

from typing import get_args

import torch
from torch import Tensor

from ..defaults import Family as Family


def family(
    name: Family, size: int = 151_936, exponent: float = 1.1, spread: float = 3.0, peak: float = 0.9, seed: int = 0
) -> Tensor:
    """A distribution of a named family, ``(size,)``, float64, in falling order.

    Args:
        name: "zipf": p_v ∝ v^(−exponent). "gaussian": independent normal logits of standard deviation ``spread``.
            "peaked": the same under one token of mass ``peak``. "uniform": normal logits of a hundredth of the
            spread, so that no two masses are equal and all are nearly so.
        size: how many tokens.
        exponent: of the Zipf law, above 0.
        spread: standard deviation of the logits, above 0.
        peak: mass of the heaviest token of "peaked", in (0, 1).
        seed: of the random families.

    Raises:
        ValueError: another name, or a parameter outside its range.

    >>> [round(x, 3) for x in family("zipf", size=4, exponent=1.0).tolist()]
    [0.48, 0.24, 0.16, 0.12]
    """
    if name not in get_args(Family):
        raise ValueError(f"family must be one of {', '.join(get_args(Family))}, got {name!r}.")
    if size < 1 or not exponent > 0 or not spread > 0 or not 0 < peak < 1:
        raise ValueError(
            "a family needs size ≥ 1, exponent > 0, spread > 0 and 0 < peak < 1; "
            f"got {size}, {exponent}, {spread}, {peak}."
        )
    noise = torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    if name == "zipf":
        logits = -exponent * torch.arange(1, size + 1, dtype=torch.float64).log()
    elif name == "uniform":
        logits = spread / 100 * noise
    else:
        logits = spread * noise
    if name == "peaked" and size > 1:
        p = torch.cat([torch.tensor([peak], dtype=torch.float64), (1 - peak) * torch.softmax(logits[1:], -1)])
    else:
        p = torch.softmax(logits, -1)
    return p.sort(descending=True).values
