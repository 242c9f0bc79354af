"""S3: a dual decision is an exact optimum for the mass that it defers."""

from __future__ import annotations

from hypothesis import given

from kad import theory as t

from .support import Case, cases, is_caught


@given(cases())
def test_everett(c: Case) -> None:
    assert t.everett(c.loss, c.p, c.multiplier).holds()


def test_a_larger_budget_is_not_met() -> None:
    def for_any_budget(c: Case) -> t.Claim:  # optimal for the budget given, not the one realised
        claim = t.everett(c.loss, c.p, c.multiplier)
        return t.Claim(claim.left, "=", t.optimal_risk(c.loss, c.p, c.budget))

    assert is_caught(for_any_budget)
