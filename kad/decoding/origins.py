"""Whose token it is, where the draw does not tell."""

from __future__ import annotations

import torch
from torch import Tensor

from ..decisions import Decision, Reading
from ..target import Target
from .trace import BASE, PROXY, TARGET


def likelier_origin(target: Target, token: Tensor, base: Reading, q: Reading, decision: Decision | None) -> Tensor:
    """Whichever of p_v (1 − d_v) and α q*_v is the larger, ``(B,)``; of a target that is no mixture neither."""
    if decision is None:
        return torch.full(token.shape, TARGET, dtype=torch.int8)
    at = token.unsqueeze(-1)
    p, q_there = (x.for_mixture(target).gather(1, at).squeeze(-1) for x in (base, q))
    kept, other = p * (1 - decision.of(token, p)), decision.alpha * q_there
    return torch.where(kept >= other, BASE, PROXY).to(torch.int8).cpu()
