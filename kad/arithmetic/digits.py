"""Where the budget runs out, by the digits of the losses: a radix selection on a CPU."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..distributions import accumulation_dtype
from .machine import Prefix
from .rows import each

DIGIT = 12  # bits of a loss that are looked at at once: a histogram that stays in the nearest cache
FEW = 256  # tokens that are sorted in the end


def prefix_by_digits(loss: Tensor, mass: Tensor, budget: float | Tensor) -> Prefix:
    """`prefix_by_sorting` without sorting the vocabulary.

    The bits of a non-negative float, read as an integer, order as the float does. So the place where the budget runs
    out is found digit by digit: sum the mass of every digit's value, and go on within the value that does not fit.
    Tokens that share all bits are told apart by their ids.
    """
    size, wide = mass.shape[-1], accumulation_dtype(mass)
    bits = loss.contiguous().view(torch.int32 if loss.dtype == torch.float32 else torch.int64)
    keys, masses = bits.view(-1, size), mass.reshape(-1, size)
    fits = np.empty(keys.shape, dtype=np.bool_)
    critical, left = torch.empty(len(keys), 1, dtype=torch.long), torch.empty(len(keys), 1, dtype=wide)
    for row, (signed, weight, room) in enumerate(zip(keys, masses, each(budget, len(keys)), strict=True)):
        key = signed.clamp_min(0)  # −0.0 is 0
        found = border(key, weight.to(wide), room)
        np.greater(key.numpy(), found.key, out=fits[row])  # NumPy compares five times as fast as torch on a CPU
        fits[row, found.inside] = True
        critical[row], left[row] = found.critical, found.left
    shape = mass.shape[:-1]
    return Prefix(torch.from_numpy(fits).view(mass.shape), critical.view(*shape, 1), left.view(*shape, 1))


class Border(NamedTuple):
    """Where one row's prefix ends: tokens above ``key`` are in it, and the tokens ``inside``; the rest as in `Prefix`."""

    key: int
    inside: NDArray[np.int64]
    critical: int
    left: float


def border(key: Tensor, weight: Tensor, room: float) -> Border:
    """The end of the prefix of one row of losses, as integers, and masses, ``(V,)``; ``room`` is the budget."""
    size, ids = len(key), None  # None: all of them
    low, high = (int(x) for x in key.aminmax())
    while True:
        shift = max(0, (high - low).bit_length() - DIGIT)
        digit = (key - low) >> shift
        through = torch.bincount(digit, weight, minlength=1 << DIGIT).flip(-1).cumsum(-1)
        above = int(torch.searchsorted(through, room, right=True))  # how many values fit, from the largest
        if above == len(through):  # on the first round alone: later rounds look at what did not fit as a whole
            return Border(low - 1, np.empty(0, dtype=np.int64), size, room - float(through[-1]))
        room -= float(through[above - 1]) if above else 0.0
        chosen = len(through) - 1 - above
        members = torch.from_numpy(np.flatnonzero(digit.numpy() == chosen))
        low += chosen << shift
        high = low + (1 << shift) - 1
        if shift and len(members) <= FEW:
            members = members[key[members].sort(descending=True, stable=True).indices]
        key, weight = key[members], weight[members]
        ids = members if ids is None else ids[members]
        if not shift or len(ids) <= FEW:
            break
    running = weight.cumsum(-1)
    # Their sum exceeds the room, unless another order of addition rounds it down to it.
    inside = min(int(torch.searchsorted(running, room, right=True)), len(ids) - 1)
    return Border(high, ids[:inside].numpy(), int(ids[inside]), room - (float(running[inside - 1]) if inside else 0.0))
