"""S7 (paper, Lemma 5): what it costs that p is only a plug-in estimate of P."""

from __future__ import annotations

import torch
from hypothesis import given

import kad
from kad import theory as t

from .support import Case, cases, finite, is_caught


@given(cases())
def test_mass_and_risk(c: Case) -> None:
    assert t.plug_in_mass(c.true, c.p, c.d).holds()
    assert t.plug_in_risk(c.true, c.p, finite(c.loss), c.d).holds()


@given(cases())
def test_the_duals_risk_error_is_bounded_by_its_multiplier(c: Case) -> None:
    assert t.plug_in_risk_of_the_dual(c.true, c.p, finite(c.loss), c.multiplier).holds()


@given(cases())
def test_regret_under_the_true_distribution(c: Case) -> None:
    assert t.plug_in_regret(c.true, c.p, finite(c.loss), c.multiplier, c.budget).holds()


@given(cases())
def test_regret_of_the_primal_under_the_true_distribution(c: Case) -> None:
    assert t.plug_in_regret_of_the_primal(c.true, c.p, finite(c.loss), c.budget).holds()


def test_the_right_side_may_be_negative_and_still_holds() -> None:
    """Everything is deferred and the budget is nothing: the risk is below every decision that keeps to it."""
    p, true = torch.tensor([0.5, 0.5], dtype=torch.float64), torch.tensor([0.6, 0.4], dtype=torch.float64)
    claim = t.plug_in_regret(true, p, kad.Logistic()(p), 0.1, 0.0)
    assert float(claim.right) < 0
    assert claim.holds()


def test_losses_computed_from_p_carry_its_error_into_the_decision() -> None:
    """For given losses d⁻(μ) does not depend on what weighs; the library's losses are functions of p."""
    loss, dual = kad.Logistic(), kad.Dual(multiplier=1.0)
    p, true = torch.tensor([0.3, 0.7], dtype=torch.float64), torch.tensor([0.4, 0.6], dtype=torch.float64)
    assert torch.equal(dual.defer(loss(p), p), dual.defer(loss(p), true))
    assert not torch.equal(dual.defer(loss(p), p), dual.defer(loss(true), true))


def test_where_everything_fits_the_primal_has_no_regret() -> None:
    p, true = torch.tensor([0.5, 0.5, 0.0], dtype=torch.float64), torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    claim = t.plug_in_regret_of_the_primal(true, p, torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64), 1.0)
    assert float(claim.left) == float(claim.right) == 0


def test_wrong_variants_fail() -> None:
    def half_the_distance(c: Case) -> t.Claim:
        claim = t.plug_in_mass(c.true, c.p, c.d)
        return t.Claim(claim.left, "<=", claim.right / 2)

    def no_plug_in_error(c: Case) -> t.Claim:
        claim = t.plug_in_regret(c.true, c.p, c.loss, c.multiplier, c.budget)
        d = kad.Dual(multiplier=c.multiplier).defer(c.loss, c.p)
        return t.Claim(claim.left, "<=", c.multiplier * (c.budget - t.deferred_mass(c.p, d)).clamp_min(0))

    def half_the_multiplier(c: Case) -> t.Claim:
        claim = t.plug_in_risk_of_the_dual(c.true, c.p, c.loss, c.multiplier)
        return t.Claim(claim.left, "<=", claim.right / 2)

    def no_error_of_the_primal(c: Case) -> t.Claim:
        claim = t.plug_in_regret_of_the_primal(c.true, c.p, c.loss, c.budget)
        unfilled = t.unfilled_budget(c.loss, c.p, c.budget)
        return t.Claim(claim.left, "<=", t.critical_loss(c.loss, c.p, c.budget) * unfilled)

    assert is_caught(no_error_of_the_primal)
    assert is_caught(half_the_distance)
    assert is_caught(no_plug_in_error)
    assert is_caught(half_the_multiplier)
