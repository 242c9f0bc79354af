"""Targets, losses and solvers of somebody else's: what is right is sampled exactly, what is wrong is one sentence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

import kad
from kad.laws.first_look import Look, look_at
from kad.mixture import mixed

from ..models import ragged, tiny
from .enumeration import Script, decoder
from .reference import continuation
from .test_greedy import reference_greedy
from .test_law import compare

WINDOWS = (0, 1, 3, 7)
NEW = 9


def light(p: Tensor) -> Tensor:
    return (p < 0.4).to(p)


class Own(kad.Target):
    """A target whose methods are given; by default a right one that is no mixture."""

    def __init__(self, pi: Any = None, **methods: Any) -> None:
        self.pi = pi
        vars(self).update(methods)

    def __call__(self, p: Tensor, q: Tensor, r: Tensor | None = None) -> Any:
        if self.pi is not None:
            return self.pi(p, q)
        both = (p * q).sqrt() + 1e-3
        return both / both.sum(-1, keepdim=True)


class Lazy(Own):
    """A mixture of p's alone."""

    reads_proxy = False

    def __call__(self, p: Tensor, q: Tensor, r: Tensor | None = None) -> Any:
        return self.pi(p, q) if self.pi is not None else mixed(p, q, light(p))

    def defer(self, p: Tensor, q: Tensor | None = None) -> Any:
        return light(p)


class Both(Own):
    """A mixture whose decision reads q*."""

    def __call__(self, p: Tensor, q: Tensor, r: Tensor | None = None) -> Any:
        return mixed(p, q, (p < q).to(p))

    def defer(self, p: Tensor, q: Tensor | None = None) -> Any:
        return (p < q).to(p)


class Cutting(Lazy):
    def cut(self, p: Tensor) -> Any:
        return kad.Dual(threshold=0.4).cut(p)


class SaysNo(Own):
    """It has a ``defer``, and says with it that it is no mixture."""

    def defer(self, p: Tensor, q: Tensor | None = None) -> None:
        return None


class SaysNoAlone(SaysNo):
    reads_proxy = False


@dataclass(frozen=True)
class Mean(kad.Loss):
    """A loss that is not strict, so that it is computed."""

    power: float = 2.0

    def __call__(self, p: Tensor, q: Tensor | None = None) -> Tensor:
        return (1 - p) ** self.power


@dataclass(frozen=True)
class Half(kad.Solver):
    fractional: ClassVar[bool] = True

    def defer(self, loss: Tensor, mass: Tensor) -> Tensor:
        return 0.5 * (loss > 0.3).to(mass)


RIGHT: dict[str, Callable[[], kad.Target]] = {
    "no mixture": Own, "defer says None": SaysNo, "defer says None without q*": SaysNoAlone, "lazy": Lazy, "with q*": Both,
    "cut": Cutting, "own loss": lambda: kad.Mixture(Mean(), kad.Dual(multiplier=0.4)), "own solver": lambda: kad.Mixture(kad.Squared(), Half()),
}  # fmt: skip


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_is_sampled_exactly(name: str, window: int) -> None:
    compare(RIGHT[name](), window, vocabulary=2, length=4, temperature=0.7, stop=None)
    compare(RIGHT[name](), window, vocabulary=3, length=2, temperature=1.0, stop=2, together=1)


@pytest.mark.parametrize("placement", ["mixture", "draws"])
@pytest.mark.parametrize("window", WINDOWS)
def test_what_is_no_mixture_at_every_placement(placement: str, window: int) -> None:
    for target in (SaysNo(placement=placement), SaysNoAlone(placement=placement)):
        compare(target, window, vocabulary=2, length=3, temperature=0.6, stop=None)


@pytest.fixture(scope="module")
def pair() -> tuple[Any, Any]:
    return tiny("llama", 1), tiny("llama", 2)


def outputs(pair: tuple[Any, Any], target: Any, window: int, rows: int, sample: bool, **more: Any):
    """By way of both doors; ``target`` makes one for each."""
    ids, mask = ragged(rows, seed=3)
    base, proxy = pair
    options = {"max_new_tokens": NEW, "do_sample": sample}
    yield lambda: kad.generate(
        base, proxy, input_ids=ids, attention_mask=mask, target=target(), window=window, **options, **more
    )
    yield lambda: base.generate(
        ids, attention_mask=mask, custom_generate=kad.decoder(proxy, target(), window=window, **more),
        return_dict_in_generate=True, **options,
    )  # fmt: skip


@pytest.mark.parametrize("name", RIGHT)
def test_greedy_is_the_argmax(pair: tuple[Any, Any], name: str) -> None:
    for rows in (1, 4):
        want = [row[:NEW] for row in reference_greedy(*pair, RIGHT[name](), *ragged(rows, seed=3))]
        for window in WINDOWS:
            for call in list(outputs(pair, RIGHT[name], window, rows, False))[: 2 if window == 3 else 1]:
                assert continuation(call()) == want, (rows, window)


