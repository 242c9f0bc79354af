"""S2: the gap identity, and what it says of the dual's regret."""

from __future__ import annotations

from hypothesis import given

from kad import theory as t

from .support import Case, cases, is_caught


@given(cases())
def test_the_identity(c: Case) -> None:
    assert t.gap_identity(c.loss, c.p, c.multiplier, c.budget).holds()


@given(cases())
def test_the_regret(c: Case) -> None:
    assert t.dual_regret(c.loss, c.p, c.multiplier, c.budget).holds()


def test_wrong_variants_fail() -> None:
    def no_unfilled(c: Case) -> t.Claim:  # r(d⁻) = θ(μ)
        claim = t.gap_identity(c.loss, c.p, c.multiplier, c.budget)
        return t.Claim(claim.left, "=", t.dual_function(c.loss, c.p, c.multiplier, c.budget))

    def half_the_room(c: Case) -> t.Claim:  # regret ≤ μ u / 4
        claim = t.dual_regret(c.loss, c.p, c.multiplier, c.budget)
        return t.Claim(claim.left, "<=", claim.right / 4)

    assert is_caught(no_unfilled)
    assert is_caught(half_the_room)
