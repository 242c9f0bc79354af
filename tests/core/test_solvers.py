"""Solvers against their NumPy twins and the exhaustive optimum; certificates."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import kad
from kad.testing import check_solver

from .strategies import BUDGETS, problems

ROUNDING = 1e-9  # a few float64 sums of at most seven terms, losses up to about 750 nats


SOLVERS: list[kad.Solver] = [
    kad.Dual(multiplier=0.7), kad.Dual(multiplier=0.0), kad.Dual(threshold=0.4), kad.Dual(threshold=1.0),
    kad.Soft(0.7, 0.2), kad.Soft(0.0, 3.0), kad.Soft(-1, 1e-6),
    *[kind(b) for kind in (kad.Primal, kad.Fractional, kad.Brute, kad.Exact, kad.OrTools) for b in (0.0, 0.3, 0.6, 1.0)],
]  # fmt: skip


@pytest.mark.parametrize("solver", SOLVERS, ids=repr)
def test_every_solver_passes_the_public_suite(solver: kad.Solver) -> None:
    check_solver(solver)


def exhaustive(loss: np.ndarray, mass: np.ndarray, budget: float) -> float:
    """r*(b) by looking at every decision; b = 1 allows everything."""
    best = math.inf
    for d in itertools.product([0, 1], repeat=len(mass)):
        if budget >= 1 or sum(m for m, x in zip(mass, d, strict=True) if x) <= budget:
            best = min(best, sum(m * l for m, l, x in zip(mass, loss, d, strict=True) if not x and m > 0))
    return best


def prefix_twin(loss: np.ndarray, mass: np.ndarray, budget: float, fractional: bool) -> np.ndarray:
    """The greedy, token by token."""
    d, used = np.zeros(len(mass)), 0.0
    for v in sorted(range(len(mass)), key=lambda v: (-loss[v], v)):
        if budget >= 1 or used + mass[v] <= budget:
            d[v], used = 1.0, used + mass[v]
        else:
            if fractional:
                d[v] = min(1.0, max(0.0, (budget - used) / mass[v]))
            break
    return d


@given(problems(), BUDGETS)
def test_greedy_solvers_are_their_twins(problem, budget: float) -> None:
    p, losses, _ = problem
    for kind, fractional in ((kad.Primal, False), (kad.Fractional, True)):
        want = prefix_twin(losses.numpy(), p.numpy(), budget, fractional)
        np.testing.assert_allclose(kind(budget).defer(losses, p).numpy(), want, atol=1e-9)


@given(problems(), BUDGETS)
def test_brute_is_the_exhaustive_optimum(problem, budget: float) -> None:
    p, losses, _ = problem
    solution = kad.solve(losses, p, kad.Brute(budget))
    assert abs(float(solution.risk) - exhaustive(losses.numpy(), p.numpy(), budget)) <= ROUNDING
    assert solution.status == ["OPTIMAL"]


@given(problems(), BUDGETS)
def test_certificates_hold(problem, budget: float) -> None:
    """Weak duality, S4 and S6: bound ≤ optimum ≤ primal ≤ bound + ℓ_c u, and the fractional risk is the bound."""
    p, losses, loss = problem
    best = exhaustive(losses.numpy(), p.numpy(), budget)
    primal = kad.solve(losses, p, kad.Primal(budget))
    frac = kad.solve(losses, p, kad.Fractional(budget))
    assert float(primal.lower_bound) <= best + ROUNDING
    assert best <= float(primal.risk) + ROUNDING
    assert abs(float(frac.gap)) <= ROUNDING
    assert float(frac.risk) <= best + ROUNDING
    assert abs(float(frac.deferred_mass) - min(budget, float(p.sum()))) <= 1e-12
    if budget < 1:
        unfilled = budget - float(primal.deferred_mass)
        assert abs(float(primal.gap) - float(primal.price) * unfilled) <= ROUNDING
        if isinstance(loss, kad.Logistic):
            assert float(primal.gap) < 1 / math.e + ROUNDING


@given(problems(), st.floats(0, 3), BUDGETS)
def test_the_dual_is_certified(problem, multiplier: float, budget: float) -> None:
    """S3: optimal for the mass it realises. S2: within μ u of the optimum for any budget it respects."""
    p, losses, _ = problem
    own = kad.solve(losses, p, kad.Dual(multiplier=multiplier))
    assert own.status == ["OPTIMAL"]
    best = exhaustive(losses.numpy(), p.numpy(), float(own.deferred_mass) + 1e-12)
    assert abs(float(own.risk) - best) <= ROUNDING * (1 + multiplier)
    given_budget = kad.solve(losses, p, kad.Dual(multiplier=multiplier), budget=budget)
    best = exhaustive(losses.numpy(), p.numpy(), budget)
    risk, mass = float(given_budget.risk), float(given_budget.deferred_mass)
    if given_budget.status == ["OVER_BUDGET"]:
        assert risk <= best + ROUNDING
    else:
        assert best - ROUNDING <= risk <= best + multiplier * max(0.0, budget - mass) + ROUNDING


def test_batches_ties_and_half_precision() -> None:
    """Rows decide on their own; ties go by token id; bf16 inputs are decided like their float32 values."""
    p = torch.full((2, 3, 4), 0.25)
    d = kad.Primal(0.5).defer(-p.log(), p)
    assert torch.equal(d, torch.tensor([1.0, 1.0, 0.0, 0.0]).expand(2, 3, 4))
    generator = torch.Generator().manual_seed(0)
    logits = (4 * torch.randn(5, 1000, generator=generator)).to(torch.bfloat16)  # many exact ties
    p = kad.softmax(logits)
    assert p.dtype == torch.float32
    for solver in (kad.Primal(0.3), kad.Fractional(0.3)):
        whole = solver.defer(-p.log(), p)
        rows = torch.stack([solver.defer(-row.log(), row) for row in p])
        assert torch.equal(whole, rows)
        assert bool(((p.double() * whole.double()).sum(-1) <= 0.3 + 1e-6).all())


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: kad.Primal(1.5), "budget must lie in"),
        (lambda: kad.Fractional(-0.1), "budget must lie in"),
        (lambda: kad.Brute(float("nan")), "budget must lie in"),
        (lambda: kad.Dual(), "exactly one"),
        (lambda: kad.Dual(multiplier=1, threshold=0.1), "exactly one"),
        (lambda: kad.Dual(multiplier=-1), "multiplier"),
        (lambda: kad.Dual(threshold=1.1), "threshold"),
        (lambda: kad.Soft(float("inf"), 1), "Soft multiplier must be a finite number, got inf"),
        (lambda: kad.Soft(1, 0), "Soft width must be a finite number > 0, got 0"),
        (lambda: kad.Soft(1, torch.tensor([1.0, -1.0], requires_grad=True)), r"Soft width .* got -1\.0"),
        (
            lambda: kad.Soft(torch.tensor(torch.nan, requires_grad=True), 1),
            "Soft multiplier must be a finite number, got nan",
        ),
        (lambda: kad.Brute(0.5).defer(torch.ones(17), torch.ones(17) / 17), "at most 16"),
        (lambda: kad.solve(torch.ones(3), torch.ones(4) / 4, kad.Primal(0.5)), "same shape"),
        (lambda: kad.solve(torch.ones(4), torch.ones(4), kad.Primal(0.5)), "sum to 1"),
        (lambda: kad.solve(-torch.ones(4), torch.ones(4) / 4, kad.Primal(0.5)), "non-negative"),
        (lambda: kad.solve(torch.full((4,), torch.inf), torch.ones(4) / 4, kad.Primal(0.5)), "infinite"),
        (lambda: kad.solve(torch.ones(4), torch.full((4,), torch.nan), kad.Primal(0.5)), "NaN"),
        (lambda: kad.solve(torch.ones(4), torch.ones(4) / 4, kad.Dual(multiplier=1), budget=2), "budget"),
        (lambda: kad.solve(torch.ones(4), torch.ones(4) / 4, kad.Primal(0.5), budget=0.4), "differs"),
    ],
)
def test_bad_input_is_one_sentence(call, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_a_budget_exceeded_by_little_is_exceeded() -> None:
    p = torch.tensor([1.0 - 2e-9, 2e-9], dtype=torch.float64)
    s = kad.solve((1 - p) ** 2, p, kad.Dual(multiplier=0.5), budget=1e-9)
    assert s.status == ["OVER_BUDGET"]
    assert kad.solve((1 - p) ** 2, p, kad.Dual(multiplier=0.5), budget=2e-9).status == ["OPTIMAL"]


def test_float32_solutions_are_certified_too() -> None:
    generator = torch.Generator().manual_seed(0)
    p = torch.softmax(4 * torch.randn(20, 5000, generator=generator), -1)
    for budget in (0.05, 0.3, 0.9):
        for solver in (kad.Primal(budget), kad.Fractional(budget)):
            s = kad.solve(-p.log(), p, solver)
            assert "OVER_BUDGET" not in s.status
            assert bool((s.gap >= -1e-6).all())
            assert bool((s.gap <= s.price * (s.budget - s.deferred_mass).clamp_min(0) + 1e-5).all())
