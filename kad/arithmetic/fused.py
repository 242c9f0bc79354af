"""`Torch`, fused by ``torch.compile``: a kernel or two instead of one per operation, which on a GPU is most of what a round
costs outside the models."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .gpu import GPU
from .machine import P, R
from .plain import Torch


class Fused(Torch):
    """Compiled with ``torch.compile``'s options; made once per options, see `fused`."""

    def __init__(self, options: dict[str, Any]) -> None:
        # Shapes change from round to round: one kernel for all of them. No CUDA graphs: these outputs live on.
        chosen = {"dynamic": True} | {key: value for key, value in options.items() if key != "mode"}
        self.compile: Callable[[Any], Any] = functools.partial(torch.compile, **chosen)
        plain = Torch()
        for operation in (plain.softmax, plain.leftover):
            setattr(self, operation.__name__, self.compile(operation))
        self.compiled_draw = self.compile(plain.draw)
        self.traced = dict[Callable[..., Any], Any]()
        self.untraceable = list[tuple[Any, ...]]()  # a list, for targets that have no hash

    def draw(self, weights: Tensor, uniform: Tensor) -> Tensor:
        """On a GPU by kernels of kad's own, which the compiler does not better."""
        drawn: Tensor = GPU.draw(weights, uniform) if weights.is_cuda else self.compiled_draw(weights, uniform)
        return drawn

    def call(self, function: Callable[P, R], *given: P.args, **named: P.kwargs) -> R:
        """Compiled too; what leaves torch, such as `Exact` or a user's own solver in NumPy, runs as it is."""
        mark = (function, given[0])
        if mark not in self.untraceable:
            try:
                found: R = self.fast(function)(*given, **named)
                return found
            except torch._dynamo.exc.TorchDynamoException:
                self.untraceable.append(mark)
        return function(*given, **named)

    def formula(self, function: Callable[..., Tensor], at: Tensor, *given: Any) -> Tensor:
        found: Tensor = self.fast(function)(at, *given) if at.is_cuda else function(at, *given)
        return found

    def fast(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, compiled once."""
        if function not in self.traced:
            self.traced[function] = self.compile(function)
        made: Callable[..., Any] = self.traced[function]
        return made


MADE: dict[str, Fused] = {}


def fused(**options: Any) -> Fused:
    """One for the same options, which may hold a dict."""
    key = repr(sorted(options.items()))
    if key not in MADE:
        MADE[key] = Fused(options)
    return MADE[key]
