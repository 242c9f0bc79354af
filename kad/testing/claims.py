"""What the suites share: the inputs, and how a claim fails."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ..checks import called


def distributions(seed: int = 0, count: int = 40) -> Iterator[Tensor]:
    """float64 distributions ``(V,)``, of at most eight tokens, ordinary and hostile: one token, ties, zeros, one-hot, one heavy token."""
    generator = torch.Generator().manual_seed(seed)
    yield torch.tensor([1.0], dtype=torch.float64)
    yield torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    yield torch.full((5,), 0.2, dtype=torch.float64)
    yield torch.tensor([0.25, 0.25, 0.5, 0.0], dtype=torch.float64)
    yield torch.tensor([0.97, 0.01, 0.01, 0.01], dtype=torch.float64)
    yield torch.tensor([0.5, 0.5 - 1e-12, 1e-12], dtype=torch.float64)
    for i in range(count):
        size = 2 + i % 7
        yield torch.softmax((1 + i % 4) * torch.randn(size, generator=generator, dtype=torch.float64), -1)


def claim(holds: bool | Tensor, sentence: str) -> None:
    if not bool(holds):
        raise AssertionError(sentence)


def right_kind(thing: object, kind: type) -> None:
    """An instance of the class, not the class itself."""
    if isinstance(thing, type):
        raise AssertionError(f"{thing.__name__} is a class; give an instance: {called(thing)}.")
    claim(isinstance(thing, kind), f"{type(thing).__name__} is not a kad.{kind.__name__}.")
