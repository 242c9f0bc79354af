"""A GPU's ways: draws by two kernels of kad's own, and no sort of a vocabulary whose border lies among its heaviest tokens."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..cut import Cut
from ..distributions import blockwise_sum, running_sums
from .machine import Prefix
from .plain import Torch, prefix_by_sorting, with_share

FORMULAS = Torch()


@functools.cache
def kernel() -> Callable[[Tensor, Tensor], Tensor]:
    """`Torch.draw` in two kernels, where torch came with a compiler for them; else as it is."""
    try:
        from .scan import draw_by_scan
    except ImportError:
        return FORMULAS.draw
    return draw_by_scan


# An operation of torch's own dispatcher: the compiler takes it as it is, and devices that only count see one call.
DISPATCHED: Any = torch.library.Library("kad", "DEF")  # type: ignore[no-untyped-call]
DISPATCHED.define("draw(Tensor weights, Tensor uniform) -> Tensor")
DISPATCHED.impl("draw", FORMULAS.draw, "CPU")
DISPATCHED.impl("draw", lambda weights, uniform: kernel()(weights, uniform), "CUDA")
torch.library.register_fake(
    "kad::draw", lambda weights, uniform: weights.new_empty(len(weights), dtype=torch.int64), lib=DISPATCHED
)


NUCLEUS = 4096  # tokens that are looked at before a vocabulary is sorted
HEAVIER = 2.0**-12  # than this fewer weigh
PIECES_SORTED = 4  # in which rows are sorted one after the other: a sort takes eight times the memory of what it sorts


class Gpu(Torch):
    def partial_prefix(self, loss: Tensor, mass: Tensor, budget: float | Tensor) -> Prefix:
        rows = math.prod(mass.shape[:-1])
        size = -(-rows // PIECES_SORTED)
        given = [torch.split(x.reshape(rows, -1), size) for x in (loss, mass)]
        rooms = torch.split(budget.reshape(rows), size) if isinstance(budget, Tensor) else [budget] * len(given[0])
        found = zip(*map(prefix_by_sorting, *given, rooms), strict=True)
        return Prefix(*(torch.cat(x).view(*mass.shape[:-1], -1) for x in found))

    def partial_cut(self, mass: Tensor, budget: float | Tensor, fill: bool) -> Cut:
        """Where the budget runs out among the heaviest tokens, which it mostly does, only these are sorted."""
        if mass.shape[-1] <= NUCLEUS:
            return super().partial_cut(mass, budget, fill)
        value, critical, deferred, inside = border_among_heaviest(mass, budget)
        if not bool(inside.all()):
            return super().partial_cut(mass, budget, fill)
        return with_share(value, critical, deferred, budget if fill else 0.0, True)

    def draw(self, weights: Tensor, uniform: Tensor) -> Tensor:
        found: Tensor = torch.ops.kad.draw(weights, uniform)
        return found


def border_among_heaviest(mass: Tensor, budget: float | Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The critical token's mass and id, the mass deferred as a whole, and whether the budget does run out there, ``(*batch,)``."""
    ids = mass.topk(NUCLEUS, sorted=False).indices.sort(-1).values
    members, order = mass.gather(-1, ids).sort(dim=-1, stable=True)  # equal ones by token id
    ids = ids.gather(-1, order)
    heavy = torch.where(members > HEAVIER, members, 0.0)
    running = running_sums(heavy, torch.float64)
    below = blockwise_sum(mass) - running[..., -1]
    room = (budget if isinstance(budget, Tensor) else torch.full_like(below, budget)) - below
    count = (running <= room.unsqueeze(-1)).sum(-1, keepdim=True)
    at = count.clamp(max=NUCLEUS - 1)
    before = running.gather(-1, at) - heavy.gather(-1, at)
    inside = (room >= 0) & (count.squeeze(-1) < NUCLEUS)
    return members.gather(-1, at).squeeze(-1), ids.gather(-1, at).squeeze(-1), below + before.squeeze(-1), inside


GPU = Gpu()
