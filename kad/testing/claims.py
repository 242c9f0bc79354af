"""What the suites share: the inputs, and how a claim fails."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from ..checks import called, forgotten_classvar

ROUNDING = 1e-9  # for float64 sums over at most eight tokens
LARGEST = 8


def distributions(seed: int = 0, count: int = 40) -> Iterator[Tensor]:
    """float64 distributions ``(V,)``, ordinary and hostile: one token, ties, zeros, one-hot, one heavy token."""
    generator = torch.Generator().manual_seed(seed)
    yield torch.tensor([1.0], dtype=torch.float64)
    yield torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    yield torch.full((5,), 0.2, dtype=torch.float64)
    yield torch.tensor([0.25, 0.25, 0.5, 0.0], dtype=torch.float64)
    yield torch.tensor([0.97, 0.01, 0.01, 0.01], dtype=torch.float64)
    yield torch.tensor([0.5, 0.5 - 1e-12, 1e-12], dtype=torch.float64)
    for i in range(count):
        size = 2 + i % (LARGEST - 1)
        yield torch.softmax((1 + i % 4) * torch.randn(size, generator=generator, dtype=torch.float64), -1)


def companion(p: Tensor) -> Tensor:
    """Another distribution over as many tokens: the second row of a batch, in which the first must not change."""
    weights = torch.arange(1, len(p) + 1, dtype=p.dtype) ** 3
    return weights / weights.sum()


def claim(holds: bool | Tensor, sentence: str) -> None:
    if not bool(holds):
        raise AssertionError(sentence)


def right_kind(thing: object, kind: type) -> None:
    """An instance of the class, not the class itself."""
    if isinstance(thing, type):
        raise AssertionError(f"{thing.__name__} is a class; give an instance: {called(thing)}.")
    claim(isinstance(thing, kind), f"{type(thing).__name__} is not a kad.{kind.__name__}.")


def a_value(thing: object, claims: Sequence[str]) -> None:
    """Losses, solvers and targets are values: frozen dataclasses, which compare and hash by their fields.

    Their claims are of the class, and no fields.
    """
    parameters = getattr(type(thing), "__dataclass_params__", None)
    claim(
        dataclasses.is_dataclass(thing) and parameters is not None and parameters.frozen,
        f"{type(thing).__name__} must be a frozen dataclass (@dataclass(frozen=True)).",
    )
    sentence = forgotten_classvar(thing, claims)
    claim(sentence is None, sentence or "")


def per_token(found: Any, like: Tensor, what: str, at: str) -> None:
    """One number per token, in the right dtype: ``what`` is whose, with its verb."""
    claim(isinstance(found, Tensor), f"{what} must be a tensor, got {type(found).__name__}, {at}.")
    claim(found.shape == like.shape, f"{what} must have shape {tuple(like.shape)}, got {tuple(found.shape)}, {at}.")
    claim(found.dtype == like.dtype, f"{what} must have the dtype {like.dtype}, got {found.dtype}, {at}.")


def a_decision(d: Any, like: Tensor, what: str, at: str) -> None:
    """A decision d over the vocabulary."""
    per_token(d, like, what, at)
    claim(((d >= 0) & (d <= 1)).all(), f"{what} is outside [0, 1]: {d.tolist()}, {at}.")


def same_twice(first: Tensor, second: Tensor, what: str, at: str) -> None:
    """No randomness and no memory: what was found is a function of what was given."""
    claim(
        torch.equal(first, second),
        f"{what} differs when the same input is given twice: it must be a function of its input, with no randomness and "
        f"no memory, {at}.",
    )
