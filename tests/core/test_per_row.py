"""Thresholds, multipliers and budgets of every row or position: each row gets exactly what it would get alone."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import kad
from kad.arithmetic.cpu import SORTED
from kad.arithmetic.selection import HEAVY
from kad.cut import Cut

LEVELS = torch.tensor([[0.0, 0.1, 0.3], [0.7, HEAVY / 2, 1.0]], dtype=torch.float64)  # .1 and .7 have no float32
SOLVERS: dict[str, Callable[[Any], kad.Solver]] = {
    "threshold": lambda x: kad.Dual(threshold=x), "multiplier": lambda x: kad.Dual(multiplier=x),
    "primal": kad.Primal, "fractional": kad.Fractional,
}  # fmt: skip
LOSSES = [kad.Logistic(), kad.ZeroOne(), kad.Nudging()]


def masses(size: int, dtype: torch.dtype, kind: str) -> torch.Tensor:
    g = torch.Generator().manual_seed(size)
    logits = {
        "random": 3 * torch.randn(2, 3, size, generator=g, dtype=dtype),
        "flat": 0.01 * torch.randn(2, 3, size, generator=g, dtype=dtype),
        "tied": (2 * torch.randn(2, 3, size, generator=g, dtype=dtype)).round(),
        "peaked": torch.cat([torch.full((2, 3, 1), 12.0), torch.randn(2, 3, size - 1, generator=g)], -1).to(dtype),
    }[kind]
    p = torch.softmax(logits, -1)
    p[..., 1] = torch.where(torch.rand(2, 3, generator=g) < 0.5, p[..., 1], torch.tensor(0.1, dtype=dtype))
    return p / p.sum(-1, keepdim=True)  # some tokens lie at a threshold up to rounding


def layouts() -> list[torch.Tensor]:
    """Per row, per position and per both, of rows (2, 3)."""
    return [LEVELS, LEVELS[:, :1], LEVELS[0], LEVELS[:1, :]]


@pytest.mark.parametrize("kind", ["random", "flat", "tied", "peaked"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [7, SORTED, SORTED + 1, 5000])
def test_rows_are_decided_as_by_the_plain_solver(size: int, dtype: torch.dtype, kind: str) -> None:
    """Bit for bit, by every way: sorting, digits, cuts by mass, thresholds by sums and by what is left."""
    p = masses(size, dtype, kind)
    for make in SOLVERS.values():
        alone = {float(x): make(float(x)) for x in LEVELS.flatten()}
        for levels in layouts():
            solver, spread = make(levels), levels.expand(2, 3)
            cut = solver.cut(p)
            for loss in LOSSES:
                d = solver.defer(loss(p), p)
                assert d.dtype == dtype
                for at in np.ndindex(2, 3):
                    want = alone[float(spread[at])].defer(loss(p), p)[at]
                    assert torch.equal(d[at], want), (solver, loss, at)
            for at in np.ndindex(2, 3):
                single = alone[float(spread[at])].cut(p)
                assert (single is None) == (cut is None)
                if cut is not None and single is not None:
                    same_cut(cut, single, p, at)


def same_cut(cut: Cut, single: Cut, p: torch.Tensor, at: tuple[int, ...]) -> None:
    assert torch.equal(cut.alpha[at], single.alpha[at])
    assert torch.equal(cut.dense(p)[at], single.dense(p)[at])
    assert torch.equal(cut.kept(p)[at], single.kept(p)[at])
    tokens = torch.arange(p.shape[-1])
    assert torch.equal(cut.at((..., None)).of(p, tokens)[at], single.at((..., None)).of(p, tokens)[at])


@pytest.mark.parametrize("size", [7, SORTED + 1])
def test_a_token_at_the_threshold(size: int) -> None:
    """In float32, where .1 and .7 are other numbers than in float64: a tensor's entries are rounded as a number is."""
    p = torch.full((2, size), 0.2 / (size - 2))
    p[:, 0], p[:, 1] = 0.7, 0.1
    for levels in (torch.tensor([0.1, 0.7], dtype=torch.float64), torch.tensor([0.7, 0.1], dtype=torch.float64)):
        for make, loss in ((SOLVERS["threshold"], 1 - p), (SOLVERS["multiplier"], p)):
            solver = make(levels)
            for i, x in enumerate(levels.tolist()):
                assert torch.equal(solver.defer(loss, p)[i], make(x).defer(loss, p)[i])
                cut, alone = solver.cut(p), make(x).cut(p)
                if cut is not None and alone is not None:
                    same_cut(cut, alone, p, (i,))


