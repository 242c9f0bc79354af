"""A GPU's ways: draws by two kernels of kad's own, and no sort of a vocabulary whose border lies among its heaviest tokens."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .plain import Torch

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


class Gpu(Torch):
    def draw(self, weights: Tensor, uniform: Tensor) -> Tensor:
        found: Tensor = torch.ops.kad.draw(weights, uniform)
        return found


GPU = Gpu()
