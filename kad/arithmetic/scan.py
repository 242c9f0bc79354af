"""A draw in two kernels, written in Triton: the mass of every block, then a block and one of its tokens.

Sums inside a block are formed in float64 and in one fixed order, so a seed's text is the same from run to run, which a scan of
the whole vocabulary by atomic additions would not promise. `TRITON_INTERPRET=1` runs it on a CPU.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

SPAN = 1024
BELOW_ONE = tl.constexpr(1 - 2**-51)  # the product with a sum is then rounded to less than the sum


@triton.jit  # type: ignore[untyped-decorator]
def masses(weights, sums, size, blocks, SPAN: tl.constexpr):  # type: ignore[no-untyped-def]
    """``sums[row, block]``: the weight of a block."""
    row, block = tl.program_id(0), tl.program_id(1)
    at = block * SPAN + tl.arange(0, SPAN)
    w = tl.load(weights + row.to(tl.int64) * size + at, mask=at < size, other=0.0)
    tl.store(sums + row * blocks + block, tl.sum(w.to(tl.float64), axis=0))


@triton.jit  # type: ignore[untyped-decorator]
def place_above(w, goal, at, limit):  # type: ignore[no-untyped-def]
    """The first place of positive weight whose running sum exceeds the goal; the last of positive weight if none does."""
    inside = (tl.cumsum(w, axis=0) > goal) & (w > 0)
    first = tl.min(tl.where(inside, at, limit), axis=0)
    return tl.where(first < limit, first, tl.max(tl.where(w > 0, at, 0), axis=0))


@triton.jit  # type: ignore[untyped-decorator]
def tokens(weights, sums, uniform, out, size, blocks, WIDTH: tl.constexpr, SPAN: tl.constexpr):  # type: ignore[no-untyped-def]
    """``out[row]``: a block by its mass, then a token by what is left of the goal."""
    row = tl.program_id(0)
    number = tl.arange(0, WIDTH)
    mass = tl.load(sums + row * blocks + number, mask=number < blocks, other=0.0)
    goal = tl.minimum(tl.load(uniform + row).to(tl.float64), BELOW_ONE) * tl.sum(mass, axis=0)
    block = place_above(mass, goal, number, WIDTH)
    left = goal - tl.sum(tl.where(number < block, mass, 0.0), axis=0)
    at = block * SPAN + tl.arange(0, SPAN)
    w = tl.load(weights + row.to(tl.int64) * size + at, mask=at < size, other=0.0).to(tl.float64)
    tl.store(out + row, place_above(w, left, at, blocks * SPAN).to(tl.int64))


def draw_by_scan(weights: Tensor, uniform: Tensor) -> Tensor:
    """See `Arithmetic.draw`; NaN weights give a token too, and never one outside the vocabulary."""
    weights = weights.contiguous()
    rows, size = weights.shape
    blocks = triton.cdiv(size, SPAN)
    sums = torch.empty(rows, blocks, dtype=torch.float64, device=weights.device)
    out = torch.empty(rows, dtype=torch.int64, device=weights.device)
    masses[(rows, blocks)](weights, sums, size, blocks, SPAN=SPAN)
    tokens[(rows,)](
        weights, sums, uniform.contiguous(), out, size, blocks, WIDTH=triton.next_power_of_2(blocks), SPAN=SPAN
    )
    return out
