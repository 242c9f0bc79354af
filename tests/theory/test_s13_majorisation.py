"""S13: the majorisation bound lies between the LP relaxation and the optimum."""

from __future__ import annotations

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

import kad
from kad import theory as t

from ..core.strategies import BUDGETS, distributions
from .support import Case, is_caught

CONCAVE = [kad.Logistic(), kad.Perceptron("log"), kad.Perceptron("probability"), kad.Brier(), kad.Squared()]
LOSSES = st.sampled_from(CONCAVE)


def concave(loss: kad.Loss, p: torch.Tensor) -> bool:
    """Whether c(x) = x ℓ(x) is concave up to the largest mass: x (1 − x)² only up to 2/3."""
    return loss != kad.Squared() or float(p.max()) <= 2 / 3


@given(LOSSES, distributions(), BUDGETS)
def test_it_bounds_the_optimum(loss, p: torch.Tensor, budget: float) -> None:
    assume(concave(loss, p))
    assert t.majorisation(loss, p, budget).holds()


@given(LOSSES, distributions(), BUDGETS)
def test_the_bound_of_sets_of_a_size_bounds_it_too(loss, p: torch.Tensor, budget: float) -> None:
    assume(concave(loss, p))
    assert t.sized_majorisation(loss, p, budget).holds()


@given(LOSSES, distributions(), BUDGETS)
def test_it_is_never_looser_than_the_relaxation(loss, p: torch.Tensor, budget: float) -> None:
    assume(concave(loss, p))
    assert t.majorisation_against_relaxation(loss, p, budget).holds()


def test_it_is_exact_where_one_heavy_token_is_critical() -> None:
    p = torch.tensor([0.9, 0.06, 0.04], dtype=torch.float64)
    loss = kad.Logistic()
    best = float(t.optimal_risk(loss(p), p, 0.5))
    assert abs(float(t.majorisation_bound(loss, p, 0.5)) - best) < 1e-12
    assert float(t.fractional_risk(loss(p), p, 0.5)) < 0.6 * best


def test_batches() -> None:
    p = torch.softmax(torch.randn(4, 3, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64), -1)
    for loss in (kad.Logistic(), kad.Perceptron("log")):
        whole = t.majorisation_bound(loss, p, 0.4)
        alone = torch.stack([torch.stack([t.majorisation_bound(loss, row, 0.4) for row in block]) for block in p])
        assert torch.equal(whole, alone)


def test_a_demand_that_two_tokens_meet_exactly() -> None:
    """1 − 1/3 rounds above 1/3 + 1/3; a third token must not be charged for that."""
    p = torch.full((3,), 1 / 3, dtype=torch.float64)
    assert t.sized_majorisation(kad.Logistic(), p, 1 / 3).holds()


def test_where_the_demand_is_below_every_corner() -> None:
    """W ≤ σ_0, the normal case near the uniform distribution: the bound is the least of the corners' costs."""
    p = torch.tensor([0.26, 0.25, 0.25, 0.24], dtype=torch.float64)
    cost = t.cost_of(kad.Logistic(), p)
    corners = [float(cost(p[:j]).sum() + cost(p[len(p) - 3 + j :]).sum()) for j in range(4)]
    for budget in (0.27, 0.3, 0.48):  # three tokens are needed: two weigh at most .51; the three lightest weigh .74
        claim = t.sized_majorisation(kad.Logistic(), p, budget)
        assert claim.holds()
        if 1 - budget <= 0.74 and 1 - budget > 0.51:
            assert abs(float(claim.left) - min(corners)) < 1e-12


def test_sets_of_more_tokens_and_more_mass_are_bounded_too() -> None:
    """W = M_k exactly: the k heaviest meet it, and every other set has more tokens and more mass than any corner."""
    p = torch.tensor([0.25, 0.15, 0.15, 0.15, 0.15, 0.15], dtype=torch.float64)
    for loss in CONCAVE:
        for budget in (0.6, 0.45, 0.3):
            assert t.sized_majorisation(loss, p, budget).holds()


