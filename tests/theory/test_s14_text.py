"""S14: one price for all positions of a text is optimal for the mass that it defers in sum."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

import kad
from kad import theory as t

from ..core.strategies import LOSSES, distributions
from .support import MULTIPLIERS, Case, is_caught


@dataclass(frozen=True)
class Text:
    """Positions in rows: p, losses, another rule's decisions."""

    p: Tensor
    loss: Tensor
    d: Tensor
    multiplier: float


@st.composite
def texts(draw: st.DrawFn, most: int = 12) -> Text:
    size = draw(st.integers(1, 5))
    n = draw(st.integers(1, most // size))
    p, q = (torch.stack([draw(distributions(size=size)) for _ in range(n)]) for _ in range(2))
    kind = draw(st.one_of(st.none(), st.sampled_from(LOSSES)))
    numbers = st.lists(st.floats(0, 10), min_size=size, max_size=size)
    loss = torch.tensor([draw(numbers) for _ in range(n)], dtype=torch.float64) if kind is None else kind(p, q)
    shares = st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=size, max_size=size)
    d = torch.tensor([draw(shares) for _ in range(n)], dtype=torch.float64)
    return Text(p, loss, d, draw(MULTIPLIERS))


ONE = torch.ones(1, 1, dtype=torch.float64)
FLAT = torch.full((4, 3), 1 / 3, dtype=torch.float64)
HOT = torch.eye(3, dtype=torch.float64)
EXTREMES = [
    Text(ONE, 0 * ONE, ONE, 0.0),  # one token that costs nothing, at no price
    Text(ONE, ONE, ONE, 1.0),  # ℓ = μ
    Text(FLAT, FLAT.log().neg(), FLAT.round(), 0.0),  # everything goes
    Text(FLAT, torch.ones_like(FLAT), torch.ones_like(FLAT), 1.0),  # ties with the price
    Text(HOT, -HOT.log(), 1 - HOT, 0.0),  # zeros, infinite losses
    Text(HOT, -HOT.log(), HOT, 5.0),
]


def extremes(test):
    for text in EXTREMES:
        test = example(text)(test)
    return test


@extremes
@given(texts())
def test_it_is_the_optimum_of_the_knapsack_of_all_positions(text: Text) -> None:
    assert t.everett_over_a_text(text.loss, text.p, text.multiplier).holds()


@extremes
@given(texts(most=20))
def test_no_other_rule_with_the_same_mass_in_sum_has_a_smaller_risk(text: Text) -> None:
    assert t.one_price_dominates(text.loss, text.p, text.d, text.multiplier).holds()


@given(texts(most=20), st.floats(0, 1))
def test_nor_has_a_budget_at_every_position(text: Text, budget: float) -> None:
    """Solved exactly, or filled by a fraction: where it defers at most as much in sum, it risks at least as much."""
    for solver in (kad.Brute(budget), kad.Primal(budget), kad.Fractional(budget)):
        d = solver.defer(text.loss, text.p)
        assert t.one_price_dominates(text.loss, text.p, d, text.multiplier).holds()


def test_a_budget_at_every_position_gives_something_away() -> None:
    p = torch.tensor([[0.90, 0.06, 0.04], [0.40, 0.35, 0.25]], dtype=torch.float64)
    loss = kad.Logistic()(p)
    price, budget = (kad.solve(loss, p, s) for s in (kad.Dual(multiplier=1.0), kad.Exact(0.35)))
    assert float(budget.deferred_mass.sum()) <= float(price.deferred_mass.sum())
    assert float(budget.risk.sum()) > 1.5 * float(price.risk.sum())


def test_too_many_tokens_and_a_single_row_are_one_sentence() -> None:
    p = torch.full((5, 4), 0.25, dtype=torch.float64)
    with pytest.raises(ValueError, match="at most 16 tokens; got 20"):
        t.everett_over_a_text(-p.log(), p, 1.0)
    for statement in (t.everett_over_a_text, lambda loss, p, mu: t.one_price_dominates(loss, p, p, mu)):
        with pytest.raises(ValueError, match=r"pass \(n, V\), got shape \(4,\)"):
            statement(-p[0].log(), p[0], 1.0)
    with pytest.raises(ValueError, match=r"pass \(n, V\)"):
        t.pacing_bound(p[0], 0.1, 1.0)


def test_wrong_variants_fail() -> None:
    def text(c: Case) -> tuple[Tensor, Tensor]:
        p = torch.stack([c.p, c.q])
        return kad.Logistic()(p), p

    def more_mass_does_not_count(c: Case) -> t.Claim:  # without μ (Σ g' − Σ g)
        loss, p = text(c)
        claim = t.one_price_dominates(loss, p, torch.stack([c.d, 1 - c.d]), c.multiplier)
        return t.Claim(claim.left, "<=", t.risk(loss, p, torch.stack([c.d, 1 - c.d])).sum(-1))

    def a_budget_is_as_good(c: Case) -> t.Claim:  # the mean mass of the price as the budget of every position
        loss, p = text(c)
        ours = kad.Dual(multiplier=c.multiplier).defer(loss, p)
        mean = float(t.deferred_mass(p, ours).mean())
        return t.Claim(t.optimal_risk(loss, p, mean).sum(-1), "<=", t.risk(loss, p, ours).sum(-1))

    def a_price_for_each(c: Case) -> t.Claim:  # two prices
        loss, p = text(c)
        d = torch.stack([kad.Dual(multiplier=mu).defer(l, m) for mu, l, m in zip((0.5, 2.0), loss, p, strict=True)])
        best = t.optimal_risk(loss.flatten(), p.flatten() / 2, float(t.deferred_mass(p, d).sum() / 2), slack=1e-14)
        return t.Claim(t.risk(loss, p, d).sum(-1), "=", 2 * best)

    assert is_caught(more_mass_does_not_count)
    assert is_caught(a_budget_is_as_good)
    assert is_caught(a_price_for_each)
