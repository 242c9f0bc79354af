"""The primal greedy: defer by falling loss for as long as the budget lasts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..distributions import accumulation_dtype, check_budget
from .base import Solver, descending

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


def prefix(loss: Tensor, mass: Tensor, budget: float) -> Prefix:
    """The greedy's prefix of every row. With b = 1 everything is deferred, whatever the masses' rounded sum."""
    loss, mass = loss.detach(), mass.detach()  # a decision has no gradient
    if budget >= 1:
        shape = (*mass.shape[:-1], 1)
        everything = torch.ones_like(mass, dtype=torch.bool)
        critical = torch.full(shape, mass.shape[-1], device=mass.device)
        return Prefix(everything, critical, torch.zeros(shape, dtype=accumulation_dtype(mass), device=mass.device))
    by_digits = mass.device.type == "cpu" and mass.shape[-1] > SORTED and loss.dtype in (torch.float32, torch.float64)
    return prefix_by_digits(loss, mass, budget) if by_digits else prefix_by_sorting(loss, mass, budget)


def prefix_by_sorting(loss: Tensor, mass: Tensor, budget: float) -> Prefix:
    """The definition: sort, sum, compare. On a GPU, and for few tokens, also the fastest."""
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


def prefix_by_digits(loss: Tensor, mass: Tensor, budget: float) -> Prefix:
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
    for row, (signed, weight) in enumerate(zip(keys, masses, strict=True)):
        key = signed.clamp_min(0)  # −0.0 is 0
        found = border(key, weight.to(wide), budget)
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


@final
@dataclass(frozen=True)
class Primal(Solver):
    """Sort by ℓ descending and defer the longest prefix of mass ≤ b, the same for every row (theory S4).

    Its risk exceeds the optimum by at most ℓ_c u, the loss of the critical token times the unfilled budget; with
    the logistic loss that is less than 1/e nats. With a decreasing loss the kept set is the nucleus (top-p) of
    mass ≥ 1 − b (theory S5). Equal losses are deferred in the order of the token ids.

    Attributes:
        budget: b in [0, 1].

    Raises:
        ValueError: budget outside [0, 1].

    >>> import torch
    >>> p = torch.tensor([0.5, 0.3, 0.2])
    >>> Primal(budget=0.6).defer(-p.log(), p)
    tensor([0., 1., 1.])
    """

    budget: float
    feasible: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_budget(self.budget)

    def defer(self, loss: Tensor, mass: Tensor) -> Tensor:
        return prefix(loss, mass, self.budget).fits.view(torch.uint8).to(mass.dtype)  # bytes convert faster than bools
