"""Cases for the statements, and a way to see that a wrong statement is noticed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle, product

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


def hostile_distributions() -> list[Tensor]:
    """One token; zeros; ties; one-hot; uniform; nearly nothing; exact subset sums; and where the prefix saves an eighth."""
    rows = [
        [1.0], [1.0, 0.0], [0.5, 0.5], [0.0, 0.0, 1.0], [0.5, 0.25, 0.25], [0.25, 0.25, 0.5, 0.0], [1 - 1e-12, 1e-12, 0.0],
        [0.595, 0.395, 0.01], [0.2] * 5, [0.4, 0.3, 0.2, 0.1], [0.0, 0.125, 0.5, 0.125, 0.25], [5e-324, 1.0, 5e-324],
    ]  # fmt: skip
    return [torch.tensor(row, dtype=torch.float64) for row in rows]


def hostile_losses(p: Tensor) -> list[Tensor]:
    """Of a strictly falling loss, infinite where p is 0; all zero; all equal; of the modes alone; rising with p; some zero."""
    return [
        kad.Logistic()(p), kad.Perceptron("log")(p), torch.zeros_like(p), torch.ones_like(p), kad.ZeroOne()(p), p.clone(),
        torch.arange(len(p), dtype=p.dtype),
    ]  # fmt: skip


def extreme_cases() -> Iterator[Case]:
    """Every hostile distribution with every hostile loss at every budget that matters, b in {0, 1} among them.

    Prices are 0, those of tokens (ties), and one above all; decisions are nothing, everything, halves and mixed.
    """
    for p in hostile_distributions():
        n = len(p)
        flat, hot = torch.full_like(p, 1 / n), torch.eye(n, dtype=p.dtype)[-1]
        mixed = torch.tensor([0.0, 1.0, 0.5, 0.0, 1.0], dtype=p.dtype)[:n]
        others = cycle(product((flat, hot, p), (hot, p, flat), (0 * p, 0 * p + 1, 0 * p + 0.5, mixed)))
        budgets = {
            0.0,
            1.0,
            0.4,
            float(p.max()),
            float(p.min()),
            float(1 - p.max()),
            float(p[: n // 2].sum().clamp(max=1)),
        }
        for loss in hostile_losses(p):
            known = loss[p > 0]
            for budget in sorted(budgets):
                for price in {0.0, float(known.min()), float(known.max()), float(known.max()) + 1}:
                    for q, true, d in (next(others), next(others)):
                        yield Case(p, q, true, loss, d, price, budget)


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
