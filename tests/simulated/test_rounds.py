"""Budgets of a round on a device: they may only be lowered."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

import kad
from kad.evaluation.estimate import PEAK_UNITS, PEAK_UNITS_OF_OTHERS

from .device import Simulated
from .guard import missing
from .rounds import LONG, Cost, cost, near, peaked

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))

TARGETS = {
    "dual": kad.dual(0.4), "primal": kad.primal(0.9), "fractional": kad.fractional(0.9), "bet": kad.confidence_bet(0.1),
    "paced": kad.paced(0.4), "nudging": kad.nudging(0.4), "base": kad.Base(), "proxy": kad.Proxy(), "ensemble": kad.Ensemble(0.4),
    "diff": kad.Mixture(kad.cascades.Diff(), kad.Dual(multiplier=0.05)),
    "opt": kad.Mixture(kad.cascades.Opt(), kad.Dual(multiplier=0.05)),
    "v2": kad.Mixture(kad.cascades.TokenV2(), kad.Dual(multiplier=0.05)),
    "v3": kad.Mixture(kad.cascades.TokenV3(), kad.Dual(multiplier=0.5)),
    "brier": kad.Mixture(kad.Brier(), kad.Dual(multiplier=0.9)),
    "dual, draws": kad.dual(0.4, "draws"), "dual, mixture": kad.dual(0.4, "mixture"),
    "primal, mixture": kad.primal(0.9, "mixture"),
    "zero-one primal": kad.Mixture(kad.ZeroOne(), kad.Primal(0.5)),
    "bet fractional": kad.Mixture(kad.ConfidenceBet(), kad.Fractional(0.5)),
}  # fmt: skip
LIGHT = ("dual", "primal", "fractional", "bet", "nudging", "paced")
WAITS = {
    "dual": 1,
    "bet": 1,
    "primal": 2,
    "fractional": 2,
}  # whether the budget runs out among the heavy tokens is asked
DOWN = 256  # bytes to the host, per row and round
LAUNCHES, FUSED = 87, 40  # of the dual with one row and three drafts; as it is, and compiled
PEAK, PEAK_OF_OTHERS = PEAK_UNITS, PEAK_UNITS_OF_OTHERS  # of the memory of one number for each token at each place
SAMPLED = pytest.mark.parametrize("sample", [True, False], ids=["sampled", "greedy"])
Models = tuple[Simulated, Any, Any, Any]


@pytest.fixture(scope="module")
def models() -> Models:
    gpu, base = Simulated(), peaked()
    proxy, reference = near(base, 0.25), near(base, 0.3, seed=2)
    return gpu, gpu.adopt(base), gpu.adopt(proxy), gpu.adopt(reference)


def measured(models: Models, target: kad.Target, rows: int, window: int, sample: bool, **options: Any) -> Cost:
    gpu, base, proxy, _ = models
    drawn = {"do_sample": True, "temperature": 0.7, "seed": list(range(rows))} if sample else {"do_sample": False}
    return cost(gpu, base, proxy, target, rows=rows, window=window, **drawn, **options)


# Every target with few rows; with many, which take long, every target in one mode. In `make test-long` all.
FEW = list(itertools.product(WAITS, [1], [0, 3, 7], [True, False]))
MANY = list(itertools.product(WAITS, [16], [3, 7], [True, False]))
SOME = [("dual", 16, 7, True), ("bet", 16, 3, False), ("primal", 16, 3, False), ("fractional", 16, 3, True)]


@pytest.mark.parametrize(("name", "rows", "window", "sample"), FEW + (MANY if LONG else SOME))
def test_waits_bytes_and_memory_of_a_round(models: Models, name: str, rows: int, window: int, sample: bool) -> None:
    found = measured(models, TARGETS[name], rows, window, sample)
    assert found.waits <= WAITS[name], found.lines
    assert found.down <= DOWN
    assert found.peak <= PEAK, found.at_peak


@pytest.mark.parametrize(
    ("window", "sample"), list(itertools.product([0, 3], [True, False])) if LONG else [(0, False), (3, True)]
)
@pytest.mark.parametrize("name", [name for name in TARGETS if name not in WAITS] + ["reward"])
def test_memory_of_every_other_target(models: Models, name: str, window: int, sample: bool) -> None:
    target = kad.implicit_reward(models[3]) if name == "reward" else TARGETS[name]
    found = measured(models, target, 1, window, sample)
    assert found.waits <= 2, found.lines
    assert found.peak <= (PEAK if name in LIGHT else PEAK_OF_OTHERS), found.at_peak


@SAMPLED
def test_launches(models: Models, sample: bool) -> None:
    found = measured(models, TARGETS["dual"], 1, 3, sample)
    assert found.launches <= LAUNCHES, found.lines


@SAMPLED
def test_launches_where_the_compiler_fuses(models: Models, sample: bool) -> None:
    """What is compiled together counts as one."""
    found = measured(models, TARGETS["dual"], 1, 3, sample, compile=True)
    assert found.waits <= WAITS["dual"], found.lines
    assert found.launches <= FUSED, found.lines
