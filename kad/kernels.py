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

from .chances import Choice
from .decisions import Decision, Reading, decide
from .distributions import by_numpy, softmax
from .draws import inverse_cdf
from .mixture import Target
from .solvers import Cut
from .speculation import mixture_residual, surplus

FEW = 16  # rows


def leftover(decision: Decision, p: Tensor, q: Tensor) -> Choice:
    """What a rejected draft is replaced from, given the masses p and q* that are mixed: see `mixture_residual`.

    It lies on the kept tokens alone (theory S10). On a CPU only these are looked at, which for a threshold are few.
    """
    if isinstance(decision.kind, Cut) and by_numpy(p) and len(p) <= FEW:
        few = decision.kind.kept_tokens(p)
        if few is not None:
            tokens, kept = few
            rest, nothing = surplus(kept, q.gather(-1, tokens), decision.alpha)
            if not bool(nothing.any()):
                return Choice(rest, tokens)
            if bool(nothing.all()):
                return Choice(q)
    return Choice(mixture_residual(decision.kept(p), q, decision.alpha))


@dataclass(frozen=True)
class Kernels:
    """The four steps, see the functions of these names; ``leftover`` is what a rejected draft is replaced from."""

    softmax: Callable[[Tensor, float], Tensor] = softmax
    inverse_cdf: Callable[[Tensor, Tensor], Tensor] = inverse_cdf
    decide: Callable[[Target, Reading, Reading | None], Decision | None] = decide
    leftover: Callable[[Decision, Tensor, Tensor], Choice] = leftover


PLAIN = Kernels()


def fused(options: dict[str, Any]) -> Kernels:
    """The same compiled, with ``torch.compile``'s options; made once per options."""
    return compiled(tuple(sorted(options.items())))


@functools.cache
def compiled(options: tuple[tuple[str, Any], ...]) -> Kernels:
    # Shapes change from round to round: one kernel for all of them. No CUDA graphs: these outputs live on.
    chosen = {"dynamic": True} | {key: value for key, value in options if key != "mode"}
    fast: Callable[[Any], Any] = functools.partial(torch.compile, **chosen)
    traced, untraceable = fast(decide), list[Target]()  # a list, for targets that have no hash

    def decide_or_fall_back(target: Target, base: Reading, proxy: Reading | None) -> Decision | None:
        """Solvers that leave torch, such as `Exact` or a user's own in NumPy, run as they are."""
        if target not in untraceable:
            try:
                decision: Decision | None = traced(target, base, proxy)
                return decision
            except torch._dynamo.exc.TorchDynamoException:
                untraceable.append(target)
        return decide(target, base, proxy)

    return Kernels(fast(softmax), fast(inverse_cdf), decide_or_fall_back, fast(leftover))
