"""S5: the greedy is a threshold chosen anew at every step; a nucleus; at least half of the optimum."""

from __future__ import annotations

import torch
from hypothesis import given

import kad
from kad import theory as t

from ..core.strategies import BUDGETS, LOSSES, distributions
from .support import Case, cases, is_caught


@given(cases())
def test_the_primal_is_a_threshold_up_to_ties(c: Case) -> None:
    assert t.primal_is_a_threshold(c.loss, c.p, c.budget).holds()


@given(distributions(), BUDGETS)
def test_a_decreasing_loss_keeps_a_nucleus(p: torch.Tensor, budget: float) -> None:
    for loss in LOSSES:
        if loss.decreasing and not loss.reads_proxy and not isinstance(loss, kad.ZeroOne):  # 0-1 ties all but the mode
            assert t.primal_keeps_a_nucleus(loss(p), p, budget).holds()


@given(distributions(), BUDGETS)
def test_a_critical_token_heavier_than_the_budget_makes_the_primal_optimal(p: torch.Tensor, budget: float) -> None:
    loss = kad.Logistic()(p)
    kept = p[kad.Primal(budget).defer(loss, p) == 0]
    if len(kept) and float(kept.min()) > budget:
        assert t.Claim(t.primal_regret(loss, p, budget).left, "=", torch.zeros(()).double()).holds()


@given(distributions(), BUDGETS)
def test_half_of_the_saving_for_falling_losses(p: torch.Tensor, budget: float) -> None:
    for loss in LOSSES:
        if loss.decreasing and not loss.reads_proxy and not isinstance(loss, kad.ZeroOne):
            assert t.half_of_the_saving(loss(p), p, budget).holds()


@given(cases())
def test_half_of_the_saving_where_every_token_fits(c: Case) -> None:
    budget = max(c.budget, float(c.p.max()))
    assert t.half_of_the_saving(c.loss, c.p, budget).holds()


def test_half_of_the_saving_needs_one_of_the_two() -> None:
    """A token heavier than the budget with the largest loss ends the prefix before it begins."""
    p = torch.tensor([1.0, 1.0, 1.0, 50.0], dtype=torch.float64) / 53
    assert not t.half_of_the_saving(torch.tensor([1.0, 1.0, 1.0, 2.0], dtype=torch.float64), p, 0.1).holds()


def test_wrong_variants_fail() -> None:
    def all_of_the_saving(c: Case) -> t.Claim:
        claim = t.half_of_the_saving(c.loss, c.p, c.budget)
        return t.Claim(2 * claim.left, "<=", claim.right)

    def a_fixed_threshold(c: Case) -> t.Claim:  # the primal is d⁻(μ) for whatever μ
        d = (kad.Primal(c.budget).defer(c.loss, c.p) != (c.loss > c.multiplier)).double()
        return t.Claim(t.deferred_mass(c.p, d), "<=", t.deferred_mass(c.p, (c.loss == c.multiplier).double()))

    def a_smaller_nucleus(c: Case) -> t.Claim:
        claim = t.primal_keeps_a_nucleus(c.loss, c.p, c.budget)
        return t.Claim(claim.left, "<=", claim.right / 2)

    assert is_caught(all_of_the_saving)
    assert is_caught(a_fixed_threshold)
    assert is_caught(a_smaller_nucleus)
