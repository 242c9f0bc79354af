"""The public suites catch every kind of false claim, and every public class is put through them."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

import kad
from kad.testing import check_loss, check_solver, check_target

from .strategies import LOSSES
from .test_mixture import TARGETS
from .test_solvers import SOLVERS


def public(kind: type) -> set[type]:
    things = (getattr(home, name) for home in (kad, kad.cascades) for name in dir(home))
    return {t for t in things if isinstance(t, type) and issubclass(t, kind) and t is not kind}


def test_no_public_class_is_left_out() -> None:
    assert {type(x) for x in LOSSES} == public(kad.Loss)
    assert {type(x) for x in SOLVERS} == public(kad.Solver)
    assert {type(x) for x in TARGETS} == public(kad.Target)


class Thawed(kad.Loss):
    def __call__(self, p, q=None):
        return 1 - p


@dataclass(frozen=True)
class Negative(kad.Loss):
    def __call__(self, p, q=None):
        return p - 0.5


@dataclass(frozen=True)
class Scalar(kad.Loss):
    def __call__(self, p, q=None):
        return 1 - p.amax(-1)


@dataclass(frozen=True)
class Rising(kad.Loss):
    decreasing = True

    def __call__(self, p, q=None):
        return p


@dataclass(frozen=True)
class SecretReader(kad.Loss):
    def __call__(self, p, q=None):
        return 1 - p if q is None else (1 - q).expand_as(p)


@dataclass(frozen=True)
class NeverReads(kad.Loss):
    reads_proxy = True

    def __call__(self, p, q=None):
        return 1 - p


@dataclass(frozen=True)
class AcrossTheBatch(kad.Loss):
    def __call__(self, p, q=None):
        return p.max() - p


@dataclass(frozen=True)
class NotANumber(kad.Loss):
    def __call__(self, p, q=None):
        return p.log() / p.log()


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (Thawed(), "frozen dataclass"),
        (Negative(), "negative"),
        (Scalar(), "one loss per token"),
        (Rising(), "claims to be decreasing"),
        (SecretReader(), "reads_proxy = True"),
        (NeverReads(), "never changes with it"),
        (AcrossTheBatch(), "batch"),
        (NotANumber(), "NaN"),
        (kad.Primal(0.5), "not a kad.Loss"),
    ],
)
def test_false_losses(loss, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check_loss(loss)


@dataclass(frozen=True)
class Everything(kad.Solver):
    budget: float = 0.3
    feasible = True

    def defer(self, loss, mass):
        return torch.ones_like(mass)


@dataclass(frozen=True)
class NotExact(kad.Solver):
    budget: float = 0.6
    feasible = True
    exact = True

    def defer(self, loss, mass):
        return kad.Primal(self.budget).defer(loss, mass)


@dataclass(frozen=True)
class NotFull(kad.Solver):
    budget: float = 0.6
    fills = True

    def defer(self, loss, mass):
        return kad.Primal(self.budget).defer(loss, mass)


@dataclass(frozen=True)
class SecretlyFractional(kad.Solver):
    budget: float = 0.6

    def defer(self, loss, mass):
        return kad.Fractional(self.budget).defer(loss, mass)


@dataclass(frozen=True)
class OneBudgetForAll(kad.Solver):
    """The bug seen in the field: a window flattened into one knapsack."""

    budget: float = 0.6

    def defer(self, loss, mass):
        flat = kad.Primal(self.budget).defer(loss.flatten(), mass.flatten() / mass.sum())
        return flat.reshape(mass.shape)


@dataclass(frozen=True)
class Homeless(kad.Solver):
    feasible = True

    def defer(self, loss, mass):
        return torch.zeros_like(mass)


@dataclass(frozen=True)
class OutOfRange(kad.Solver):
    def defer(self, loss, mass):
        return 2 * torch.ones_like(mass)


@pytest.mark.parametrize(
    ("solver", "words"),
    [
        (Everything(), "> budget"),
        (NotExact(), "claims to be exact"),
        (NotFull(), "claims to fill"),
        (SecretlyFractional(), "does not claim it"),
        (OneBudgetForAll(), "otherwise than alone"),
        (Homeless(), "give it a field `budget`"),
        (OutOfRange(), "outside"),
        (kad.Logistic(), "not a kad.Solver"),
    ],
)
def test_false_solvers(solver, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check_solver(solver)


@dataclass(frozen=True)
class Unnormalised(kad.Target):
    def __call__(self, p, q, r=None):
        return p + q


@dataclass(frozen=True)
class OtherMixture(kad.Target):
    reads_proxy = False

    def defer(self, p, q=None):
        return torch.ones_like(p)

    def __call__(self, p, q, r=None):
        return p


@dataclass(frozen=True)
class Mingled(kad.Target):
    def __call__(self, p, q, r=None):
        return p.reshape(-1, p.shape[-1]).mean(0).expand_as(p)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (Unnormalised(), "sums to"),
        (OtherMixture(), "not the mixture of its own defer"),
        (Mingled(), "batch"),
        ("dual", "not a kad.Target"),
    ],
)
def test_false_targets(target, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check_target(target)


def test_a_strangers_target_decodes() -> None:
    """Four lines are a target; the decoder needs no more."""
    from ..models import tiny

    @dataclass(frozen=True)
    class Average(kad.Target):
        def __call__(self, p, q, r=None):
            return (p + q) / 2

    check_target(Average())
    base, proxy = tiny("llama", 1), tiny("llama", 2)
    outs = [kad.generate(base, proxy, [[3, 4]], target=Average(), window=w, max_new_tokens=12) for w in (0, 3)]
    assert torch.equal(outs[0].sequences, outs[1].sequences)
    assert {t.origin for t in outs[1].trace.tokens()} <= {"proxy", "target"}
