"""Where the budget runs out, on a CPU and without sorting the vocabulary: by the digits of the losses, or by the masses."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..distributions import accumulation_dtype, blockwise_sum
from .machine import Prefix, each

DIGIT = 12  # bits of a loss that are looked at at once: a histogram that stays in the nearest cache
SORTED_LAST = 256  # tokens that are sorted in the end
HEAVY = 2.0**-12  # fewer than 4,096 tokens weigh more
STRIDE = 32  # one token in so many is looked at to guess where the border lies
MARGIN = 8  # looked-at tokens by which the bracket is wider than the guess says


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
        if shift and len(members) <= SORTED_LAST:
            members = members[key[members].sort(descending=True, stable=True).indices]
        key, weight = key[members], weight[members]
        ids = members if ids is None else ids[members]
        if not shift or len(ids) <= SORTED_LAST:
            break
    running = weight.cumsum(-1)
    # Their sum exceeds the room, unless another order of addition rounds it down to it.
    inside = min(int(torch.searchsorted(running, room, right=True)), len(ids) - 1)
    return Border(high, ids[:inside].numpy(), int(ids[inside]), room - (float(running[inside - 1]) if inside else 0.0))


Bracket = tuple[NDArray[np.int64], NDArray[np.floating], float]


def border_of_masses(p: NDArray[np.floating], room: float) -> tuple[float, int, float, bool]:
    """One row's critical mass and token, the mass of what goes before it, and whether equal tokens do.

    Only the tokens of a bracket are sorted: the heavy ones, where the border lies if the distribution is peaked; then
    those that a sample points at, where it lies if it is flat; in the end all of them.
    """
    for bracket in (heavy, sampled, complete):
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


def complete(p: NDArray[np.floating], room: float) -> Bracket:
    return np.arange(len(p)), np.sort(p), 0.0