@pytest.mark.parametrize("loss", CONCAVE, ids=repr)
def test_where_nothing_must_be_kept_both_bounds_are_zero(loss: kad.Loss) -> None:
    for p in (torch.full((4,), 0.25), torch.tensor([0.6, 0.4, 0.0]), torch.full((3,), 0.333333)):
        for bound in (t.majorisation_bound, t.sized_majorisation_bound):
            assert float(bound(loss, p.double(), 1.0)) == 0


def test_near_uniform_masses_need_the_second_bound() -> None:
    """Every token lighter than ρ: the first bound charges c(ρ), the second a whole token; here it is the optimum."""
    g = torch.Generator().manual_seed(0)
    p = torch.softmax(0.05 * torch.randn(12, generator=g, dtype=torch.float64), -1)
    for loss in (kad.Logistic(), kad.Brier()):
        best = float(t.optimal_risk(loss(p), p, 0.3))
        assert float(t.majorisation_bound(loss, p, 0.3)) < 0.97 * best
        assert 0.995 * best < float(t.sized_majorisation_bound(loss, p, 0.3)) <= best + 1e-12


@pytest.mark.parametrize("loss", [kad.Squared(), kad.ZeroOne(), kad.Nudging(), kad.ConfidenceBet()])
def test_other_losses_are_refused(loss: kad.Loss) -> None:
    for bound in (t.majorisation_bound, t.sized_majorisation_bound):
        with pytest.raises(ValueError, match="concave cost"):
            bound(loss, torch.tensor([0.7, 0.3]), 0.3)


def test_wrong_variants_fail() -> None:
    def ends(c: Case) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        cost = t.cost_of(kad.Logistic(), c.p)
        q = c.p.sort(descending=True).values
        demand = q.sum() - c.budget
        m = int((q.cumsum(0) < demand).sum())
        rest = demand - q[:m].sum()
        return cost(q[:m]).sum(), cost(rest), cost(q[min(m, len(q) - 1)]), t.optimal_risk(-c.p.log(), c.p, c.budget)

    def only_the_next_token(c: Case) -> t.Claim:  # H_m + c(q_{m+1})
        head, _, token, best = ends(c)
        return t.Claim(head + token, "<=", best)

    def the_larger_of_both(c: Case) -> t.Claim:
        head, rest, token, best = ends(c)
        return t.Claim(head + torch.maximum(rest, token), "<=", best)

    def only_the_rest(c: Case) -> t.Claim:  # H_m + c(ρ): wrong where −x log x falls
        head, rest, _, best = ends(c)
        return t.Claim(head + rest, "<=", best)

    def too_many_tokens(c: Case) -> t.Claim:  # sets of k + 1 tokens: k may do
        cost, q = t.cost_of(kad.Logistic(), c.p), c.p.sort(descending=True).values
        k = min(int((q.cumsum(0) < q.sum() - c.budget).sum()) + 2, len(q))
        return t.Claim(cost(q[-k:]).sum(), "<=", t.optimal_risk(-c.p.log(), c.p, c.budget))

    def corners_alone(c: Case) -> t.Claim:  # without the free token: f(D) is below the next corner
        cost, q = t.cost_of(kad.Logistic(), c.p), c.p.sort(descending=True).values
        demand = q.sum() - c.budget
        k = int((q.cumsum(0) < demand).sum()) + 1
        corners = [(float(q[:j].sum() + q[len(q) - k + j :].sum()), j) for j in range(k + 1)] if k <= len(q) else []
        costs = [float(cost(q[:j]).sum() + cost(q[len(q) - k + j :]).sum()) for mass, j in corners if mass >= demand]
        least = torch.tensor(min(costs, default=0.0), dtype=torch.float64)
        return t.Claim(least, "<=", t.optimal_risk(-c.p.log(), c.p, c.budget))

    assert is_caught(too_many_tokens)
    assert is_caught(corners_alone)
    assert is_caught(only_the_next_token)
    assert is_caught(the_larger_of_both)
    assert is_caught(only_the_rest)
