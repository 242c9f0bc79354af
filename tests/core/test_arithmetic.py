"""Every machine against the reference, which is written from the formulas: random, peaked, flat and tied masses."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kad.arithmetic import CPU, TORCH, Arithmetic, Weights, fused
from kad.arithmetic.cpu import SORTED
from kad.distributions import BLOCK

from ..reference import Reference
from .test_selection import KINDS, distribution

MACHINES = {"torch": TORCH, "cpu": CPU, "traced": fused(backend="eager")}
SIZES = [7, SORTED + 1, 4 * BLOCK + 5]
REFERENCE = Reference()
BUDGETS = (0.0, 0.05, 0.5, 0.9, 1.0, torch.tensor([0.3, 1.0], dtype=torch.float64))


def close(a: torch.Tensor, b: torch.Tensor) -> None:
    torch.testing.assert_close(a.double(), b.double(), atol=1e-12, rtol=0, equal_nan=False)


def spread(choice: Weights, size: int) -> torch.Tensor:
    if choice.tokens is None:
        return choice.weights
    return torch.zeros(len(choice.weights), size, dtype=torch.float64).scatter_add(1, choice.tokens, choice.weights)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", MACHINES)
def test_decisions(name: str, kind: str, size: int) -> None:
    machine, p = MACHINES[name], distribution(kind, size, torch.float64)
    for threshold in (0.0, 1e-5, 0.2, 1.0, torch.tensor([0.3, 1e-4], dtype=torch.float64)):
        close(machine.below(p, threshold), REFERENCE.below(p, threshold))
    for budget in BUDGETS:
        for loss in (-p.log(), (1 - p).round(decimals=1)):
            for a, b in zip(machine.prefix(loss, p, budget), REFERENCE.prefix(loss, p, budget), strict=True):
                close(a, b)
        for fill in (False, True):
            a, b = machine.lightest(p, budget, fill), REFERENCE.lightest(p, budget, fill)
            close(a.dense(p), b.dense(p))
            close(a.alpha, b.alpha)
            close(machine.kept(a, p), REFERENCE.kept(a, p))
            close(REFERENCE.kept(a, p), p * (1 - a.dense(p)))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", MACHINES)
def test_draws(name: str, kind: str, size: int) -> None:
    machine, p, q = MACHINES[name], distribution(kind, size, torch.float64), distribution(kind, size, torch.float64, 1)
    assert torch.equal(machine.mode(p), REFERENCE.mode(p))
    for u in (0.0, 0.25, 0.5, 0.999):  # sums of these masses are exact
        uniform = torch.full((2,), u, dtype=torch.float64)
        assert torch.equal(machine.draw(p, uniform), REFERENCE.draw(p, uniform))
    cut = CPU.lightest(p, 0.6, True)
    dense, alpha, whole = cut.dense(p), cut.alpha, torch.ones(2, dtype=torch.float64)
    for d in (cut, dense):
        close(spread(machine.leftover(d, p, q, alpha), size), spread(REFERENCE.leftover(d, p, q, alpha), size))
        close(spread(machine.leftover(d, p, q, whole), size), p * (1 - dense))


@given(st.lists(st.floats(-30, 30), min_size=2, max_size=40), st.floats(0.1, 5))
def test_softmax(logits: list[float], temperature: float) -> None:
    x = torch.tensor(logits, dtype=torch.float64)
    for machine in (TORCH, CPU):
        close(machine.softmax(x, temperature), REFERENCE.softmax(x, temperature))


def test_a_machine_of_ones_own_needs_every_operation() -> None:
    class Half(Arithmetic):
        pass

    with pytest.raises(TypeError, match="abstract"):
        Half()  # type: ignore[abstract]
