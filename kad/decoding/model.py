"""One language model with what it remembers: what a lane runs."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

# Called with a model's role and the places of a pass (rows times width, so padding too); the pass runs in what it returns.
Observer = Callable[[str, int], contextlib.AbstractContextManager[Any]]


def unobserved(name: str, places: int) -> contextlib.AbstractContextManager[Any]:
    return contextlib.nullcontext()


class Model(ABC):
    """A model over a batch of ragged rows: it computes and remembers, and counts nothing; a `Lane` does.

    Attributes:
        name: its role, for messages.
        device: where tokens go in.
        vocabulary: the logits that count are the first so many.
        observer: within which every pass runs.
        layers: of its cache; 0 if it has none that can be adopted.
        fixed_rows: rows cannot be dropped while it runs.
    """

    fixed_rows: bool = False
    layers: int = 0

    def __init__(self, name: str, device: torch.device, vocabulary: int) -> None:
        self.name, self.device, self.vocabulary = name, device, vocabulary
        self.observer: Observer = unobserved

    @abstractmethod
    def run(self, tokens: Tensor, positions: Tensor, valid: Tensor, keep: int) -> Tensor:
        """Read ``tokens (B, W)`` at ``positions (B, W)`` where ``valid``; the logits of the last ``keep`` columns.

        Tokens are on the device, positions and ``valid`` on the CPU. A position that is read again is read anew: what was
        remembered there, and behind it, no longer counts. The logits may lie where the model's next pass overwrites them.
        """

    @abstractmethod
    def rollback(self, read: Tensor) -> None:
        """Forget what is behind the first ``read (B,)`` tokens of every row."""

    @abstractmethod
    def select(self, index: Tensor) -> None:
        """Keep only these rows."""

    def adopt(self, layers: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Begin with these keys and values of the first tokens of every row, ``(B, heads, n, head_dim)`` each."""
        raise ValueError(f"the {self.name} cannot continue from a cache; pass the whole prompt without it.")
