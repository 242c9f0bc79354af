"""`kad.gaps`: against brute force on small vocabularies, budgets of one's own and stated ones, intervals, sentences."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import kad
from kad.gap import ROUNDING, Gap

from .strategies import BUDGETS, LOSSES, distributions

EXCESS = 1e-12  # of a mass over a budget that is rounding


def optimum(loss: np.ndarray, p: np.ndarray, budget: float) -> tuple[float, float]:
    """r*(b) over all 2^V decisions, and the most mass that a decision of that risk defers; straight from (P1)."""
    cost = np.where(p > 0, p * np.where(p > 0, loss, 0), 0)
    decisions = [np.array(d) for d in product((0, 1), repeat=len(p))]
    kept = [(float(cost @ (1 - d)), float(p @ d)) for d in decisions if float(p @ d) <= budget + EXCESS]
    best = min(r for r, _ in kept)
    return best, max(g for r, g in kept if r <= best + ROUNDING)


@st.composite
def texts(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor, kad.Loss]:
    """p and q* of one to three steps over one vocabulary, and a loss."""
    size, steps = draw(st.integers(1, 6)), draw(st.integers(1, 3))
    p, q = (torch.stack([draw(distributions(size=size)) for _ in range(steps)]) for _ in range(2))
    return p, q, draw(st.sampled_from(LOSSES))


def whole(d: torch.Tensor) -> bool:
    return bool(((d == 0) | (d == 1)).all())


@settings(max_examples=40)
@given(texts(), st.lists(BUDGETS, min_size=3, max_size=3), st.floats(0, 3))
def test_every_gap_is_that_of_brute_force(problem, limits: list[float], price: float) -> None:
    p, q, loss = problem
    losses, stated = loss(p, q), torch.tensor(limits[: len(p)], dtype=torch.float64)
    rules: dict[str, kad.Solver | kad.Target] = {
        "dual": kad.Dual(multiplier=price), "primal": kad.Primal(stated), "fractional": kad.Fractional(stated),
        "exact": kad.Exact(stated), "ensemble": kad.mixture.Ensemble(0.4), "bet": kad.confidence_bet(0.1), "p": kad.Base(),
    }  # fmt: skip
    found = kad.gaps(p, rules, loss, budget=stated, q=q, time_limit=60)
    assert list(found) == list(rules)
    for name, gap in found.items():
        rule = rules[name]
        d = rule.defer(losses, p) if isinstance(rule, kad.Solver) else rule.defer(p, q)
        assert d is not None
        for i, (row, one, decided) in enumerate(zip(losses.numpy(), p.numpy(), d.double().numpy(), strict=True)):
            kept = one * (1 - decided)
            risk = float(np.where(kept > 0, kept * np.where(kept > 0, row, 0), 0).sum())
            assert float(gap.risk[i]) == pytest.approx(risk, abs=1e-12)
            mass, b = float(gap.mass[i]), float(stated[i])
            assert mass == pytest.approx(float(one @ decided), abs=1e-12)
            within(gap.own, i, risk - optimum(row, one, mass)[0])
            if whole(d):
                assert float(gap.own.low[i]) >= 0
            assert float(gap.unfilled[i]) == pytest.approx(max(b - mass, 0), abs=1e-12)
            assert float(gap.over[i]) == pytest.approx(max(mass - b, 0), abs=1e-11)
            if mass <= b:
                best, most = optimum(row, one, b)
                within(gap.stated, i, risk - best)
                assert float(gap.spare[i]) >= b - most - 1e-9
            elif mass > b + EXCESS:
                assert math.isnan(float(gap.stated.low[i]))
                assert math.isnan(float(gap.spare[i]))


def within(bounds, i: int, gap: float) -> None:
    """The interval holds the gap, and is as narrow as Exact's tolerance."""
    low, high = float(bounds.low[i]), float(bounds.high[i])
    assert low - 1e-9 <= gap <= high + 1e-9
    assert high - low <= 5e-7 + 1e-9


@settings(max_examples=40)
@given(texts(), st.floats(0, 3))
def test_what_goes_by_falling_loss_is_optimal_for_what_it_defers(problem, price: float) -> None:
    """Theory S3 and S5: the certificate needs no Exact, and one price is optimal over all steps together."""
    p, q, loss = problem
    rules = [kad.Dual(multiplier=price), kad.Primal(0.4)]
    for rule, gap in zip(rules, kad.gaps(p, rules, loss, q=q).values(), strict=True):
        assert gap.summary()["own"]["optimal"] == 1
        assert not gap.late.any()
        assert gap.pooled >= -1e-9
        if isinstance(rule, kad.Dual):
            assert gap.pooled == pytest.approx(0, abs=1e-9)
            assert gap.summary()["budget"] is gap.summary()["over"] is gap.summary()["spare"] is None