@dataclass(frozen=True)
class BadLoss(kad.Loss):
    values: Any
    strict: ClassVar[bool] = False

    def __call__(self, p: Tensor, q: Tensor | None = None) -> Any:
        return self.values(p, q)


@dataclass(frozen=True)
class Rising(kad.Loss):
    strict: ClassVar[bool] = True

    def __call__(self, p: Tensor, q: Tensor | None = None) -> Any:
        return p


@dataclass(frozen=True)
class BadSolver(kad.Solver):
    d: Any

    def defer(self, loss: Tensor, mass: Tensor) -> Any:
        return self.d(loss, mass)


def of_loss(values: Callable[..., Any]) -> kad.Target:
    return kad.Mixture(BadLoss(values), kad.Dual(multiplier=0.3))


def of_solver(d: Callable[..., Any]) -> kad.Target:
    return kad.Mixture(kad.Squared(), BadSolver(d))


def spoiled(p: Tensor, q: Tensor) -> Tensor:
    return p.mul_(q).div_(p.sum(-1, keepdim=True))


def two_axes(p: Tensor, q: Tensor) -> Tensor:
    _, _ = p.shape
    return p


def wrong_cut(**fields: Any) -> Callable[[Tensor], kad.Cut]:
    def cut(p: Tensor) -> kad.Cut:
        right = kad.Dual(threshold=0.4).cut(p)
        assert right is not None
        return kad.Cut(**({"value": right.value, "alpha": right.alpha} | {k: f(right) for k, f in fields.items()}))

    return cut


