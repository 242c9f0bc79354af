"""Cases for the statements, and a way to see that a wrong statement is noticed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from torch import Tensor

import kad

from ..core.strategies import BUDGETS, LOSSES, distributions

MULTIPLIERS = st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 5))


@dataclass(frozen=True)
class Case:
    """p, q*, the true P, a loss of p (or any non-negative numbers), a decision, μ and b."""

    p: Tensor
    q: Tensor
    true: Tensor
    loss: Tensor
    d: Tensor
    multiplier: float
    budget: float


@st.composite
def cases(draw: st.DrawFn) -> Case:
    p = draw(distributions())
    n = len(p)
    q, true = draw(distributions(size=n)), draw(distributions(size=n))
    numbers = st.lists(st.floats(0, 10), min_size=n, max_size=n)
    kind = draw(st.one_of(st.none(), st.sampled_from(LOSSES)))
    loss = torch.tensor(draw(numbers), dtype=torch.float64) if kind is None else kind(p, q)
    d = torch.tensor(draw(st.lists(st.floats(0, 1), min_size=n, max_size=n)), dtype=torch.float64)
    if draw(st.booleans()):
        d = d.round()
    return Case(p, q, true, loss, d, draw(MULTIPLIERS), draw(BUDGETS))


def finite(loss: Tensor) -> Tensor:
    """For statements with another mass than p: infinite losses would meet positive mass."""
    return loss.clamp(max=1e3)


def random_cases(count: int = 400, seed: int = 0) -> list[Case]:
    """Ordinary cases, for showing that wrong statements fail."""
    g = torch.Generator().manual_seed(seed)
    found = []
    for i in range(count):
        n = 2 + i % 6
        p, q, true = (torch.softmax(2 * torch.randn(n, generator=g, dtype=torch.float64), -1) for _ in range(3))
        d, (a, b) = torch.rand(n, generator=g).double().round(), torch.rand(2, generator=g).tolist()
        found.append(Case(p, q, true, kad.Logistic()(p), d, 3 * a, b))
    return found


def is_caught(wrong: Callable[[Case], kad.theory.Claim]) -> bool:
    """Whether a deliberately wrong statement fails on some case."""
    return any(not wrong(case).holds() for case in random_cases())
