"""A CPU's fast ways: NumPy for few rows, and no sort of a large vocabulary."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..cut import Cut
from ..distributions import BLOCK, accumulation_dtype, block_sums
from .machine import Prefix, Weights, each
from .plain import NEARLY_ONE, Torch, surplus, with_share
from .selection import HEAVY, border_of_masses, prefix_by_digits

SORTED = 1024  # vocabularies up to this size are sorted: nothing is faster
SOME = 64  # one token in so many may be kept for their ids to be of use
DRAWS = 4  # rows up to which NumPy draws
ROWS = 16  # rows up to which each is looked at by itself


class Cpu(Torch):
    """Eager tensors in main memory: the same results as `Torch`, where that is slow by other ways."""

    asks = True

    def below(self, mass: Tensor, threshold: float | Tensor) -> Tensor:
        if mass.shape[-1] <= SORTED:
            return super().below(mass, threshold)
        if isinstance(threshold, Tensor):  # the way of each row is its own, so that it gets what it would get alone
            return torch.where(threshold < HEAVY, super().below(mass, threshold), left_below(mass, threshold))
        return super().below(mass, threshold) if threshold < HEAVY else left_below(mass, threshold)

    def partial_prefix(self, loss: Tensor, mass: Tensor, budget: float | Tensor) -> Prefix:
        if mass.shape[-1] > SORTED and loss.dtype in (torch.float32, torch.float64):
            return prefix_by_digits(loss, mass, budget)
        return super().partial_prefix(loss, mass, budget)

    def partial_cut(self, mass: Tensor, budget: float | Tensor, fill: bool) -> Cut:
        shape, size = mass.shape[:-1], mass.shape[-1]
        if size <= SORTED:
            return super().partial_cut(mass, budget, fill)
        rows = mass.reshape(-1, size).numpy()
        found = [border_of_masses(p, room) for p, room in zip(rows, each(budget, len(rows)), strict=True)]
        value, critical, deferred, ties = zip(*found, strict=True)
        return with_share(
            mass.new_tensor(value).view(shape), torch.tensor(critical).view(shape),
            torch.tensor(deferred, dtype=torch.float64).view(shape), budget if fill else 0.0, any(ties),
        )  # fmt: skip

    def kept(self, cut: Cut, mass: Tensor) -> Tensor:
        mass, row = mass.detach(), cut.at((..., None))
        if row.value.numel() > ROWS:
            return cut.kept(mass)
        # One pass a row: it keeps what is above a number.
        below = torch.nextafter(row.value, torch.zeros_like(row.value)).reshape(-1).tolist()
        rows = zip(mass.reshape(-1, mass.shape[-1]), below, strict=True)
        parts = [torch.threshold(masses, number, 0.0) for masses, number in rows]
        return row.without_share((parts[0] if len(parts) == 1 else torch.stack(parts)).view(mass.shape), mass)

    def leftover(self, d: Tensor | Cut, p: Tensor, q: Tensor, alpha: Tensor) -> Weights:
        """It lies on the kept tokens alone, and only these are looked at, which for a threshold are few."""
        few = kept_tokens(d, p) if isinstance(d, Cut) and len(p) <= ROWS else None
        if few is None:
            return super().leftover(d, p, q, alpha)
        tokens, kept = few
        rest, nothing = surplus(kept, q.gather(-1, tokens), alpha)
        if bool(nothing.all()):
            return Weights(q)
        return super().leftover(d, p, q, alpha) if bool(nothing.any()) else Weights(rest, tokens)

    def draw(self, weights: Tensor, uniform: Tensor) -> Tensor:
        if weights.shape[-1] <= 4 * BLOCK or len(weights) > DRAWS:
            return super().draw(weights, uniform)
        share, blocks = uniform.to(accumulation_dtype(weights)), torch.cat(block_sums(weights), -1)
        rows = zip(weights.detach().numpy(), blocks.detach().numpy(), share.tolist(), strict=True)
        return torch.tensor([draw_from_row(*row) for row in rows])

    def mode(self, weights: Tensor) -> Tensor:
        # NumPy's takes a thirtieth of the time at 150,000 tokens
        return torch.from_numpy(np.asarray(weights.detach().numpy().argmax(-1)))


def kept_tokens(cut: Cut, mass: Tensor) -> tuple[Tensor, Tensor] | None:
    """The tokens that are not deferred and their P_v (1 − d_v), both ``(R, k)``, of a few rows ``(R, V)``.

    Rows with fewer than k of them are filled with token 0 and mass 0. None if they are so many that `Cpu.kept` is faster.
    """
    masks = [p >= v for p, v in zip(mass.detach().numpy(), cut.value.numpy(), strict=True)]
    counts = [int(np.count_nonzero(mask)) for mask in masks]
    most = max(1, *counts)
    if most > mass.shape[-1] // SOME:
        return None
    tokens = torch.zeros(len(masks), most, dtype=torch.long)
    for row, mask in enumerate(masks):
        tokens[row, : counts[row]] = torch.from_numpy(np.flatnonzero(mask))
    found = mass.gather(-1, tokens)
    if cut.tied or cut.share is not None:
        found = found * (1 - cut.at((..., None)).of(found, tokens))
    if min(counts) < most:
        found.masked_fill_(torch.arange(most) >= torch.tensor(counts).unsqueeze(-1), 0)
    return tokens, found


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
