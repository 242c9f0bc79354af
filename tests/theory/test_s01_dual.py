"""S1: the dual bounds the optimum."""

from __future__ import annotations

from hypothesis import given

from kad import theory as t

from .support import MULTIPLIERS, Case, cases, is_caught


@given(cases())
def test_the_dual_decision_minimises_the_lagrangian(c: Case) -> None:
    assert t.dual_minimises(c.loss, c.p, c.multiplier, c.budget).holds()
    lowest = t.dual_function(c.loss, c.p, c.multiplier, c.budget)
    assert t.Claim(lowest, "<=", t.lagrangian(c.loss, c.p, c.d, c.multiplier, c.budget)).holds()


@given(cases())
def test_weak_duality(c: Case) -> None:
    assert t.weak_duality(c.loss, c.p, c.multiplier, c.budget).holds()


@given(cases(), MULTIPLIERS)
def test_theta_is_concave(c: Case, other: float) -> None:
    ends = [t.dual_function(c.loss, c.p, mu, c.budget) for mu in (c.multiplier, other)]
    middle = t.dual_function(c.loss, c.p, (c.multiplier + other) / 2, c.budget)
    assert t.Claim((ends[0] + ends[1]) / 2, "<=", middle).holds()


def test_wrong_variants_fail() -> None:
    def no_budget(c: Case) -> t.Claim:  # forgets − μ b
        claim = t.weak_duality(c.loss, c.p, c.multiplier, c.budget)
        return t.Claim(claim.left + c.multiplier * c.budget, "<=", claim.right)

    def upside_down(c: Case) -> t.Claim:  # the optimum below the dual
        claim = t.weak_duality(c.loss, c.p, c.multiplier, c.budget)
        return t.Claim(claim.right, "<=", claim.left)

    assert is_caught(no_budget)
    assert is_caught(upside_down)
