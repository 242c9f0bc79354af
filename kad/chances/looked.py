"""How a decoder looks at what a class that is not kad's own answers; here at a source of chance."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..arithmetic import mode
from ..checks import called, missing
from .chance import Chance, passed

METHODS = {"pick": 1, "coin": 1, "leading": 1, "about": 5, "settled": 1}  # and how many arguments each is given


def foreign(thing: object) -> bool:
    """Whether its class is not kad's own.

    >>> import kad
    >>> foreign(kad.dual(0.4)), foreign([])
    (False, True)
    """
    return not (type(thing).__module__ + ".").startswith("kad.")


def wrong(thing: Any, suite: str, what: str) -> ValueError:
    """The sentence: whose class, what is wrong, and the suite that shows it on small inputs."""
    kind = type(thing)
    return ValueError(f"{kind.__name__}{what}; kad.testing.check_{suite}({called(kind)}) shows it on small inputs.")


def described(found: Any) -> str:
    return f"{found.dtype} {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__


class Looked(Chance):
    """A source of somebody else's, every answer of which is looked at: a few numbers a row, so it costs next to nothing.

    What it says of rows whose decision does not count is made harmless, whatever it is.

    Raises:
        ValueError: a method that cannot be called as the decoder does; then, in use, an answer that is none.
    """

    def __init__(self, inner: Chance) -> None:
        self.inner, self.where, self.fresh = inner, torch.ones(0, dtype=torch.bool), True
        for name, arguments in METHODS.items():
            if said := missing(getattr(inner, name), arguments):
                raise self.fault(f".{name} must take {arguments} arguments by position, but there is: {said}")
        self.mode = inner.greedy  # asked once
        if not isinstance(self.mode, bool):
            raise self.fault(
                f".greedy must be True or False, a property or an attribute, got {type(inner.greedy).__name__}"
            )

    def fault(self, what: str) -> ValueError:
        return wrong(self.inner, "chance", what)

    def about(self, rows: Tensor, place: Tensor, where: Tensor, what: str, step: int = 0) -> None:
        self.where = where
        self.inner.about(rows, place, where, what, step)

    def answer(self, name: str, found: Any, like: Tensor, *dtypes: torch.dtype) -> Tensor:
        """One answer per row, of one of the dtypes, where the question is."""
        if not (isinstance(found, Tensor) and found.shape == like.shape[:1] and found.dtype in dtypes):
            raise self.fault(
                f".{name} must return {dtypes[0]} ({len(like)},), one for every row, got {described(found)}"
            )
        return found.to(like.device)

    def pick(self, weights: Tensor) -> Tensor:
        if self.mode:  # where everything is deferred nothing is kept, and no answer counts
            weights = torch.where(weights.amax(-1, keepdim=True) > 0, weights, 1.0)
        given = weights.clone() if self.fresh else weights
        token = self.answer("pick", self.inner.pick(weights), weights, torch.int64)
        if not torch.equal(given, weights):
            raise self.fault(".pick changes the weights that it is given: let it work on a copy")
        self.fresh = False
        where, size = self.where.to(token.device), weights.shape[-1]
        outside = where & ((token < 0) | (token >= size))
        if bool(outside.any()):
            raise self.fault(f".pick must return ids in [0, {size}), got {int(token[outside][0])}")
        token = token.clamp(0, size - 1)
        if self.mode:
            if bool((where & (token != mode(weights))).any()):
                raise self.fault(
                    " says that it is greedy, but .pick does not return the heaviest token, of equal ones the first"
                )
        elif bool((where & (weights.gather(-1, token.unsqueeze(-1)).squeeze(-1) <= 0)).any()):
            raise self.fault(".pick returns a token of weight zero")
        return token

    def coin(self, probability: Tensor) -> Tensor:
        return self.answer("coin", self.inner.coin(probability), probability, torch.bool)

    def leading(self, probability: Tensor) -> Tensor:
        count = self.answer("leading", self.inner.leading(probability), probability, torch.int64, torch.int32).long()
        where, most = self.where.to(count.device), passed(probability > 0)
        beyond = where & ((count < 0) | (count > most))
        if bool(beyond.any()):
            raise self.fault(
                f".leading must count coins before the first that cannot come up, at most {int(most[beyond][0])}, "
                f"got {int(count[beyond][0])}"
            )
        return torch.minimum(count.clamp_min(0), most)

    def settled(self, value: Tensor) -> Tensor:
        found = self.inner.settled(value)
        if not (isinstance(found, Tensor) and found.shape == value.shape and found.dtype == value.dtype):
            raise self.fault(f".settled must give back what it was given, {described(value)}, got {described(found)}")
        return found
