"""What NumPy does faster than torch with single rows on a CPU: draws, and the border of a budget without a sort."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..distributions import BLOCK, blockwise_sum
from .plain import NEARLY_ONE

HEAVY = 2.0**-12  # fewer than 4,096 tokens weigh more
STRIDE = 32  # one token in so many is looked at to guess where the border lies
MARGIN = 8  # looked-at tokens by which the bracket is wider than the guess says


def each(value: float | Tensor, rows: int) -> list[float]:
    """The number of every row, from one of all rows or from those of the rows."""
    return value.reshape(-1).tolist() if isinstance(value, Tensor) else [value] * rows


def draw_from_row(p: NDArray[np.floating], blocks: NDArray[np.floating], share: float) -> int:
    """A draw from one row: for a few rows NumPy's calls cost a third of torch's."""
    block, share = first_above_in_row(blocks, share)
    return block * BLOCK + first_above_in_row(p[block * BLOCK : (block + 1) * BLOCK], share)[0]


def first_above_in_row(weights: NDArray[np.floating], share: float) -> tuple[int, float]:
    """`first_above` of one row."""
    cdf = weights.cumsum(dtype=np.float64)
    goal = min(share, NEARLY_ONE[torch.float64]) * float(cdf[-1])
    found = int(cdf.searchsorted(goal, side="right"))
    return found, max(0.0, (goal - float(cdf[found])) / float(weights[found]) + 1)


def left_below(mass: Tensor, threshold: float | Tensor) -> Tensor:
    """The mass below a threshold: what is left after the few heavy tokens."""
    rows = mass.reshape(-1, mass.shape[-1]).numpy()
    levels = each(threshold, len(rows))
    heavy = (p[np.flatnonzero(p >= p.dtype.type(level))] for p, level in zip(rows, levels, strict=True))
    return mass.new_tensor([max(0.0, 1.0 - float(p.sum(dtype=np.float64))) for p in heavy]).view(mass.shape[:-1])


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
