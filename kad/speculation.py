"""Acceptance, residuals and what is certain without q*: the formulas of speculative decoding (theory S10, S11)."""

from __future__ import annotations

import torch
from torch import Tensor

from .arithmetic import mode


def acceptance(pi: Tensor, q: Tensor) -> Tensor:
    """min(1, π(x) / q(x)) for drafted tokens x ~ q (theory S10), elementwise."""
    return (pi / q).clamp(max=1.0)


def residual(pi: Tensor, q: Tensor) -> Tensor:
    """(π − q)₊, unnormalised, ``(B, V)``; π itself where that is numerically zero."""
    rest = (pi - q).clamp_min_(0)
    nothing = rest.sum(-1, keepdim=True) <= 16 * torch.finfo(pi.dtype).eps
    return torch.where(nothing, pi, rest, out=rest)


def certain(kept: Tensor, alpha: Tensor) -> Tensor:
    """Whether argmax π is the argmax of ``kept`` = p (1 − d) whatever q* is (theory S11), ``(B, V), (B,) -> (B,)``.

    Strict comparisons: in a tie the token ids decide, and only π knows them.
    """
    if kept.shape[-1] == 1:
        return torch.ones_like(alpha, dtype=torch.bool)
    at = mode(kept).unsqueeze(-1)
    first = kept.gather(-1, at).squeeze(-1)
    second = kept.scatter_(-1, at, 0.0).amax(-1)
    kept.scatter_(-1, at, first.unsqueeze(-1))  # as it was: a copy would take as much memory as all that is kept
    return (alpha == 0) | ((first > alpha) & (first > second + alpha))
