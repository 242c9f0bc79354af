"""S15: a price that follows what was deferred keeps the mean, and itself stays bounded."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

import kad
from kad import theory as t
from kad.theory.texts import paced_positions

from ..core.strategies import BUDGETS, LOSSES, distributions
from .support import Case, is_caught

STEPS = st.one_of(st.sampled_from([1e-3, 0.1, 1.0, 10.0]), st.floats(1e-3, 10))
STARTS = st.one_of(st.just(0.0), st.floats(0, 8))
MASSES = st.lists(st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1)), min_size=1, max_size=40)


@st.composite
def positions(draw: st.DrawFn) -> Tensor:
    size = draw(st.integers(1, 7))
    return torch.stack([draw(distributions(size=size)) for _ in range(draw(st.integers(1, 12)))])


@example([0.0], 0.0, 1.0, 0.0)
@example([1.0], 1.0, 1.0, 0.0)
@example([1.0] * 40, 0.0, 10.0, 0.0)  # nothing but rising
@example([0.0] * 40, 1.0, 10.0, 5.0)  # down to 0 and staying there
@example([0.0, 1.0] * 20, 0.5, 0.1, 0.0)
@given(MASSES, BUDGETS, STEPS, STARTS)
def test_the_mean_exceeds_the_budget_by_no_more_than_the_price_rose(
    masses: list[float], budget: float, step: float, start: float
) -> None:
    g = torch.tensor(masses, dtype=torch.float64)
    assert t.pacing(g, budget, step, start).holds()
    prices = t.paced_multipliers(g, budget, step, start)
    excess = float((g - budget).mean())
    assert excess <= (float(prices.max()) - start) / (step * len(masses)) + 1e-9
    assert t.pacing(g, budget, step, start, equality=True).holds()


@example(torch.ones(3, 1, dtype=torch.float64), 0.1, 1.0, 0.0)  # one token, which costs nothing
@example(torch.eye(3, dtype=torch.float64), 0.1, 1.0, 0.0)  # zeros
@example(torch.full((12, 7), 1 / 7, dtype=torch.float64), 0.1, 10.0, 0.0)  # ties
@example(torch.full((12, 7), 1 / 7, dtype=torch.float64), 1.0, 10.0, 8.0)  # everything fits
@example(torch.full((12, 7), 1 / 7, dtype=torch.float64), 0.0, 1.0, 0.0)  # no bound for b = 0
@given(positions(), BUDGETS, STEPS, STARTS)
def test_with_the_logistic_loss_the_price_stays_bounded(p: Tensor, budget: float, step: float, start: float) -> None:
    claim = t.pacing_bound(p, budget, step, start)
    assert bool((claim.left <= claim.right + 1e-9).all())
    assert bool(claim.right.isinf().all()) == (budget == 0)


@example(torch.ones(3, 1, dtype=torch.float64), 0.9, 1.0, 0.0)  # one token, which costs nothing and is deferred below 0
@example(torch.eye(3, dtype=torch.float64), 1.0, 10.0, 0.0)
@example(torch.full((12, 7), 1 / 7, dtype=torch.float64), 0.0, 1.0, 0.0)
@example(torch.tensor([[0.98, 0.02]] * 12, dtype=torch.float64), 0.5, 0.1, 8.0)  # down from a price that is too high
@given(positions(), BUDGETS, STEPS, STARTS)
def test_an_equality_keeps_the_mean_from_both_sides(p: Tensor, budget: float, step: float, start: float) -> None:
    claim = t.kept_mean(p, budget, step, start)
    assert bool((claim.left <= claim.right + 1e-9).all())


@given(positions(), BUDGETS, st.sampled_from(LOSSES), STEPS, STARTS)
def test_it_keeps_what_a_loss_decides_too(p: Tensor, budget: float, loss: kad.Loss, step: float, start: float) -> None:
    """The loop closed: the price decides, what is deferred moves the price; a loss of at most 2 bounds it by 2 + η (1 − b)."""
    price, seen, q = start, list[float](), p.flip(0)
    for row, other in zip(p, q, strict=True):
        values = loss(row, other)
        seen.append(float(t.deferred_mass(row, (values > price).double())))
        price = max(0.0, price + step * (seen[-1] - budget))
    g = torch.tensor(seen, dtype=torch.float64)
    assert t.pacing(g, budget, step, start).holds()
    prices = t.paced_multipliers(g, budget, step, start)
    assert math.isclose(float(prices[-1]), price, abs_tol=1e-9)
    most = {kad.Logistic(): math.inf, kad.Perceptron("log"): math.inf}.get(loss, 2.0)
    assert float(prices.max()) <= max(start, most + step * (1 - budget)) + 1e-9


def test_what_is_no_pacing_is_one_sentence() -> None:
    g = torch.zeros(3)
    for budget, step, start in (
        (1.5, 1.0, 0.0),
        (0.5, 0.0, 0.0),
        (0.5, -1.0, 0.0),
        (0.5, 1.0, -1.0),
        (0.5, math.nan, 0.0),
    ):
        with pytest.raises(ValueError, match=r"budget|step > 0"):
            t.pacing(g, budget, step, start)


def test_texts_of_a_batch_are_paced_alone() -> None:
    g = torch.rand(3, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    together = t.paced_multipliers(g, 0.4, 0.5)
    for row, prices in zip(g, together, strict=True):
        assert torch.equal(prices, t.paced_multipliers(row, 0.4, 0.5))
    p = torch.softmax(torch.randn(3, 9, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64), -1)
    alone = torch.stack([t.pacing_bound(text, 0.2, 0.5).left for text in p])
    torch.testing.assert_close(t.pacing_bound(p, 0.2, 0.5).left, alone, atol=1e-12, rtol=0)


def test_wrong_variants_fail() -> None:
    def an_identity(c: Case) -> t.Claim:  # as if the maximum with 0 did nothing
        claim = t.pacing(c.p, c.budget, 1.0)
        return t.Claim(claim.left, "=", claim.right)

    def half_of_it(c: Case) -> t.Claim:
        claim = t.pacing(c.p, c.budget, 1.0, 5.0)
        return t.Claim(claim.left, "<=", claim.right / 2)

    def no_excess(c: Case) -> t.Claim:  # the mean is never above the budget
        claim = t.pacing(c.p, c.budget, 1.0)
        return t.Claim(claim.left, "<=", 0 * claim.right)

    def without_the_last_step(c: Case) -> t.Claim:  # max μ ≤ max(μ_1, log(|V| / b))
        claim = t.pacing_bound(torch.stack([c.p, c.q, c.true]), c.budget, 5.0)
        return t.Claim(claim.left, "<=", torch.full_like(claim.left, math.log(len(c.p) / c.budget)))

    def half_the_way(c: Case) -> t.Claim:  # an equality, and half of its bound
        claim = t.kept_mean(torch.stack([c.p, c.q, c.true]), c.budget, 5.0)
        return t.Claim(claim.left, "<=", claim.right / 2)

    def a_price_never_below_zero(c: Case) -> t.Claim:  # the bound of an equality, without one
        p = torch.stack([c.p, c.q, c.true, *[c.p] * 40])
        g, _ = paced_positions(p, c.budget, 0.1, 0.0)
        return t.Claim((g.mean(-1) - c.budget).abs(), "<=", t.kept_mean(p, c.budget, 0.1).right)

    assert is_caught(half_the_way)
    assert is_caught(a_price_never_below_zero)
    assert is_caught(an_identity)
    assert is_caught(half_of_it)
    assert is_caught(no_excess)
    assert is_caught(without_the_last_step)