@settings(max_examples=40)
@given(texts(), st.floats(0, 1))
def test_the_pooled_bound_is_that_of_one_knapsack_over_all_steps(problem, weight: float) -> None:
    p, q, loss = problem
    (gap,) = kad.gaps(p, [kad.mixture.Ensemble(weight)], loss, q=q).values()
    pool = (p / len(p)).flatten()
    bound = kad.theory.fractional_risk(loss(p, q).flatten(), pool, min(float(gap.mass.mean()), 1.0))
    assert gap.pooled == pytest.approx(float(gap.risk.mean()) - float(bound), abs=1e-8)


def test_a_summary_counts_steps_over_the_budget_apart() -> None:
    p = torch.tensor([[0.6, 0.25, 0.15], [0.9, 0.06, 0.04]], dtype=torch.float64)
    (gap,) = kad.gaps(p, [kad.Dual(threshold=0.3)], kad.Logistic(), budget=0.2).values()
    found = gap.summary()
    assert (found["stated"]["steps"], found["over_share"]) == (1, 0.5)
    assert found["over"] == pytest.approx(0.1)
    assert found["unfilled"] == pytest.approx(0.1)  # of the step within it
    assert found["stated"]["mean"] == pytest.approx(float(gap.stated.high[1]))
    (gap,) = kad.gaps(p, [kad.Dual(threshold=1.0)], kad.Logistic(), budget=0.2).values()
    assert gap.summary()["stated"]["mean"] is None


def test_out_of_time_the_interval_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Exact proves little, the gap is an interval, and the step is neither optimal nor not."""
    p = kad.theory.family("zipf", size=40, exponent=0.4).unsqueeze(0)

    def prove(self, loss, mass):
        d = kad.Primal(self.budget).defer(loss, mass)
        return kad.Proof(d.unsqueeze(0), torch.zeros(1, dtype=torch.float64), ["TIME_LIMIT"], ["majorisation"])

    monkeypatch.setattr(kad.Exact, "prove", prove)
    gap: Gap = kad.gaps(p, {"primal": kad.Primal(0.31)}, kad.Logistic())["primal"]
    assert gap.late.tolist() == [True]
    assert (float(gap.stated.low[0]), float(gap.stated.high[0])) == (0.0, float(gap.risk[0]))
    assert gap.summary()["stated"]["open"] == 1
    assert gap.summary()["late"] == 1


def test_half_precision_and_progress() -> None:
    told = list[str]()
    p = torch.softmax(torch.randn(4, 9, generator=torch.Generator().manual_seed(0)), -1)
    found = kad.gaps(p, {"a": kad.dual(0.2), "b": kad.primal(0.5)}, kad.Squared(), told=told.append)
    assert told == ["a"] * 4 + ["b"] * 4
    assert found["b"].stated.high.dtype == torch.float64
    assert found["a"].summary()["own"]["optimal"] == 1


P = torch.tensor([[0.6, 0.4]])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((P, [], kad.Logistic()), "at least one rule"),
        ((P, [kad.Primal(0.3), kad.Primal(0.3)], kad.Logistic()), "no two of one name"),
        ((P, [kad.Primal], kad.Logistic()), "must be a solver"),
        ((P[0], [kad.Primal(0.3)], kad.Logistic()), "a row for every step"),
        ((P[:0], [kad.Primal(0.3)], kad.Logistic()), "a row for every step"),
        ((2 * P, [kad.Primal(0.3)], kad.Logistic()), "must sum to 1"),
        ((P, [kad.Primal(0.3)], kad.Logistic), "make an instance"),
        ((P, [kad.Primal(0.3)], kad.ConfidenceBet()), "reads the proxy"),
        ((P, [kad.confidence_bet(0.1)], kad.Logistic()), "reads the proxy"),
        ((P, [kad.Dual(threshold=0.5)], kad.Logistic(), 1.5), "budget must lie in"),
        ((P, [kad.Dual(threshold=0.5)], kad.Logistic(), torch.tensor([0.1, 0.2])), "one entry for every row"),
        ((P, [kad.ImplicitReward("r")], kad.Logistic(), None, P), "is no mixture"),
        ((P, [kad.dual(0.4)], kad.Logistic(), None, torch.ones(1, 3) / 3), "same shape"),
    ],
)
def test_errors_are_one_sentence(arguments, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        kad.gaps(*arguments)
