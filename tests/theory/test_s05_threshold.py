"""S5: the greedy is a threshold chosen anew at every step; a nucleus; and with the best single token half of the optimum."""

from __future__ import annotations

import torch
from hypothesis import given

import kad
from kad import theory as t

from ..core.strategies import BUDGETS, LOSSES, distributions
from .support import Case, cases, is_caught


@given(cases())
def test_the_primal_is_a_threshold_up_to_ties(c: Case) -> None:
    assert t.primal_is_a_threshold(c.loss, c.p, c.budget).holds()


@given(distributions(), BUDGETS)
def test_a_strictly_falling_loss_keeps_a_nucleus(p: torch.Tensor, budget: float) -> None:
    for loss in LOSSES:
        if loss.strict:
            assert t.primal_keeps_a_nucleus(loss(p), p, budget).holds()


@given(distributions(), BUDGETS)
def test_a_critical_token_heavier_than_the_budget_makes_the_primal_optimal(p: torch.Tensor, budget: float) -> None:
    loss = kad.Logistic()(p)
    kept = p[kad.Primal(budget).defer(loss, p) == 0]
    if len(kept) and float(kept.min()) > budget:
        assert t.Claim(t.primal_regret(loss, p, budget).left, "=", torch.zeros(()).double()).holds()


@given(distributions(), BUDGETS)
def test_half_of_the_saving_for_falling_losses(p: torch.Tensor, budget: float) -> None:
    for loss in LOSSES:
        if loss.strict:
            assert t.half_of_the_saving(loss(p), p, budget).holds()


@given(cases())
def test_half_of_the_saving_where_every_token_fits(c: Case) -> None:
    budget = max(c.budget, float(c.p.max()))
    assert t.half_of_the_saving(c.loss, c.p, budget).holds()


def savings(loss: torch.Tensor, p: torch.Tensor, budget: float) -> tuple[float, float, float]:
    """What the optimum, the prefix and the best single token within the budget save."""
    single = torch.where(p <= budget, p * loss, 0.0).max()
    best, prefix = (float((p * loss * s.defer(loss, p)).sum()) for s in (kad.Brute(budget), kad.Primal(budget)))
    return best, prefix, float(single)


def test_the_prefix_alone_may_save_an_eighth() -> None:
    p = torch.tensor([0.595, 0.395, 0.01], dtype=torch.float64)
    best, prefix, single = savings(kad.Logistic()(p), p, 0.4)
    assert abs(prefix / best - 0.126) < 5e-4
    assert single == best
    assert t.half_of_the_saving(kad.Logistic()(p), p, 0.4).holds()


def test_the_prefix_alone_saves_no_fixed_share() -> None:
    """The lighter the token that goes first, the less: no constant in place of the half."""
    for light in (1e-2, 1e-4, 1e-8):
        p = torch.tensor([0.6 - light / 2, 0.4 - light / 2, light], dtype=torch.float64)
        best, prefix, _ = savings(kad.Logistic()(p), p, 0.4)
        assert prefix < 14 * light * best * abs(torch.tensor(light).log())


def test_the_single_token_must_fit() -> None:
    """The token that saves most of all is heavier than the budget, and what fits saves less than half of it."""
    p = torch.tensor([0.5, 0.45, 0.05], dtype=torch.float64)
    loss = kad.Logistic()(p)
    assert int((p * loss).argmax()) == 1
    best, prefix, single = savings(loss, p, 0.1)
    assert single == prefix == best < float((p * loss).max()) / 2


def test_the_nucleus_needs_a_strictly_falling_loss() -> None:
    """The 0-1 loss is decreasing; its ties go by id, and the first of them may not fit."""
    p = torch.tensor([0.5, 0.4, 0.1], dtype=torch.float64)
    assert kad.ZeroOne.decreasing
    assert not t.primal_keeps_a_nucleus(kad.ZeroOne()(p), p, 0.2).holds()
    assert t.primal_keeps_a_nucleus(kad.Logistic()(p), p, 0.2).holds()


def test_with_the_whole_budget_nothing_is_kept() -> None:
    for p in (torch.ones(1).double(), torch.tensor([0.5, 0.5, 0.0], dtype=torch.float64)):
        assert bool((kad.Primal(1.0).defer(-p.log(), p) == 1).all())
        assert t.primal_keeps_a_nucleus(-p.log(), p, 1.0).holds()
        assert t.primal_is_a_threshold(-p.log(), p, 1.0).holds()


def test_half_of_the_saving_needs_one_of_the_two() -> None:
    """A token heavier than the budget with the largest loss ends the prefix before it begins."""
    p = torch.tensor([1.0, 1.0, 1.0, 50.0], dtype=torch.float64) / 53
    assert not t.half_of_the_saving(torch.tensor([1.0, 1.0, 1.0, 2.0], dtype=torch.float64), p, 0.1).holds()


def test_wrong_variants_fail() -> None:
    def all_of_the_saving(c: Case) -> t.Claim:
        claim = t.half_of_the_saving(c.loss, c.p, c.budget)
        return t.Claim(2 * claim.left, "<=", claim.right)

    def a_fixed_threshold(c: Case) -> t.Claim:  # the primal is d⁻(μ) for whatever μ
        d = (kad.Primal(c.budget).defer(c.loss, c.p) != (c.loss > c.multiplier)).double()
        return t.Claim(t.deferred_mass(c.p, d), "<=", t.deferred_mass(c.p, (c.loss == c.multiplier).double()))

    def a_smaller_nucleus(c: Case) -> t.Claim:  # of mass (1 − b) / 2
        kept = t.deferred_mass(c.p, 1 - kad.Primal(c.budget).defer(c.loss, c.p))
        return t.Claim(kept, "<=", torch.tensor((1 - c.budget) / 2).double())

    def the_prefix_alone(c: Case) -> t.Claim:
        claim = t.half_of_the_saving(c.loss, c.p, c.budget)
        _, prefix, _ = savings(c.loss, c.p, c.budget)
        return t.Claim(claim.left, "<=", torch.tensor(prefix).double())

    assert is_caught(all_of_the_saving)
    assert is_caught(a_fixed_threshold)
    assert is_caught(a_smaller_nucleus)
    assert is_caught(the_prefix_alone)
