"""S7 (paper, Lemma 5): what it costs that p is only a plug-in estimate of P."""

from __future__ import annotations

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
