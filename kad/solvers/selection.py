"""Where the budget runs out: the greedy's prefix of every row, without sorting the vocabulary where that is slow.

Three ways to one answer: by sorting (the definition; on a GPU, and for few tokens, also the fastest), by the digits of
the losses, and by mass alone for losses that fall strictly with it. The last two are for a CPU.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..distributions import accumulation_dtype, blockwise_sum, by_numpy, whole_where
from .base import descending
from .cut import Cut

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


def each(value: float | Tensor, rows: int) -> list[float]:
    """The number of every row."""
    return value.reshape(-1).tolist() if isinstance(value, Tensor) else [value] * rows


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


# -- losses that fall strictly with the mass ---------------------------------------------------------------------------

HEAVY = 2.0**-12  # fewer than 4,096 tokens weigh more
STRIDE = 32  # one token in so many is looked at to guess where the border lies
MARGIN = 8  # looked-at tokens by which the bracket is wider than the guess says


def mass_below(mass: Tensor, threshold: float | Tensor) -> Tensor:
    """Σ_v P_v [P_v < threshold], ``(*batch,)``, of masses that sum to 1; a threshold of all rows, or of every row."""
    if not by_numpy(mass) or mass.shape[-1] <= SORTED:
        return summed_below(mass, threshold)
    if isinstance(threshold, Tensor):  # the way of each row is its own, so that it gets what it would get alone
        return torch.where(threshold < HEAVY, summed_below(mass, threshold), left_below(mass, threshold))
    return summed_below(mass, threshold) if threshold < HEAVY else left_below(mass, threshold)


def summed_below(mass: Tensor, threshold: float | Tensor) -> Tensor:
    """The same as a sum."""
    if not isinstance(threshold, Tensor):
        below = blockwise_sum(torch.where(mass < threshold, mass, 0))
        return whole_where(lambda: mass.amax(-1) < threshold, below).to(mass.dtype)
    level = threshold.to(mass.dtype)  # rounded as a plain number would be
    below = blockwise_sum(torch.where(mass < level.unsqueeze(-1), mass, 0))
    return whole_where(lambda: mass.amax(-1) < level, below).to(mass.dtype)


def left_below(mass: Tensor, threshold: float | Tensor) -> Tensor:
    """The same on a CPU: what is left after the few heavy tokens."""
    rows = mass.reshape(-1, mass.shape[-1]).numpy()
    levels = each(threshold, len(rows))
    heavy = (p[np.flatnonzero(p >= p.dtype.type(level))] for p, level in zip(rows, levels, strict=True))
    return mass.new_tensor([max(0.0, 1.0 - float(p.sum(dtype=np.float64))) for p in heavy]).view(mass.shape[:-1])


def lightest_cut(mass: Tensor, budget: float | Tensor, fill: bool) -> Cut:
    """The greedy for any loss that falls strictly with the mass: the lightest tokens first, equal ones by token id.

    ``budget`` as for `prefix`; ``fill``: of the critical token, the share that fills it.
    """
    mass = mass.detach()
    if isinstance(budget, Tensor):
        return cut_where(budget >= 1, whole_cut(mass), partial_cut(mass, budget, fill))
    return whole_cut(mass) if budget >= 1 else partial_cut(mass, budget, fill)


def whole_cut(mass: Tensor) -> Cut:
    """Everything, whatever the rounded sum: every mass is below 2."""
    every = mass.new_ones(mass.shape[:-1])
    return Cut(2 * every, every, torch.zeros_like(every, dtype=torch.long))


def cut_where(here: Tensor, one: Cut, other: Cut) -> Cut:
    """One cut, without a share, at some positions and another elsewhere."""
    assert one.critical is not None
    assert other.critical is not None
    share = None if other.share is None else other.share.masked_fill(here, 0)
    value, alpha = torch.where(here, one.value, other.value), torch.where(here, one.alpha, other.alpha)
    return Cut(value, alpha, torch.where(here, one.critical, other.critical), share, other.tied)


def partial_cut(mass: Tensor, budget: float | Tensor, fill: bool) -> Cut:
    """`lightest_cut` for budgets below 1."""
    shape, size = mass.shape[:-1], mass.shape[-1]
    if not by_numpy(mass) or size <= SORTED:
        return sorted_cut(mass, budget, fill)
    rows = mass.reshape(-1, size).numpy()
    found = [border_of_masses(p, room) for p, room in zip(rows, each(budget, len(rows)), strict=True)]
    value, critical, deferred, ties = zip(*found, strict=True)
    return with_share(
        mass.new_tensor(value).view(shape), torch.tensor(critical).view(shape),
        torch.tensor(deferred, dtype=torch.float64).view(shape), budget if fill else 0.0, any(ties),
    )  # fmt: skip


def sorted_cut(mass: Tensor, budget: float | Tensor, fill: bool) -> Cut:
    """The same by sorting."""
    _, critical, left = prefix_by_sorting(-mass, mass, budget)
    some = critical < mass.shape[-1]
    value = mass.gather(-1, critical.clamp(max=mass.shape[-1] - 1))
    value, critical = torch.where(some, value, 2.0), torch.where(some, critical, 0)
    return with_share(value.squeeze(-1), critical.squeeze(-1), budget - left.squeeze(-1), budget if fill else 0.0, True)


def with_share(value: Tensor, critical: Tensor, deferred: Tensor, fill: float | Tensor, tied: bool) -> Cut:
    """A cut that defers ``deferred`` in whole tokens, and of the critical one what brings that up to ``fill``, if not 0."""
    deferred = torch.where(value < 2, deferred.clamp(max=1), 1.0)
    if not isinstance(fill, Tensor) and not fill:
        return Cut(value, deferred.to(value.dtype), critical, tied=tied)
    some = (value < 2) & (fill > 0) if isinstance(fill, Tensor) else value < 2
    left = torch.where(some, fill - deferred, 0.0).clamp_min(0)
    share = (left / value.to(left.dtype)).clamp(0, 1)
    return Cut(value, (deferred + left).to(value.dtype), critical, share.to(value.dtype), tied)


Bracket = tuple[NDArray[np.int64], NDArray[np.floating], float]


def border_of_masses(p: NDArray[np.floating], room: float) -> tuple[float, int, float, bool]:
    """One row's critical mass and token, the mass of what goes before it, and whether equal tokens do.

    Only the tokens of a bracket are sorted: the heavy ones, where the border lies if the distribution is peaked; then
    those that a sample points at, where it lies if it is flat; in the end all of them.
    """
    for bracket in (heavy, sampled, everything):
        ids, members, below = bracket(p, room)
        running = members.cumsum(dtype=np.float64)
        if len(ids) and below <= room < below + running[-1]:
            break
    else:
        return 2.0, 0, float(running[-1]), False  # all of them fit
    at = min(int(running.searchsorted(room - below, side="right")), len(ids) - 1)  # room - below is rounded
    value = members[at]
    equal = at - int(members.searchsorted(value))
    critical = ids[p[ids] == value][equal]
    return float(value), int(critical), below + (float(running[at - 1]) if at else 0.0), equal > 0


# A bracket: the ids of all tokens whose mass lies in some interval, their masses in order (equal masses need no order
# among themselves), and the mass of all that is lighter.


def heavy(p: NDArray[np.floating], room: float) -> Bracket:
    if p.max() <= HEAVY:
        return np.empty(0, dtype=np.int64), p[:0], 0.0
    ids = np.flatnonzero(p > HEAVY)
    members = np.sort(p[ids])
    return ids, members, float(blockwise_sum(torch.from_numpy(p))) - float(members.sum(dtype=np.float64))


def sampled(p: NDArray[np.floating], room: float) -> Bracket:
    """A sample guesses the border; the mass below that guess is summed, and the sample says how far to go from it."""
    sample = np.sort(p[::STRIDE])
    below = sample.cumsum()  # in the sample's units
    last, unit = len(sample) - 1, float(below[-1])
    guess = sample[min(int(below.searchsorted(room * unit)), last)]
    # Σ min(p, guess) counts every token above the guess once as if it weighed so much.
    above = np.count_nonzero(p > guess)
    lighter = float(blockwise_sum(torch.from_numpy(p).clamp(max=float(guess)))) - float(guess) * above
    far = int(below.searchsorted((room + 1.3 * (room - lighter)) * unit))  # densities are right to a few percent
    if lighter <= room:
        ids = np.flatnonzero((p > guess) & (p <= sample[min(far + MARGIN, last)]))
        return ids, np.sort(p[ids]), lighter
    ids = np.flatnonzero((p > sample[max(far - MARGIN, 0)]) & (p <= guess))
    members = np.sort(p[ids])
    return ids, members, lighter - float(members.sum(dtype=np.float64))


def everything(p: NDArray[np.floating], room: float) -> Bracket:
    return np.arange(len(p)), np.sort(p), 0.0