@given(st.lists(st.floats(0, 1), min_size=6, max_size=6), st.integers(2, 9), st.integers(0, 10**6))
def test_any_levels(levels: list[float], size: int, seed: int) -> None:
    p = torch.softmax(2 * torch.randn(6, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64), -1)
    for make in SOLVERS.values():
        d = make(torch.tensor(levels, dtype=torch.float64)).defer(-p.log(), p)
        want = torch.stack([make(x).defer(-row.log(), row) for x, row in zip(levels, p, strict=True)])
        assert torch.equal(d, want)


def test_exact_and_certificates() -> None:
    """`kad.solve` of rows with budgets of their own is `kad.solve` of each of them."""
    p = torch.softmax(2 * torch.randn(4, 12, generator=torch.Generator().manual_seed(1), dtype=torch.float64), -1)
    levels = torch.tensor([0.0, 0.25, 0.6, 1.0], dtype=torch.float64)
    loss = -p.log()
    for make in (kad.Exact, kad.Primal, kad.Fractional):
        found = kad.solve(loss, p, make(levels))
        assert torch.equal(found.budget, levels)
        for i, b in enumerate(levels.tolist()):
            single = kad.solve(loss[i], p[i], make(b))
            for name in ("d", "budget", "deferred_mass", "risk", "lower_bound", "price"):
                torch.testing.assert_close(getattr(found, name)[i], getattr(single, name), atol=1e-15, rtol=1e-15)
            assert (found.status[i], found.engine[i]) == (single.status[0], single.engine[0])
    asked = kad.solve(loss, p, kad.Dual(multiplier=1.0), budget=levels)
    for i, b in enumerate(levels.tolist()):
        single = kad.solve(loss[i], p[i], kad.Dual(multiplier=1.0), budget=b)
        assert asked.status[i] == single.status[0]
        torch.testing.assert_close(asked.lower_bound[i], single.lower_bound, atol=1e-15, rtol=1e-15)
    kad.solve(loss, p, kad.Primal(levels), budget=levels.numpy())  # the solver's own, again
    kad.solve(loss, p, kad.Primal(0.5), budget=torch.full((4,), 0.5))
    with pytest.raises(ValueError, match=r"budget=tensor\(\[0\.0, 0\.25, 0\.6, 1\.0\]\) differs from the budget 0\.5"):
        kad.solve(loss, p, kad.Primal(0.5), budget=levels)


def test_targets_of_rows() -> None:
    """The paper's rules by name, with a number for every row."""
    g = torch.Generator().manual_seed(0)
    p, q = (torch.softmax(2 * torch.randn(3, 8, generator=g), -1) for _ in range(2))
    levels = torch.tensor([0.1, 0.4, 0.9])
    for make in (kad.dual, kad.primal, kad.fractional, kad.nudging, kad.confidence_bet):
        target = make(levels)
        assert target.solver.per_row
        for i, x in enumerate(levels.tolist()):
            assert torch.equal(target(p, q)[i], make(x)(p, q)[i]), target
            assert not make(x).solver.per_row


@pytest.mark.parametrize(
    "one", [torch.tensor(0.5), torch.tensor([[0.5]]), np.float32(0.5), np.float64(0.5), np.array(0.5)]
)
@pytest.mark.parametrize(
    "make",
    [*SOLVERS.values(), kad.Exact, kad.Brute, kad.OrTools, kad.dual, kad.nudging, kad.confidence_bet, kad.Ensemble,
     lambda x: kad.implicit_reward("q", x)],
)  # fmt: skip
def test_one_number_is_pythons(make: Callable[[Any], Any], one: Any) -> None:
    """Equality, hash and repr stay those of a plain number."""
    assert make(one) == make(0.5)
    assert hash(make(one)) == hash(make(0.5))
    assert repr(make(one)) == repr(make(0.5))
    assert "tensor" not in repr(make(one))
    assert "np." not in repr(make(one))
    assert not getattr(make(one), "per_row", False)


