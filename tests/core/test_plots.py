"""Figures: the curves that are drawn are the numbers of the theory; a missing matplotlib is one sentence."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

import kad

P = torch.softmax(1.5 * torch.randn(12, generator=torch.Generator().manual_seed(0), dtype=torch.float64), -1)
LOSS = -P.log()


@pytest.fixture(autouse=True)
def _closed():
    yield
    kad.plots.pyplot().close("all")


def curve(axes, label: str) -> tuple[np.ndarray, np.ndarray]:
    line = next(x for x in axes.lines if x.get_label().startswith(label))
    return np.asarray(line.get_xdata()), np.asarray(line.get_ydata())


def test_frontier() -> None:
    axes = kad.plots.frontier(LOSS, P)
    budgets, exact = curve(axes, "exact")
    best = [float(kad.theory.optimal_risk(LOSS, P, float(b))) for b in budgets]
    np.testing.assert_allclose(exact, best, atol=1e-11)
    assert (curve(axes, "LP")[1] <= exact + 1e-12).all()
    assert (curve(axes, "primal")[1] >= exact - 1e-12).all()


def test_duality() -> None:
    axes = kad.plots.duality(LOSS, P, 0.4)
    mu, values = curve(axes, "θ")
    want = [float(kad.theory.dual_function(LOSS, P, float(x), 0.4)) for x in mu]
    np.testing.assert_allclose(values, want, atol=1e-12)
    top = curve(axes, "max")[1][0]
    assert top == pytest.approx(float(kad.theory.fractional_risk(LOSS, P, 0.4)), abs=1e-12)
    assert (values <= top + 1e-12).all()
    for line in axes.lines:
        if line.get_alpha() == 0.6:  # tangents of a concave function lie above it
            assert (np.asarray(line.get_ydata()) >= values - 1e-12).all()


def test_step_and_unfilled() -> None:
    d = kad.Fractional(0.4).defer(LOSS, P)
    axes = kad.plots.step(P, d, q=torch.full_like(P, 1 / 12), tokens=[f"t{i}" for i in range(12)])
    heights = [bar.get_height() for bar in axes.patches]
    assert sum(heights) == pytest.approx(1)
    assert sum(heights[12:]) == pytest.approx(0.4)
    assert axes.get_xticklabels()[0].get_text() == f"t{int(P.argmax())}"
    many = torch.softmax(torch.randn(5, 12, generator=torch.Generator().manual_seed(1), dtype=torch.float64), -1)
    axes = kad.plots.unfilled(-many.log(), many, 0.3)
    np.testing.assert_allclose(curve(axes, "fractional")[1], 0, atol=1e-12)
    want = kad.theory.unfilled_budget(-many.log(), many, 0.3).numpy()
    np.testing.assert_allclose(curve(axes, "primal")[1], want, atol=1e-12)
    with pytest.raises(ValueError, match="many steps"):
        kad.plots.unfilled(LOSS, P, 0.3)


def test_gaps_draw_what_they_hold() -> None:
    """A strip per rule; steps over a budget are in none of its panels, and a rule without one in the first alone."""
    many = torch.softmax(2 * torch.randn(9, 12, generator=torch.Generator().manual_seed(1), dtype=torch.float64), -1)
    free = kad.gaps(many, {"free": kad.Dual(threshold=0.1)}, kad.Logistic())
    found = free | kad.gaps(
        many, {"dual": kad.Dual(threshold=0.1), "primal": kad.Primal(0.3)}, kad.Logistic(), budget=0.3
    )
    own, stated, unfilled = kad.plots.optimality_gaps(found)
    assert [t.get_text() for t in own.get_yticklabels()] == ["free", "dual", "primal"]
    assert [t.get_text() for t in stated.get_yticklabels()] == ["dual", "primal"]
    for panel, values in ((stated, lambda gap: gap.stated.high), (unfilled, lambda gap: gap.unfilled)):
        dots = [line.get_xdata() for line in panel.lines if line.get_marker() == "."]
        for drawn, gap in zip(dots, (found["dual"], found["primal"]), strict=True):
            want = values(gap)[gap.over == 0]
            assert 0 < len(want) <= 9
            np.testing.assert_allclose(drawn, sorted(want.tolist()))
    (alone,) = kad.plots.optimality_gaps(free)
    assert kad.plots.optimality_gaps(free, axes=[alone]) == [alone]


def test_axes_of_the_caller() -> None:
    _, axes = kad.plots.pyplot().subplots()
    assert kad.plots.frontier(LOSS, P, budgets=[0.1, 0.5], axes=axes) is axes


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "matplotlib", None)
        with pytest.raises(ImportError, match=r"pip install"):
            kad.plots.frontier(LOSS, P)