WRONG: dict[str, tuple[Callable[[], kad.Target], str]] = {
    "NaN": (lambda: Own(lambda p, q: p * torch.nan), "Own's π is NaN.*check_target"),
    "half": (lambda: Own(lambda p, q: p / 2), "Own's π must sum to 1 in every row, got 0.5;.*check_target"),
    "two": (lambda: Own(lambda p, q: p + q), "must sum to 1"),
    "logits": (lambda: Own(lambda p, q: p.log() + q.log()), "must not be negative|is NaN"),
    "negative": (lambda: Own(lambda p, q: p + torch.where(p == p.amax(-1, keepdim=True), 31.0, -1.0)), "must not be negative"),
    "shape": (lambda: Own(lambda p, q: p[..., :-1]), "π must have the shape"),
    "double": (lambda: Own(lambda p, q: p.double()), "π must be torch.float32 on cpu like p"),
    "list": (lambda: Own(lambda p, q: p.tolist()), "π must be a tensor, got list"),
    "nothing": (lambda: Own(lambda p, q: ()), "π must be a tensor, got tuple"),
    "other axis": (lambda: Own(lambda p, q: p.flatten(0, -2).mean(0).expand_as(p)), "function of the row alone"),
    "random": (lambda: Own(lambda p, q: torch.rand_like(p).softmax(-1)), "function of the row alone"),
    "two axes": (lambda: Own(two_axes), r"must take \(\*batch, V\)"),
    "in place": (lambda: Own(spoiled), "changes the tensors that it is given"),
    "d NaN": (lambda: Lazy(defer=lambda p: p * torch.nan), "Lazy's defer is NaN"),
    "d above 1": (lambda: Lazy(defer=lambda p: 2 * light(p)), r"Lazy's defer must lie in \[0, 1\], got 0 to 2"),
    "d below 0": (lambda: Lazy(defer=lambda p: -light(p)), r"must lie in \[0, 1\]"),
    "d by row": (lambda: Lazy(defer=lambda p: p.amax(-1)), "defer must have the shape"),
    "d a mask": (lambda: Lazy(defer=lambda p: p < 0.4), "defer must be torch.float32 on cpu like p, got torch.bool"),
    "d a number": (lambda: Lazy(defer=lambda p: 0.5), "defer must be a tensor, got float"),
    "d with q*": (lambda: Lazy(defer=lambda p, q=None: (p < q).to(p)), "defer fails without q.*reads_proxy = False"),
    "d wants q*": (lambda: Lazy(defer=lambda p, q: (p < q).to(p)), "defer fails without q.*reads_proxy = False"),
    "d of p alone": (lambda: Both(defer=light), "defer must take 2 tensors by position.*too many"),
    "another π": (lambda: Lazy(lambda p, q: q, defer=lambda p: torch.full_like(p, 0.7)), "is not p .*with the d that its defer returns"),
    "another cut": (lambda: Cutting(cut=lambda p: kad.Dual(threshold=0.9).cut(p)), "cut defers other tokens than its defer"),
    "cut of none": (lambda: Own(cut=lambda p: kad.Dual(threshold=0.9).cut(p)), "has a cut, but its defer returns None"),
    "cut no cut": (lambda: Cutting(cut=light), "cut must return a kad.Cut or None, got Tensor"),
    "cut's α": (lambda: Cutting(cut=wrong_cut(alpha=lambda c: 1 - c.alpha)), "alpha that is not the mass"),
    "cut's shape": (lambda: Cutting(cut=wrong_cut(value=lambda c: torch.tensor(0.4))), "one number for every row"),
    "loss NaN": (lambda: of_loss(lambda p, q: p * torch.nan), "BadLoss's loss is NaN.*check_loss"),
    "loss negative": (lambda: of_loss(lambda p, q: p.log()), "BadLoss is negative for some token"),
    "loss by row": (lambda: of_loss(lambda p, q: p.amax(-1)), "BadLoss's loss must have the shape"),
    "loss with q*": (lambda: of_loss(lambda p, q: (p - q).abs()), "fails without q.*reads_proxy"),
    "loss random": (lambda: of_loss(lambda p, q: torch.rand_like(p)), "function of the row alone"),
    "loss rising": (lambda: kad.Mixture(Rising(), kad.Primal(0.5)), "Rising claims to be strict"),
    "solver NaN": (lambda: of_solver(lambda l, m: l * torch.nan), "BadSolver's d is NaN.*check_solver"),
    "solver above 1": (lambda: of_solver(lambda l, m: torch.full_like(m, 1.5)), r"BadSolver's d must lie in \[0, 1\]"),
    "solver's mask": (lambda: of_solver(lambda l, m: m < 0.4), "BadSolver's d must be torch.float32"),
    "solver's nothing": (lambda: of_solver(lambda l, m: None), "BadSolver's d must be a tensor, got NoneType"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_one_sentence(pair: tuple[Any, Any], name: str) -> None:
    make, words = WRONG[name]
    for rows in (1, 4):
        for window, sample in ((0, False), (0, True), (1, False), (3, True), (7, False)):
            for call in list(outputs(pair, make, window, rows, sample))[: 2 if window == 3 else 1]:
                with pytest.raises(ValueError, match=words) as caught:
                    call()
                assert "\n" not in str(caught.value)
                assert "kad.testing.check_" in str(caught.value)


class Turning(Lazy):
    """Right for a while."""

    def __init__(self, after: int, then: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.left, self.then = after, then

    def defer(self, p: Tensor, q: Tensor | None = None) -> Any:
        self.left -= 1
        return light(p) if self.left > 0 else self.then(p)


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize(
    ("then", "words"), [(lambda p: None, "None later"), (lambda p: p * torch.nan, "deferred mass outside|is not p ")]
)
def test_what_turns_wrong_later(pair: tuple[Any, Any], window: int, then: Callable[[Tensor], Any], words: str) -> None:
    for rows in (1, 4):
        for call in outputs(pair, lambda: Turning(4, then), window, rows, True):
            with pytest.raises(ValueError, match=words):
                call()


class Fading(Own):
    """A π that is one for a while."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.left = after

    def __call__(self, p: Tensor, q: Tensor, r: Tensor | None = None) -> Any:
        self.left -= 1
        return super().__call__(p, q) * (1 if self.left > 0 else torch.nan)


@pytest.mark.parametrize("window", WINDOWS)
def test_no_nan_is_drawn_from_later(pair: tuple[Any, Any], window: int) -> None:
    for rows in (1, 4):
        for call in outputs(pair, lambda: Fading(3), window, rows, True):
            with pytest.raises(ValueError, match="must sum to 1 in every row, got nan"):
                call()


def test_a_class_is_no_instance_and_a_placement_is_one_of_three(pair: tuple[Any, Any]) -> None:
    @dataclass(frozen=True)
    class Field(Lazy):
        reads_proxy: bool = False

    for given, words in [
        (Own, r"target must be a Target, got the class Own; make an instance: Own\(\)"),
        (int, "target must be a Target, got the class int, which is no Target"),
        ("dual", "target must be a kad.Target such as"),
        (Own(placement="model"), "placement must be one of"),
        (Field(), "Field.reads_proxy is a claim"),
    ]:
        with pytest.raises(ValueError, match=words):
            kad.generate(*pair, [[3, 4]], target=given)
        with pytest.raises(ValueError, match=words):
            kad.decoder(pair[1], given)


def test_nobody_looks_at_kads_own() -> None:
    for target in (kad.dual(0.4), kad.confidence_bet(0.1), kad.implicit_reward(None), kad.Base(), kad.Ensemble(0.5)):
        assert look_at(target) is None
    assert isinstance(look_at(Own()), Look)


def test_it_is_looked_at_once() -> None:
    """A look costs three readings more at one position, and none at any other."""
    calls = []

    def pi(p: Tensor, q: Tensor) -> Tensor:
        calls.append(tuple(p.shape))
        return p

    models = [torch.randn(2, 2, dtype=torch.float64) for _ in range(3)]
    script = Script([[]])
    decoder(Own(pi), models, torch.tensor([1]), 9, 0, script).run()
    assert calls == [(1, 2), (1, 2, 2)] + [(1, 2)] * 9