@pytest.mark.parametrize(
    "make", [*SOLVERS.values(), kad.Exact, kad.dual, kad.nudging], ids=lambda x: getattr(x, "__name__", str(x))
)
def test_values_with_tensors_are_values(make: Callable[[Any], Any]) -> None:
    several = torch.tensor([0.25, 0.5], dtype=torch.float64)
    thing = make(several)
    for same in (
        make(several.clone()),
        make(several.numpy()),
        make(several.float()),
        pickle.loads(pickle.dumps(thing)),
    ):
        assert thing == same
        assert hash(thing) == hash(same)
    for other in (make(0.25), make(several.flip(0)), make(several.unsqueeze(0)), kad.Base(), 0.25):
        assert thing != other
    several[0] = 0.75  # what is frozen is a copy
    assert thing == make(torch.tensor([0.25, 0.5]))
    assert "\n" not in repr(make(torch.rand(50, 1)))
    assert len(repr(make(torch.rand(50, 1)))) < 160
    if isinstance(thing, kad.Exact):
        assert repr(thing).startswith("Exact(budget=tensor([0.25, 0.5]), tolerance=5e-07")
        assert replace(thing, budget=0.5) == kad.Exact(0.5)


P = torch.full((2, 3, 4), 0.25)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: kad.Primal(torch.tensor([0.1, 1.5])), r"budget must lie in \[0, 1\].*got 1\.5"),
        (lambda: kad.Exact(np.array([0.1, np.nan])), r"budget must lie in \[0, 1\].*got nan"),
        (lambda: kad.Dual(threshold=torch.tensor([-0.5, 0.5])), r"threshold must lie in.*got -0\.5"),
        (lambda: kad.Dual(multiplier=torch.tensor([1.0, torch.nan])), "multiplier must be a number ≥ 0, got nan"),
        (lambda: kad.Dual(multiplier=torch.tensor(-1.0)), r"multiplier must be a number ≥ 0, got -1\.0"),
        (lambda: kad.nudging(torch.tensor([0.1, 1.5])), r"nudging threshold must lie in.*got 1\.5"),
        (lambda: kad.Primal([0.1, 0.2]), r"budget must be a number, or a tensor with one for every row, got \[0\.1, 0\.2\]"),
        (lambda: kad.Primal("0.4"), "budget must be a number.*got '0.4'"),
        (lambda: kad.Primal(None), "budget must be a number.*got None"),
        (lambda: kad.Primal(True), "budget must be a number.*got True"),
        (lambda: kad.Dual(threshold=torch.tensor([True, False])), "threshold must be a number"),
        (lambda: kad.Dual(threshold=np.array(["a"])), "threshold must be a number"),
        (lambda: kad.Brute(torch.tensor([0.1, 0.2])), r"Brute budget must be one number for all rows, got tensor\(\[0\.1"),
        (lambda: kad.OrTools(torch.rand(3)), "OrTools budget must be one number"),
        (lambda: kad.Ensemble(torch.rand(3)), "Ensemble weight must be one number"),
        (lambda: kad.implicit_reward("q", torch.rand(3)), "ImplicitReward strength must be one number"),
        (lambda: kad.Primal(torch.rand(2)).defer(P, P), r"budget .*\(2,\) must be broadcastable to \(2, 3\)"),
        (lambda: kad.Primal(torch.rand(3, 2)).cut(P), r"budget .*\(3, 2\) must be broadcastable to \(2, 3\)"),
        (lambda: kad.Fractional(torch.rand(1, 2, 3)).cut(P), r"broadcastable to \(2, 3\)"),
        (lambda: kad.Dual(threshold=torch.rand(2)).cut(P), r"threshold .* must be broadcastable"),
        (lambda: kad.Dual(multiplier=torch.rand(2)).defer(P, P), r"multiplier .* must be broadcastable"),
        (lambda: kad.Exact(torch.rand(2)).defer(P, P), r"budget .* must be broadcastable"),
        (lambda: kad.solve(P, P, kad.Dual(multiplier=1), budget=torch.rand(2)), r"budget .* must be broadcastable"),
        (lambda: kad.Primal(torch.rand(4)).defer(P[0, 0], P[0, 0]), r"\(4,\) must be broadcastable to \(\)"),
        (lambda: kad.dual(torch.tensor([0.1, 0.2]))(P, P), "threshold .* must be broadcastable"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_the_suite_wants_one_number() -> None:
    with pytest.raises(AssertionError, match="check it with one number"):
        kad.testing.check_solver(kad.Primal(torch.tensor([0.1, 0.2])))
