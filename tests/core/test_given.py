"""What is given is of the right kind, or one sentence says what is wrong and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch

import kad
from kad.testing import check_loss

P = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: kad.Mixture(kad.Logistic, kad.Primal(0.4)),
            r"got the class Logistic; make an instance: Logistic\(\)\.",
        ),
        (
            lambda: kad.Mixture(kad.Logistic(), kad.Primal),
            r"got the class Primal; make an instance: Primal\(\.\.\.\)\.",
        ),
        (lambda: kad.Mixture(kad.Dual, kad.Primal(0.4)), "loss must be a Loss, got the class Dual, which is no Loss"),
        (lambda: kad.Mixture(kad.Primal(0.4), kad.Logistic()), r"loss must be a Loss, got Primal\(budget=0\.4\)"),
        (lambda: kad.Mixture(kad.Logistic(), "primal"), "solver must be a Solver, got 'primal'"),
        (lambda: kad.Mixture(kad.Logistic(), 0.4), r"solver must be a Solver, got 0\.4"),
        (lambda: kad.Mixture(lambda p, q=None: 1 - p, kad.Primal(0.4)), "loss must be a Loss, got"),
        (
            lambda: kad.solve(-P.log(), P, kad.Primal),
            r"solver must be a Solver, got the class Primal; make an instance",
        ),
        (lambda: kad.solve(-P.log(), P, 0.4), r"solver must be a Solver, got 0\.4"),
        (lambda: kad.solve(kad.Logistic(), P, kad.Primal(0.4)), r"loss must be a Tensor, got Logistic\(\)"),
        (lambda: kad.solve(-P.log(), P.tolist(), kad.Primal(0.4)), r"mass must be a Tensor, got \[0\.5"),
    ],
)
def test_a_thing_of_another_kind_is_refused(call: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("loss", [kad.ZeroOne(), kad.ConfidenceBet(), kad.Nudging(), kad.cascades.TokenV2()], ids=repr)
def test_a_threshold_needs_a_strict_loss(loss: kad.Loss) -> None:
    with pytest.raises(
        ValueError, match=rf"falls strictly with p_v alone.*give {type(loss).__name__} a Dual\(multiplier"
    ):
        kad.Mixture(loss, kad.Dual(threshold=0.4))
    kad.Mixture(loss, kad.Dual(multiplier=0.4))


@pytest.mark.parametrize("loss", [kad.Logistic(), kad.Squared(), kad.Brier(), kad.Perceptron("probability")], ids=repr)
def test_a_threshold_is_some_multipliers_decision(loss: kad.Loss) -> None:
    """μ between the losses of the tokens on either side of λ, and there is such a μ for every λ."""
    p = torch.softmax(torch.randn(9, generator=torch.Generator().manual_seed(0), dtype=torch.float64), -1)
    values = loss(p)
    for threshold in [*p.tolist(), 0.05, 0.2]:
        d = kad.Mixture(loss, kad.Dual(threshold=threshold)).defer(p)
        if bool((d == 0).any()):
            multiplier = float(values[d == 0].max())
            assert torch.equal(kad.Mixture(loss, kad.Dual(multiplier=multiplier)).defer(p), d)


def test_no_multiplier_makes_a_threshold_of_zero_one() -> None:
    """Why it is refused: p_v < .25 would defer one of two tokens that cost the same."""
    decisions = {tuple(kad.Dual(multiplier=m).defer(kad.ZeroOne()(P), P).tolist()) for m in (0.0, 0.3, 0.999, 1.0, 7.0)}
    assert tuple((P < 0.25).double().tolist()) not in decisions


@dataclass(frozen=True)
class Forgetful(kad.Loss):
    decreasing: bool = True

    def __call__(self, p, q=None):
        return 1 - p


@dataclass(frozen=True)
class ForgetfulSolver(kad.Solver):
    budget: float = 0.6
    feasible: bool = True

    def defer(self, loss, mass):
        return kad.Primal(self.budget).defer(loss, mass)


@dataclass(frozen=True)
class Typed(kad.Loss):
    decreasing: ClassVar[bool] = True

    def __call__(self, p, q=None):
        return 1 - p


def test_a_claim_that_is_a_field_is_refused_where_it_is_used() -> None:
    with pytest.raises(ValueError, match=r"Forgetful.decreasing .*`decreasing: ClassVar\[bool\] = True`.*check_loss"):
        kad.Mixture(Forgetful(), kad.Primal(0.4))
    with pytest.raises(
        ValueError, match=r"ForgetfulSolver.feasible .*`feasible: ClassVar\[bool\] = True`.*check_solver"
    ):
        kad.Mixture(kad.Logistic(), ForgetfulSolver())
    kad.Mixture(Typed(), kad.Primal(0.4))
    check_loss(Typed())
