"""Budgets of a round on a device: they may only be lowered."""

from __future__ import annotations

from typing import Any

import pytest

import kad

from .device import Simulated
from .guard import missing
from .rounds import cost, near, peaked

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))

TARGETS = {
    "dual": kad.dual(0.4), "primal": kad.primal(0.9), "fractional": kad.fractional(0.9), "bet": kad.confidence_bet(0.1),
}  # fmt: skip
WAITS = {1: 2.0, 16: 2.0}  # per round, by rows
DOWN = 1000  # bytes to the host, per row and round
LAUNCHES = 100  # of the dual with one row and three drafts


@pytest.fixture(scope="module")
def models() -> tuple[Simulated, Any, Any]:
    gpu, base = Simulated(), peaked()
    proxy = near(base, 0.25)
    return gpu, gpu.adopt(base), gpu.adopt(proxy)


@pytest.mark.parametrize("sample", [True, False], ids=["sampled", "greedy"])
@pytest.mark.parametrize("window", [0, 3, 7])
@pytest.mark.parametrize("name", TARGETS)
def test_the_host_waits_once_or_twice_a_round(
    models: tuple[Simulated, Any, Any], name: str, window: int, sample: bool
) -> None:
    found = cost(*models, TARGETS[name], rows=1, window=window, do_sample=sample, seed=5 if sample else None)
    assert found.waits <= WAITS[1], found.lines
    assert found.down <= DOWN


@pytest.mark.parametrize("sample", [True, False], ids=["sampled", "greedy"])
@pytest.mark.parametrize(("name", "window"), [("dual", 3), ("dual", 7), ("primal", 3), ("fractional", 3), ("bet", 7)])
def test_of_many_rows_too(models: tuple[Simulated, Any, Any], name: str, window: int, sample: bool) -> None:
    seed = list(range(16)) if sample else None
    found = cost(*models, TARGETS[name], rows=16, window=window, do_sample=sample, seed=seed)
    assert found.waits <= WAITS[16], found.lines
    assert found.down <= DOWN


@pytest.mark.parametrize("sample", [True, False], ids=["sampled", "greedy"])
def test_launches(models: tuple[Simulated, Any, Any], sample: bool) -> None:
    found = cost(*models, TARGETS["dual"], rows=1, window=3, do_sample=sample, seed=5 if sample else None)
    assert found.launches <= LAUNCHES, found.lines
