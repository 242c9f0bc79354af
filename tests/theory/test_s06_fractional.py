"""S6: splitting one token solves the relaxation."""

from __future__ import annotations

import torch
from hypothesis import given

import kad
from kad import theory as t

from .support import Case, cases, is_caught


@given(cases())
def test_strong_duality(c: Case) -> None:
    assert t.strong_duality(c.loss, c.p, c.budget).holds(1e-10)


@given(cases())
def test_the_budget_is_filled(c: Case) -> None:
    claim = t.fractional_fills(c.loss, c.p, c.budget)
    assert float(claim.slack.abs()) <= 1e-12


@given(cases())
def test_never_worse_than_the_best_zero_one_decision(c: Case) -> None:
    assert t.fractional_beats_the_optimum(c.loss, c.p, c.budget).holds()


def test_masses_that_sum_to_less_than_the_budget_all_go() -> None:
    """g(d) = b needs Σ P ≥ b: a distribution has that, its rounded sum perhaps not."""
    p = torch.full((3,), (1 - 1e-9) / 3, dtype=torch.float64)
    d = kad.Fractional(1 - 1e-12).defer(-p.log(), p)
    assert d.tolist() == [1.0, 1.0, 1.0]
    assert t.fractional_fills(-p.log(), p, 1 - 1e-12).holds()
    assert float(t.fractional_risk(-p.log(), p, 1.0)) == 0


def test_it_need_not_be_strictly_better() -> None:
    p = torch.tensor([0.6, 0.4], dtype=torch.float64)
    claim = t.fractional_beats_the_optimum(-p.log(), p, 0.4)
    assert abs(float(claim.slack)) < 1e-15


def test_wrong_variants_fail() -> None:
    def as_good_as_the_optimum(c: Case) -> t.Claim:
        claim = t.fractional_beats_the_optimum(c.loss, c.p, c.budget)
        return t.Claim(claim.left, "=", claim.right)

    def the_primal_fills_too(c: Case) -> t.Claim:
        filled = t.deferred_mass(c.p, kad.Primal(c.budget).defer(c.loss, c.p))
        return t.Claim(filled, "=", t.fractional_fills(c.loss, c.p, c.budget).right)

    def any_multiplier(c: Case) -> t.Claim:
        claim = t.strong_duality(c.loss, c.p, c.budget)
        return t.Claim(claim.left, "=", t.dual_function(c.loss, c.p, c.multiplier, c.budget))

    assert is_caught(as_good_as_the_optimum)
    assert is_caught(the_primal_fills_too)
    assert is_caught(any_multiplier)
