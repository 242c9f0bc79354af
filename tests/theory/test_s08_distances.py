"""S8: how far the mixture is from either model."""

from __future__ import annotations

from hypothesis import given

from kad import theory as t
from kad import total_variation

from .support import Case, cases, is_caught


@given(cases())
def test_distances(c: Case) -> None:
    assert t.distance_to_proxy(c.p, c.q, c.d).holds()
    assert t.distance_to_base(c.p, c.q, c.d).holds()


def test_wrong_variants_fail() -> None:
    def swapped(c: Case) -> t.Claim:  # α in the place of 1 − α
        return t.Claim(t.distance_to_proxy(c.p, c.q, c.d).left, "=", t.distance_to_base(c.p, c.q, c.d).right)

    def linear(c: Case) -> t.Claim:  # D(π, q*) = (1 − α) D(p, q*), as if p_keep were p
        right = (1 - t.deferred_mass(c.p, c.d)) * total_variation(c.p, c.q)
        return t.Claim(t.distance_to_proxy(c.p, c.q, c.d).left, "=", right)

    assert is_caught(swapped)
    assert is_caught(linear)
