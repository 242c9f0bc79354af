"""S13: the majorisation bound lies between the LP relaxation and the optimum."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import kad
from kad import theory as t

from ..core.strategies import BUDGETS, distributions
from .support import Case, is_caught

LOSSES = st.sampled_from([kad.Logistic(), kad.Perceptron("log")])


@given(LOSSES, distributions(), BUDGETS)
def test_it_bounds_the_optimum(loss, p: torch.Tensor, budget: float) -> None:
    assert t.majorisation(loss, p, budget).holds()


@given(LOSSES, distributions(), BUDGETS)
def test_it_is_never_looser_than_the_relaxation(loss, p: torch.Tensor, budget: float) -> None:
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


def test_other_losses_are_refused() -> None:
    with pytest.raises(ValueError, match="concave cost"):
        t.majorisation_bound(kad.Squared(), torch.tensor([0.5, 0.5]), 0.3)  # type: ignore[arg-type]


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

    assert is_caught(only_the_next_token)
    assert is_caught(the_larger_of_both)
    assert is_caught(only_the_rest)
