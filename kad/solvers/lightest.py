"""The greedy and the threshold by mass alone, for losses that fall strictly with it: the lightest tokens are deferred.

On a CPU, and for many tokens, neither the vocabulary is sorted nor the losses are computed.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..distributions import blockwise_sum, by_numpy, whole_where
from .cut import Cut
from .parameters import each
from .selection import SORTED, prefix_by_sorting

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
