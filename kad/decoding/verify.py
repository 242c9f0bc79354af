"""Draws, acceptance and residuals: pure tensor functions, and the source of chance that the loop asks.

The loop takes every random decision through a `Chance`, so that the tests can put an enumeration of all outcomes
in its place and compute the emitted law exactly.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from ..distributions import accumulation_dtype

BLOCK = 1024  # tokens whose mass is summed before one of them is looked for


def inverse_cdf(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """The token at which the cumulative mass first exceeds ``uniform · Σ p``; ``(B, V), (B,) -> (B,)``.

    A token of probability zero is never drawn, and the rounded sum of the probabilities does not matter. Of a large
    vocabulary the mass of blocks is summed first, and then the tokens of one block a row: one pass over memory, and
    no sum runs so long that it swallows light tokens.

    >>> import torch
    >>> inverse_cdf(torch.tensor([[0.0, 0.25, 0.75]]), torch.tensor([0.3]))
    tensor([2])
    """
    rows, size = probabilities.shape
    if size <= 4 * BLOCK:
        return first_above(probabilities, uniform)[0]
    whole = size // BLOCK * BLOCK
    blocks = probabilities[:, :whole].reshape(rows, -1, BLOCK).sum(-1)
    if whole < size:
        blocks = torch.cat([blocks, probabilities[:, whole:].sum(-1, keepdim=True)], -1)
    block, rest = first_above(blocks, uniform)
    at = block.unsqueeze(-1) * BLOCK + torch.arange(BLOCK, device=probabilities.device)
    inner = probabilities.gather(-1, at.clamp(max=size - 1)).masked_fill(at >= size, 0)
    return block * BLOCK + first_above(inner, rest)[0]


def first_above(weights: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Where the cumulative weight first exceeds ``uniform`` of the whole, and which share of that weight is passed."""
    cdf = weights.cumsum(-1, dtype=accumulation_dtype(weights))
    total = cdf[:, -1:].contiguous()
    goal = uniform.to(cdf.dtype).unsqueeze(-1) * total
    found = torch.searchsorted(cdf, goal, right=True)
    last = torch.searchsorted(cdf, total)  # the last one of positive weight: u·Σ may round up to Σ
    found = torch.minimum(found, last)
    weight = weights.gather(-1, found).to(cdf.dtype)
    passed = (goal - (cdf.gather(-1, found) - weight)) / weight
    return found.squeeze(-1), passed.clamp(0, 1).squeeze(-1)


def acceptance(pi: Tensor, q: Tensor) -> Tensor:
    """min(1, π(x) / q(x)) for drafted tokens x ~ q (theory S10), elementwise."""
    return (pi / q).clamp(max=1.0)


def residual(pi: Tensor, q: Tensor) -> Tensor:
    """(π − q)₊, unnormalised, ``(B, V)``; π itself where that is numerically zero.

    For a mixture it is proportional to (p_keep − q*)₊ (theory S10).
    """
    rest = (pi - q).clamp_min(0)
    nothing = rest.sum(-1, keepdim=True) <= 16 * torch.finfo(pi.dtype).eps
    return torch.where(nothing, pi, rest)


def certain(kept: Tensor, alpha: Tensor) -> Tensor:
    """Whether argmax π is the argmax of ``kept`` = p (1 − d) whatever q* is (theory S11), ``(B, V), (B,) -> (B,)``.

    Strict comparisons: in a tie the token ids decide, and only π knows them.
    """
    if kept.shape[-1] == 1:
        return torch.ones_like(alpha, dtype=torch.bool)
    top = kept.topk(2, dim=-1).values
    return (alpha == 0) | ((top[:, 0] > alpha) & (top[:, 0] > top[:, 1] + alpha))


class Chance(ABC):
    """Where decisions come from."""

    @abstractmethod
    def pick(self, weights: Tensor) -> Tensor:
        """One token per row, in proportion to the weights; ``(B, V) -> (B,)``."""

    @abstractmethod
    def coin(self, probability: Tensor) -> Tensor:
        """True with the given probability; ``(B,) -> (B,)``."""

    @abstractmethod
    def leading(self, probability: Tensor) -> Tensor:
        """How many coins of a row come up before its first failure; ``(B, n) -> (B,)``."""


class Sampled(Chance):
    """Random decisions from a `torch.Generator` (None: torch's global one)."""

    def __init__(self, generator: torch.Generator | None = None) -> None:
        self.generator = generator

    def uniform(self, like: Tensor, *shape: int) -> Tensor:
        # float64 wherever it exists: a float32 uniform has 24 bits, and never reaches tokens lighter than 6e-8.
        dtype = accumulation_dtype(like)
        source = self.generator.device if self.generator is not None else like.device
        return torch.rand(*shape, generator=self.generator, device=source, dtype=dtype).to(like.device)

    def pick(self, weights: Tensor) -> Tensor:
        return inverse_cdf(weights, self.uniform(weights, weights.shape[0]))

    def coin(self, probability: Tensor) -> Tensor:
        return self.uniform(probability, *probability.shape) < probability

    def leading(self, probability: Tensor) -> Tensor:
        return self.coin(probability).int().cumprod(-1).sum(-1)


class Greedy(Chance):
    """The mode, always; equal values by the lowest token id. Acceptance probabilities are then 0 or 1."""

    def pick(self, weights: Tensor) -> Tensor:
        return weights.argmax(-1)

    def coin(self, probability: Tensor) -> Tensor:
        return probability >= 1

    def leading(self, probability: Tensor) -> Tensor:
        return (probability >= 1).int().cumprod(-1).sum(-1)
