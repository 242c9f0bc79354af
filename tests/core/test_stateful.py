"""`kad.Stateful` as a value: what its conformance suite sees, and where a state cannot be followed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import kad
from kad.testing import check_target


@dataclass(frozen=True)
class Right(kad.Stateful):
    """A threshold that falls."""

    reads_proxy: ClassVar[bool] = False

    def begin(self) -> Any:
        return 0.5

    def at(self, state: Tensor) -> kad.Target:
        return kad.dual(state)

    def follow(self, state: Tensor, alpha: Tensor, token: Tensor) -> Tensor:
        return 0.9 * state


class Nowhere(Right):
    def begin(self) -> Any:
        return float("nan")


class NoTarget(Right):
    def at(self, state: Tensor) -> Any:
        return kad.Dual(threshold=0.5)


class NoMixture(Right):
    def at(self, state: Tensor) -> kad.Target:
        return Always()


@dataclass(frozen=True)
class Always(kad.Target):
    reads_proxy: ClassVar[bool] = False

    def __call__(self, p: Tensor, q: Tensor, r: Tensor | None = None) -> Tensor:
        return q


class ReadsProxy(Right):
    def at(self, state: Tensor) -> kad.Target:
        return kad.confidence_bet(0.1)


class Elsewhere(Right):
    def at(self, state: Tensor) -> kad.Target:
        return kad.dual(state, "draws")


class Together(Right):
    def follow(self, state: Tensor, alpha: Tensor, token: Tensor) -> Tensor:
        return 0.9 * state + 0.01 * state.mean()


class Narrow(Right):
    def follow(self, state: Tensor, alpha: Tensor, token: Tensor) -> Tensor:
        return state.float()


class InPlace(Right):
    def follow(self, state: Tensor, alpha: Tensor, token: Tensor) -> Tensor:
        return state.mul_(0.9)


class Endless(Right):
    def follow(self, state: Tensor, alpha: Tensor, token: Tensor) -> Tensor:
        return state / 0


WRONG = {
    Nowhere: "begin must return a finite number", NoTarget: "Dual is not a kad.Target", NoMixture: "at must return a mixture",
    ReadsProxy: "reads_proxy is False, but", Elsewhere: "placement is 'models', but", Together: "another state than alone",
    Narrow: "must return states like those", InPlace: "changes the state", Endless: "follow returns",
}  # fmt: skip


@pytest.mark.parametrize(
    "target",
    [
        Right(),
        kad.paced(0.3),
        kad.Paced(kad.Brier(), 0.2, 0.5),
        kad.Paced(kad.ConfidenceBet(), 0.3, start=0.2),
        kad.paced(0.8, start=0.0, equality=True),
    ],
    ids=repr,
)
def test_right_ones_pass(target: kad.Stateful) -> None:
    check_target(target)


@pytest.mark.parametrize(("kind", "said"), WRONG.items())
def test_wrong_ones_are_told(kind: type[Right], said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        check_target(dataclass(frozen=True)(kind)())


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.floats(0, 1), st.floats(0.01, 5), st.floats(0, 5))
def test_the_price_follows_s15(alphas: list[float], budget: float, step: float, start: float) -> None:
    """Whatever is deferred, the excess over the budget is at most what the price has risen by, over η."""
    target = kad.Paced(kad.Logistic(), budget, step, start)
    masses = torch.tensor([alphas], dtype=torch.float64)
    prices = target.path(masses, torch.zeros(1, len(alphas)))
    last = target.follow(prices[:, -1], masses[:, -1], torch.zeros(1))
    assert float(prices[0, 0]) == start
    assert bool((prices >= 0).all())
    assert float((masses - budget).sum()) <= float(last - start) / step + 1e-9
    free = kad.Paced(kad.Logistic(), budget, step, start, equality=True)
    last = free.follow(free.path(masses, torch.zeros(1, len(alphas)))[:, -1], masses[:, -1], torch.zeros(1))
    assert float((masses - budget).sum()) == pytest.approx(float(last - start) / step, abs=1e-9)


@pytest.mark.parametrize("loss", [kad.Logistic(), kad.Squared(), kad.Brier(), kad.ZeroOne()], ids=repr)
def test_a_negative_price_defers_everything(loss: kad.Loss) -> None:
    """Tokens that cost nothing too, in rows of their own; a price of 0 and above is as ever."""
    p = torch.tensor([[0.7, 0.3, 0.0], [1.0, 0.0, 0.0], [0.7, 0.3, 0.0]], dtype=torch.float64)
    state = torch.tensor([-1e-3, -1e-3, 0.1], dtype=torch.float64)
    target = kad.Paced(loss, 0.5, equality=True)
    d = target.at(state).defer(p)
    assert d is not None
    assert (p * d).sum(-1)[:2].tolist() == [1.0, 1.0]
    same = kad.Paced(loss, 0.5).at(state[2:]).defer(p[2:])
    assert same is not None
    assert torch.equal(d[2:], same)


@pytest.mark.parametrize(("loss", "price"), [(kad.Logistic(), 0.9), (kad.Squared(), 0.36), (kad.Squared(), 4.0)])
def test_a_threshold_says_what_the_multiplier_says(loss: kad.Loss, price: float) -> None:
    p = torch.softmax(3 * torch.randn(40, 30, generator=torch.Generator().manual_seed(0), dtype=torch.float64), -1)
    level = loss.threshold(torch.tensor(price, dtype=torch.float64))
    assert level is not None
    assert torch.equal(kad.Dual(threshold=float(level)).defer(loss(p), p), kad.Dual(multiplier=price).defer(loss(p), p))


def test_who_takes_positions_by_themselves_refuses_it() -> None:
    p = torch.tensor([[0.5, 0.5]], dtype=torch.float64)
    with pytest.raises(ValueError, match="gaps takes every position by itself, and Paced has a state"):
        kad.gaps(p, [kad.paced(0.3)], kad.Logistic())
    pytest.importorskip("transformers")
    from kad.engines.vllm.arguments import arguments

    with pytest.raises(ValueError, match="vLLM takes every position by itself, and Paced has a state"):
        arguments(None, None, kad.paced(0.3))
