"""Acceptance, residuals and what is certain without q*: the formulas of speculative decoding (theory S10, S11)."""

from __future__ import annotations

import torch
from torch import Tensor

from .distributions import blockwise_sum, by_numpy
from .draws import mode


def acceptance(pi: Tensor, q: Tensor) -> Tensor:
    """min(1, π(x) / q(x)) for drafted tokens x ~ q (theory S10), elementwise."""
    return (pi / q).clamp(max=1.0)


def residual(pi: Tensor, q: Tensor) -> Tensor:
    """(π − q)₊, unnormalised, ``(B, V)``; π itself where that is numerically zero."""
    rest = (pi - q).clamp_min_(0)
    nothing = rest.sum(-1, keepdim=True) <= 16 * torch.finfo(pi.dtype).eps
    return torch.where(nothing, pi, rest)


def surplus(kept: Tensor, q: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
    """(p (1 − d) − (1 − α) q*)₊ of some or all tokens, ``(B, k)``, from p (1 − d), q* and α; and where it is nothing.

    It is the `residual` of a mixture, without forming that, and proportional to (p_keep − q*)₊ (theory S10).
    """
    rest = torch.addcmul(kept, q, alpha.to(q.dtype).unsqueeze(-1) - 1).clamp_min_(0)
    return rest, blockwise_sum(rest) <= 16 * torch.finfo(rest.dtype).eps


def mixture_residual(kept: Tensor, q: Tensor, alpha: Tensor) -> Tensor:
    """`surplus` over the vocabulary, ``(B, V)``. Where it is numerically zero, π equals q* to rounding: then q*."""
    rest, nothing = surplus(kept, q, alpha)
    if by_numpy(rest) and not bool(nothing.any()):
        return rest
    return torch.where(nothing.unsqueeze(-1), q, rest)  # on a GPU a pass over memory is cheaper than to wait for `any`


def certain(kept: Tensor, alpha: Tensor) -> Tensor:
    """Whether argmax π is the argmax of ``kept`` = p (1 − d) whatever q* is (theory S11), ``(B, V), (B,) -> (B,)``.

    Strict comparisons: in a tie the token ids decide, and only π knows them.
    """
    if kept.shape[-1] == 1:
        return torch.ones_like(alpha, dtype=torch.bool)
    at = mode(kept).unsqueeze(-1)
    first = kept.gather(-1, at).squeeze(-1)
    second = kept.scatter(-1, at, 0.0).amax(-1)
    return (alpha == 0) | ((first > alpha) & (first > second + alpha))
