"""The public suites catch every kind of false claim, and every public class is put through them."""

from __future__ import annotations

from dataclasses import dataclass, field

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
    assert {type(x) for x in TARGETS} == public(kad.Target) - {kad.Stateful}  # which is abstract


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


@dataclass(frozen=True)
class Lottery(kad.Loss):
    def __call__(self, p, q=None):
        return torch.rand_like(p)


@dataclass(frozen=True)
class FieldOfALoss(kad.Loss):
    decreasing: bool = True

    def __call__(self, p, q=None):
        return 1 - p


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
        (Lottery(), "Lottery differs when the same input is given twice"),
        (FieldOfALoss(), r"write `decreasing: ClassVar\[bool\] = True`"),
        (kad.Primal(0.5), "not a kad.Loss"),
        (kad.Logistic, r"Logistic is a class; give an instance: Logistic\(\)"),
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


@dataclass(frozen=True)
class DrawsLots(kad.Solver):
    """It also exceeds its budget and decides a row of a batch otherwise than alone; neither says why."""

    budget: float = 0.6
    feasible = True

    def defer(self, loss, mass):
        return torch.randint(0, 2, mass.shape).to(mass.dtype)


@dataclass(frozen=True)
class Remembers(kad.Solver):
    seen: list[int] = field(default_factory=list, compare=False)

    def defer(self, loss, mass):
        self.seen.append(0)
        return torch.full_like(mass, len(self.seen) % 2)


@dataclass(frozen=True)
class FieldOfASolver(kad.Solver):
    fractional: bool = True
    budget: float = 0.6

    def defer(self, loss, mass):
        return kad.Fractional(self.budget).defer(loss, mass)


@dataclass(frozen=True)
class ListOfNumbers(kad.Solver):
    def defer(self, loss, mass):
        return mass.tolist()


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
        (DrawsLots(), "DrawsLots's d differs when the same input is given twice"),
        (Remembers(), "Remembers's d differs when the same input is given twice"),
        (FieldOfASolver(), r"write `fractional: ClassVar\[bool\] = True`"),
        (ListOfNumbers(), "must be a tensor, got list"),
        (kad.Logistic(), "not a kad.Solver"),
        (kad.Primal, r"Primal is a class; give an instance: Primal\(\.\.\.\)"),
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


@dataclass(frozen=True)
class Coins(kad.Target):
    def __call__(self, p, q, r=None):
        return torch.lerp(q, p, torch.rand((), dtype=p.dtype))


@dataclass(frozen=True)
class CoinsInDefer(kad.Target):
    """π is a function of its input, and d is not."""

    def defer(self, p, q=None):
        return torch.rand(()).expand_as(p).to(p.dtype)

    def __call__(self, p, q, r=None):
        return p


@dataclass(frozen=True)
class FieldOfATarget(kad.Target):
    reads_proxy: bool = False

    def __call__(self, p, q, r=None):
        return p


@dataclass(frozen=True)
class Defers(kad.Target):
    """π = p with a decision that is given, to be found wrong."""

    how: str

    def defer(self, p, q=None):
        return {
            "shape": torch.zeros(p.shape[:-1], dtype=p.dtype), "dtype": torch.zeros_like(p, dtype=torch.float16),
            "above": torch.full_like(p, 2), "list": p.tolist(), "batch": torch.zeros_like(p) if p.ndim == 1 else None,
            "sometimes": torch.zeros_like(p) if len(p) > 1 else None, "none": None,
        }[self.how]  # fmt: skip

    def __call__(self, p, q, r=None):
        return p


@dataclass(frozen=True)
class Undecided(kad.Target):
    reads_proxy = False

    def __call__(self, p, q, r=None):
        return (p + q) / 2


@dataclass(frozen=True)
class OtherCut(kad.Target):
    reads_proxy = False

    def defer(self, p, q=None):
        return torch.zeros_like(p)

    def cut(self, p):
        return kad.Dual(threshold=0.3).cut(p)

    def __call__(self, p, q, r=None):
        return p


def test_a_defer_that_returns_none_says_no_mixture() -> None:
    check_target(Defers("none"))


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (Unnormalised(), "sums to"),
        (OtherMixture(), "not the mixture of its own defer"),
        (Mingled(), "batch"),
        (Coins(), "Coins's π differs when the same input is given twice"),
        (CoinsInDefer(), "CoinsInDefer's defer differs when the same input is given twice"),
        (FieldOfATarget(), r"write `reads_proxy: ClassVar\[bool\] = False`"),
        (Defers("shape"), r"Defers's defer must have shape \(1,\), got \(\)"),
        (Defers("dtype"), r"Defers's defer must have the dtype torch.float64, got torch.float16"),
        (Defers("above"), r"Defers's defer is outside \[0, 1\]: \[2\.0\]"),
        (Defers("list"), "Defers's defer must be a tensor, got list"),
        (Defers("batch"), "returns None for some inputs only"),
        (Defers("sometimes"), "returns None for some inputs only"),
        (Undecided(), "reads_proxy = False to decide without"),
        (OtherCut(), "OtherCut's cut differs from its defer"),
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
