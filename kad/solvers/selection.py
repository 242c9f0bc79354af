"""Where the budget runs out: the greedy's prefix of every row, without sorting the vocabulary where that is slow.

Two ways to one answer: by sorting (the definition; on a GPU, and for few tokens, also the fastest) and by the digits of
the losses, on a CPU. A third, for losses that fall strictly with the mass, is `lightest`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..distributions import accumulation_dtype, by_numpy
from .base import descending
from .parameters import each

SORTED = 1024  # vocabularies up to this size are sorted: nothing is faster
DIGIT = 12  # bits of a loss that are looked at at once: a histogram that stays in the nearest cache
FEW = 256  # tokens that are sorted in the end


class Prefix(NamedTuple):
    """The longest prefix, by falling loss and then by token id, of mass ≤ b.

    Attributes:
        fits: whether a token is in it, ``(*batch, V)``.
        critical: the first token that does not fit, ``(*batch, 1)``; V if all do.
        left: the budget that the prefix leaves unfilled, ``(*batch, 1)``, in the dtype of sums.
    """

    fits: Tensor
    critical: Tensor
    left: Tensor


def prefix(loss: Tensor, mass: Tensor, budget: float | Tensor) -> Prefix:
    """The greedy's prefix of every row. With b = 1 everything is deferred, whatever the masses' rounded sum.

    ``budget`` is that of all rows or of every row, ``(*batch,)`` in the dtype of accumulation.
    """
    loss, mass = loss.detach(), mass.detach()  # which tokens are deferred has no gradient
    if not isinstance(budget, Tensor) and budget >= 1:
        shape = (*mass.shape[:-1], 1)
        everything = torch.ones_like(mass, dtype=torch.bool)
        critical = torch.full(shape, mass.shape[-1], device=mass.device)
        return Prefix(everything, critical, torch.zeros(shape, dtype=accumulation_dtype(mass), device=mass.device))
    by_digits = by_numpy(mass) and mass.shape[-1] > SORTED and loss.dtype in (torch.float32, torch.float64)
    found = prefix_by_digits(loss, mass, budget) if by_digits else prefix_by_sorting(loss, mass, budget)
    if not isinstance(budget, Tensor):
        return found
    whole = (budget >= 1).unsqueeze(-1)
    critical = torch.where(whole, mass.shape[-1], found.critical)
    return Prefix(found.fits | whole, critical, found.left.masked_fill(whole, 0))


def prefix_by_sorting(loss: Tensor, mass: Tensor, budget: float | Tensor) -> Prefix:
    """The definition: sort, sum, compare. On a GPU, and for few tokens, also the fastest."""
    budget = budget.unsqueeze(-1) if isinstance(budget, Tensor) else budget
    order = descending(loss)
    ordered = mass.gather(-1, order).to(accumulation_dtype(mass))
    running = ordered.cumsum(-1)
    inside = running <= budget
    count = inside.sum(-1, keepdim=True)  # prefixes are contiguous
    size = mass.shape[-1]
    place = count.clamp(max=size - 1)
    critical = torch.where(count < size, order.gather(-1, place), size)
    before = torch.where(count < size, running.gather(-1, place) - ordered.gather(-1, place), running[..., -1:])
    return Prefix(torch.zeros_like(inside).scatter(-1, order, inside), critical, budget - before)


def prefix_by_digits(loss: Tensor, mass: Tensor, budget: float | Tensor) -> Prefix:
    """The same without sorting the vocabulary: a radix selection by mass.

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
