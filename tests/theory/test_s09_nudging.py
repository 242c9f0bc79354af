"""S9 (paper, Lemma 6): the mixture against nudging."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kad import theory as t
from kad import total_variation

from .support import Case, cases, is_caught


@given(cases())
def test_against_the_base(c: Case) -> None:
    assert t.closer_than_base(c.p, c.q, c.d).holds()


@given(cases(), st.floats(0, 1))
def test_against_nudging(c: Case, threshold: float) -> None:
    assert t.nudging_comparison(c.p, c.q, threshold).holds()


def test_without_the_last_term_it_fails() -> None:
    def always_closer(c: Case) -> t.Claim:  # D(π, q*) ≤ D(p, q*)
        return t.Claim(t.closer_than_base(c.p, c.q, c.d).left, "<=", total_variation(c.p, c.q))

    def closer_than_nudging(c: Case) -> t.Claim:
        claim = t.nudging_comparison(c.p, c.q, c.budget)
        d = (c.p < c.budget).double()
        return t.Claim(claim.left, "<=", claim.right - t.deferred_mass(c.p, d) * (1 - t.deferred_mass(c.q, d)))

    assert is_caught(always_closer)
    assert is_caught(closer_than_nudging)
