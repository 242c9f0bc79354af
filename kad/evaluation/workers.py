"""The interface: who answers the units of a sweep. The driver alone writes the store."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Work = TypeVar("Work")
Piece = TypeVar("Piece")


class Workers(ABC):
    """Maps units to what was found for them: in any order, each at least once, several pieces of a unit as they come."""

    @abstractmethod
    def map(
        self, units: Iterable[Work], work: Callable[[Work], Iterable[Piece]]
    ) -> Iterator[tuple[Work, Piece | None]]:
        """A unit and one piece of what it found; None after its last."""


class Here(Workers):
    """In this process, one after another.

    >>> list(Here().map([2], range))
    [(2, 0), (2, 1), (2, None)]
    """

    def map(
        self, units: Iterable[Work], work: Callable[[Work], Iterable[Piece]]
    ) -> Iterator[tuple[Work, Piece | None]]:
        for unit in units:
            for found in work(unit):
                yield unit, found
            yield unit, None
