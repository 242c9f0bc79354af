"""Every statement where it is most easily wrong: one token, zeros, ties, everything fits, b in {0, 1}, all and nothing deferred.

And that the random examples reach such places by themselves.
"""

from __future__ import annotations

from collections.abc import Callable

import hypothesis
import pytest
import torch

import kad
from kad import theory as t

from .support import Case, cases, extreme_cases, finite
from .test_s13_majorisation import CONCAVE, concave

CASES = list(extreme_cases())
STRICT = [kad.Logistic(), kad.Squared(), kad.Brier(), kad.Perceptron("log"), kad.Perceptron("probability")]
CLAIMS: dict[str, Callable[[Case], t.Claim]] = {
    "S1 dual_minimises": lambda c: t.dual_minimises(c.loss, c.p, c.multiplier, c.budget),
    "S1 weak_duality": lambda c: t.weak_duality(c.loss, c.p, c.multiplier, c.budget),
    "S2 gap_identity": lambda c: t.gap_identity(c.loss, c.p, c.multiplier, c.budget),
    "S2 dual_regret": lambda c: t.dual_regret(c.loss, c.p, c.multiplier, c.budget),
    "S3 everett": lambda c: t.everett(c.loss, c.p, c.multiplier),
    "S4 primal_gap": lambda c: t.primal_gap(c.loss, c.p, c.budget),
    "S4 primal_regret": lambda c: t.primal_regret(c.loss, c.p, c.budget),
    "S4 logistic_regret": lambda c: t.logistic_regret(c.p, c.budget),
    "S5 primal_is_a_threshold": lambda c: t.primal_is_a_threshold(c.loss, c.p, c.budget),
    "S5 half_of_the_saving": lambda c: t.half_of_the_saving(c.loss, c.p, max(c.budget, float(c.p.max()))),
    "S6 strong_duality": lambda c: t.strong_duality(c.loss, c.p, c.budget),
    "S6 fractional_fills": lambda c: t.fractional_fills(c.loss, c.p, c.budget),
    "S6 fractional_beats_the_optimum": lambda c: t.fractional_beats_the_optimum(c.loss, c.p, c.budget),
    "S7 plug_in_mass": lambda c: t.plug_in_mass(c.true, c.p, c.d),
    "S7 plug_in_risk": lambda c: t.plug_in_risk(c.true, c.p, finite(c.loss), c.d),
    "S7 plug_in_risk_of_the_dual": lambda c: t.plug_in_risk_of_the_dual(c.true, c.p, finite(c.loss), c.multiplier),
    "S7 plug_in_regret": lambda c: t.plug_in_regret(c.true, c.p, finite(c.loss), c.multiplier, c.budget),
    "S7 plug_in_regret_of_the_primal": lambda c: t.plug_in_regret_of_the_primal(c.true, c.p, finite(c.loss), c.budget),
    "S8 distance_to_proxy": lambda c: t.distance_to_proxy(c.p, c.q, c.d),
    "S8 distance_to_base": lambda c: t.distance_to_base(c.p, c.q, c.d),
    "S9 closer_than_base": lambda c: t.closer_than_base(c.p, c.q, c.d),
    "S9 nudging_comparison": lambda c: t.nudging_comparison(c.p, c.q, c.budget),
    "S10 acceptance_probability": lambda c: t.acceptance_probability(c.p, c.q, c.d),
    "S10 acceptance_floor": lambda c: t.acceptance_floor(c.p, c.q, c.d),
    "S10 emitted_law": lambda c: t.emitted_law(c.p, c.q, c.d),
    "S11, S12 lazy_law": lambda c: t.lazy_law(c.p, c.q, c.d),
    "S11 certified_mode": lambda c: t.certified_mode(c.p, c.d),
    "S14 everett_over_a_text": lambda c: t.everett_over_a_text(
        finite(c.loss).repeat(2, 1), torch.stack([c.p, c.true]), c.multiplier
    ),
    "S14 one_price_dominates": lambda c: t.one_price_dominates(
        finite(c.loss).repeat(2, 1), torch.stack([c.p, c.true]), torch.stack([c.d, 1 - c.d]), c.multiplier
    ),
    "S15 pacing": lambda c: t.pacing(torch.cat([c.p, c.d]), c.budget, 1.0, c.multiplier),
    "S15 pacing, equality": lambda c: t.pacing(torch.cat([c.p, c.d]), c.budget, 1.0, c.multiplier, equality=True),
    "S15 kept_mean": lambda c: t.kept_mean(torch.stack([c.p, c.true, c.q]), c.budget, 2.0, c.multiplier),
    "S15 pacing_bound": lambda c: t.pacing_bound(torch.stack([c.p, c.true, c.q]), c.budget, 2.0, c.multiplier),
}


