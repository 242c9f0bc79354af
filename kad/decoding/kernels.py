"""The arithmetic of a round, plain or fused by ``torch.compile``: what reads or writes whole vocabularies.

The plain functions are the reference; fused, each is a kernel or two instead of one per operation, which on a GPU is
most of what a round costs outside the models.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..decisions import Decision, Reading, decide
from ..distributions import softmax
from ..mixture import Target
from .verify import inverse_cdf, mixture_residual


def leftover(decision: Decision, p: Tensor, q: Tensor) -> Tensor:
    """`mixture_residual` from a decision and the masses p and q* that are mixed."""
    return mixture_residual(decision.kept(p), q, decision.alpha)


@dataclass(frozen=True)
class Kernels:
    """The four steps, see the functions of these names; ``leftover`` is what a rejected draft is replaced from."""

    softmax: Callable[[Tensor, float], Tensor] = softmax
    inverse_cdf: Callable[[Tensor, Tensor], Tensor] = inverse_cdf
    decide: Callable[[Target, Reading, Reading | None], Decision | None] = decide
    leftover: Callable[[Decision, Tensor, Tensor], Tensor] = leftover


PLAIN = Kernels()


def fused(options: dict[str, Any]) -> Kernels:
    """The same compiled, with ``torch.compile``'s options; made once per options. Losses and solvers of a user's own
    that cannot be traced run as they are."""
    return compiled(tuple(sorted(options.items())))


@functools.cache
def compiled(options: tuple[tuple[str, Any], ...]) -> Kernels:
    # Shapes change from round to round: one kernel for all of them. No CUDA graphs: these outputs live on.
    chosen = {"dynamic": True} | {key: value for key, value in options if key != "mode"}
    fast: Callable[[Any], Any] = functools.partial(torch.compile, **chosen)
    return Kernels(fast(softmax), fast(inverse_cdf), fast(decide), fast(leftover))
