"""S4: the gap of the greedy prefix."""

from __future__ import annotations

import math

import torch
from hypothesis import given

from kad import theory as t

from .support import Case, cases, is_caught


@given(cases())
def test_the_gap_is_the_critical_loss_times_the_unfilled_budget(c: Case) -> None:
    assert t.primal_gap(c.loss, c.p, c.budget).holds()


@given(cases())
def test_the_regret_is_at_most_the_gap_and_never_negative(c: Case) -> None:
    claim = t.primal_regret(c.loss, c.p, c.budget)
    assert claim.holds()
    assert bool((claim.left >= -1e-9).all())


@given(cases())
def test_logistic_regret_is_below_one_over_e(c: Case) -> None:
    assert t.logistic_regret(c.p, c.budget).holds()


def test_where_everything_fits_or_the_critical_token_is_free_nothing_is_strict() -> None:
    """ℓ_c = 0: u < P_c, but ℓ_c u = ℓ_c P_c = 0; and with b = 1 there is no critical token."""
    p = torch.tensor([0.4, 0.6], dtype=torch.float64)
    for loss, budget in (
        (0 * p, 0.5),
        (torch.tensor([1.0, 0.0], dtype=torch.float64), 0.5),
        (-p.log(), 1.0),
        (0 * p, 1.0),
    ):
        assert float(t.critical_loss(loss, p, budget)) == 0
        assert t.primal_gap(loss, p, budget).holds()
        assert t.primal_regret(loss, p, budget).left == 0


def test_wrong_variants_fail() -> None:
    def no_regret(c: Case) -> t.Claim:  # the greedy is optimal
        return t.Claim(t.primal_regret(c.loss, c.p, c.budget).left, "<=", 0 * t.critical_loss(c.loss, c.p, c.budget))

    def mass_of_the_critical_token(c: Case) -> t.Claim:  # gap = ℓ_c b instead of ℓ_c u
        claim = t.primal_gap(c.loss, c.p, c.budget)
        return t.Claim(claim.left, "=", t.critical_loss(c.loss, c.p, c.budget) * c.budget)

    assert is_caught(no_regret)
    assert is_caught(mass_of_the_critical_token)


def test_one_over_e_is_nearly_reached() -> None:
    """p_c = 1/e and a budget just below it: the bound cannot be improved."""
    p = torch.tensor([1 / math.e, 1 - 1 / math.e], dtype=torch.float64)
    gap = t.primal_gap(-p.log(), p, 1 / math.e - 1e-9).left
    assert abs(float(gap) - 1 / math.e) < 1e-6