def test_there_are_as_many_extremes_as_random_examples() -> None:
    assert len(CASES) >= 2000


@pytest.mark.parametrize("name", CLAIMS)
def test_at_the_extremes(name: str, long: bool) -> None:
    """All of them in `make test-long`, every third otherwise."""
    wrong = [c for c in CASES[:: 1 if long else 3] if not CLAIMS[name](c).holds()]
    assert not wrong, wrong[0]


@pytest.mark.parametrize("loss", STRICT, ids=repr)
def test_what_is_said_of_strictly_falling_losses(loss: kad.Loss, long: bool) -> None:
    seen = set()
    for c in CASES[:: 1 if long else 3]:
        if (key := (tuple(c.p.tolist()), c.budget)) not in seen:
            seen.add(key)
            assert t.primal_keeps_a_nucleus(loss(c.p), c.p, c.budget).holds(), c
            assert t.half_of_the_saving(loss(c.p), c.p, c.budget).holds(), c


@pytest.mark.parametrize("loss", CONCAVE, ids=repr)
def test_what_is_said_of_concave_costs(loss: kad.Loss, long: bool) -> None:
    seen = set()
    for c in CASES[:: 1 if long else 3]:
        if concave(loss, c.p) and (key := (tuple(c.p.tolist()), c.budget)) not in seen:
            seen.add(key)
            for statement in (t.majorisation, t.sized_majorisation, t.majorisation_against_relaxation):
                assert statement(loss, c.p, c.budget).holds(), (statement.__name__, c)


PLACES: dict[str, Callable[[Case], bool]] = {
    "one token": lambda c: len(c.p) == 1,
    "a token of mass zero, which costs infinity": lambda c: bool(c.loss.isinf().any()),
    "equal masses": lambda c: len(c.p) > 1 and bool((c.p == c.p[0]).all()),
    "equal losses of different masses": lambda c: bool((c.loss == c.loss[0]).all()) and bool((c.p != c.p[0]).any()),
    "b = 0": lambda c: c.budget == 0,
    "b = 1, everything fits": lambda c: c.budget == 1,
    "a budget that is met exactly": lambda c: bool((c.p == c.budget).any()) and 0 < c.budget < 1,
    "a critical token that costs nothing": lambda c: 0 < c.budget < 1 and float(c.loss.max()) == 0,
    "a loss that is the price": lambda c: bool((c.loss == c.multiplier).any()) and c.multiplier > 0,
    "everything is deferred": lambda c: bool((c.d == 1).all()),
    "nothing is deferred": lambda c: bool((c.d == 0).all()),
    "p = q*": lambda c: len(c.p) > 1 and torch.equal(c.p, c.q),
}


@pytest.mark.parametrize("place", PLACES)
def test_random_examples_reach_the_extremes(place: str) -> None:
    once = [hypothesis.Phase.generate]  # nobody needs the smallest
    few = hypothesis.settings(max_examples=5000, database=None, derandomize=True, phases=once)
    hypothesis.find(cases(), PLACES[place], settings=few)
