"""Where a decoder's decisions come from.

The loop takes every random decision through a `Chance`, so that the tests can put an enumeration of all outcomes
in its place and compute the emitted law exactly.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from ..transfers import ordinals


def passed(coins: Tensor) -> Tensor:
    """How many coins of a row come up before its first failure; ``(B, n) -> (B,)``."""
    if coins.device.type == "cpu":
        return coins.int().cumprod(-1).sum(-1)
    # Two kernels in place of four: the least place of a failure, else n.
    places = ordinals(coins.shape[-1] + 1, coins.device)
    return torch.where(coins, places[-1], places[:-1]).amin(-1) if len(places) > 1 else coins.sum(-1)


class Chance(ABC):
    """Where a decoder's decisions come from: everything that is drawn is asked of one of these, and of nothing else.

    Subclass it to log decisions, to replay them, to enumerate them, or to draw otherwise, and give an instance as
    ``generator=`` of `kad.generate` or `kad.decoder`. Answers are one per row, where the question is; the rows whose
    decision counts are told by `about` before every question. `kad.testing.check_chance` tests it.

    Attributes:
        seeded_rows: how many rows it has seeds for; None (the default) where it serves any number.

    >>> import kad
    >>> class Logged(kad.Chance):
    ...     def __init__(self, inner):
    ...         self.inner, self.told = inner, []
    ...     def about(self, rows, place, where, what, step=0):
    ...         self.told.append(what)
    ...         self.inner.about(rows, place, where, what, step)
    ...     def pick(self, weights):
    ...         return self.inner.pick(weights)
    ...     def coin(self, probability):
    ...         return self.inner.coin(probability)
    ...     def leading(self, probability):
    ...         return self.inner.leading(probability)
    >>> pair, chance = kad.demo.load(), Logged(kad.Greedy())
    >>> prompt = "q : tom has 6 apples . he loses 2 . he finds 9 more . how many apples does tom have now ? a :"
    >>> out = kad.generate(
    ...     pair.base, pair.proxy, prompt, target=kad.dual(0.4), tokenizer=pair.tokenizer, generator=chance
    ... )
    >>> chance.greedy, chance.told[:4]
    (True, ['draft', 'draft', 'draft', 'accept'])
    """

    seeded_rows: int | None = None

    @abstractmethod
    def pick(self, weights: Tensor) -> Tensor:
        """One token per row, in proportion to the weights, which need not sum to 1; ``(B, V) -> (B,)``, torch.int64."""

    @abstractmethod
    def coin(self, probability: Tensor) -> Tensor:
        """True with the given probability; ``(B,) -> (B,)``, torch.bool."""

    @abstractmethod
    def leading(self, probability: Tensor) -> Tensor:
        """How many coins of a row come up before its first failure; ``(B, n) -> (B,)``, torch.int64."""

    @property
    def greedy(self) -> bool:
        """Whether it always takes the heaviest token, of equal ones the first, and never draws.

        The decoder then emits the mode of π at every position; a source that draws could only accept or replace. By default
        False, or what the source in its attributes says, if it holds one.
        """
        held = [x for x in attributes(self) if hasattr(x, "leading") and x is not self and not isinstance(x, type)]
        return bool(held) and all(getattr(x, "greedy", False) for x in held)

    def about(self, rows: Tensor, place: Tensor, where: Tensor, what: str, step: int = 0) -> None:
        """What the next decision is about, for sources that want to know.

        Args:
            rows: ``(B,)``, numbers of the rows in the original batch.
            place: ``(B,)``, tokens that each has emitted.
            where: ``(B,)``, the rows whose decision counts; the others' is asked for with them, and ignored. On the CPU, but of
                "last", "keep" and "replace" where the models are: on a GPU these are asked in every round, and nobody has waited
                to learn of whom.
            what: "draft", "accept", "last", "keep" or "replace"; asked once per row, place and step.
            step: of a draft.
        """

    def settled(self, value: Tensor) -> Tensor:
        """What was computed rather than drawn, such as whether a mode is certain: the same in every process."""
        return value


def attributes(thing: object) -> list[object]:
    """What an instance holds, in its dict or in its slots."""
    slots = [vars(kind).get("__slots__", ()) for kind in type(thing).__mro__]
    names = [name for slot in slots for name in ([slot] if isinstance(slot, str) else slot)]
    return [*vars(thing).values(), *(getattr(thing, name, None) for name in names if not name.startswith("__"))]
