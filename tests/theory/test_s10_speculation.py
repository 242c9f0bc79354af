"""S10: acceptance, the residual and the length of a round."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

import kad
from kad import theory as t

from .support import Case, cases, is_caught


@given(cases())
def test_acceptance(c: Case) -> None:
    assert t.acceptance_probability(c.p, c.q, c.d).holds()
    assert t.acceptance_floor(c.p, c.q, c.d).holds()


@given(cases())
def test_the_emitted_token_has_the_law_of_the_mixture(c: Case) -> None:
    assert t.emitted_law(c.p, c.q, c.d).holds()


@given(st.floats(0, 1), st.integers(0, 15))
def test_tokens_per_round(a: float, window: int) -> None:
    # The closed form divides by 1 − a: near a = 1 it loses digits that the sum keeps.
    assert t.tokens_per_round(torch.tensor(a, dtype=torch.float64), window).holds(1e-6 if a > 1 - 1e-8 else 1e-7)


def test_a_draft_that_is_always_accepted_yields_the_window_and_one() -> None:
    for window in (0, 3):
        claim = t.tokens_per_round(torch.tensor([0.0, 1.0], dtype=torch.float64), window)
        assert claim.holds()
        assert claim.right.tolist() == [1.0, window + 1.0]


def test_where_everything_is_deferred_nothing_is_rejected() -> None:
    p, q = torch.tensor([1.0, 0.0], dtype=torch.float64), torch.tensor([0.0, 1.0], dtype=torch.float64)
    for d in (torch.ones(2).double(), torch.tensor([1.0, 0.0], dtype=torch.float64)):
        assert t.acceptance_probability(p, q, d).left == 1
        assert t.emitted_law(p, q, d).holds()


def test_wrong_variants_fail() -> None:
    def residual_of_p(c: Case) -> t.Claim:  # norm((p − q*)₊) instead of norm((p_keep − q*)₊)
        pi, accepted = kad.mix(c.p, c.q, c.d), torch.minimum(kad.mix(c.p, c.q, c.d), c.q)
        rest = (c.p - c.q).clamp_min(0)
        law = accepted + (1 - accepted.sum()) * rest / rest.sum()
        return t.Claim(kad.total_variation(law, pi), "=", torch.zeros(()).double())

    def floor_of_one_minus_alpha(c: Case) -> t.Claim:
        return t.Claim(1 - t.deferred_mass(c.p, c.d), "<=", t.acceptance_probability(c.p, c.q, c.d).left)

    assert is_caught(residual_of_p)
    assert is_caught(floor_of_one_minus_alpha)
    series = t.tokens_per_round(torch.tensor(0.5, dtype=torch.float64), 3).left
    assert not t.Claim(series, "=", t.tokens_per_round(torch.tensor(0.5, dtype=torch.float64), 2).right).holds()
