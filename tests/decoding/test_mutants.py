"""The law tests can fail: each deliberate mistake, of kinds seen in the field, is caught by the enumeration."""

from __future__ import annotations

import pytest
import torch

import kad
from kad.arithmetic import CPU, Arithmetic, Weights
from kad.arithmetic.cpu import Cpu
from kad.decisions import Decision
from kad.laws import law

from ..reference import Reference
from .enumeration import chain_law, decoder, emitted_law, tables


def error(
    window: int = 2, temperature: float = 0.7, target: kad.Target | None = None, arithmetic: Arithmetic = CPU
) -> float:
    """The largest difference between the emitted law and the chain."""
    target = target or kad.fractional(0.45)
    models, prompt = tables(3, 2), torch.tensor([1, 0])
    got = emitted_law(
        lambda chance: decoder(
            target, models, prompt, 3, window, chance, temperature=temperature, arithmetic=arithmetic
        )
    )
    want = chain_law(target, models, prompt, 3, temperature, None)
    return max(abs(got.get(k, 0.0) - w) for k, w in want.items())


ACCEPTANCES = {
    "accepts every draft": lambda pi, q: torch.ones_like(pi),
    "accepts with the square root": lambda pi, q: (pi / q).clamp(max=1).sqrt(),
}


class FromPi(Cpu):
    """Replaces from π instead of the residual."""

    def leftover(self, d, p, q, alpha) -> Weights:
        kept = self.kept(d, p) if isinstance(d, kad.Cut) else p * (1 - d)
        return Weights(kept + alpha.unsqueeze(-1) * q)


class WrongSide(Cpu):
    """Replaces from what π has too much."""

    def leftover(self, d, p, q, alpha) -> Weights:
        kept = self.kept(d, p) if isinstance(d, kad.Cut) else p * (1 - d)
        return Weights(((1 - alpha).unsqueeze(-1) * q - kept).clamp_min(0))


class OneBudget(Cpu):
    """One knapsack for the whole window, instead of one per position."""

    def call(self, function, target, base, proxy):  # type: ignore[override]
        p = base.for_rule(target)
        if p.ndim < 3:
            return function(target, base, proxy)
        d = target.defer(p.reshape(p.shape[0], -1) / p.shape[1]).reshape(p.shape)
        return Decision(p, (p * d).sum(-1), d)


@pytest.mark.parametrize("name", ACCEPTANCES)
def test_wrong_acceptances_are_caught(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    assert error() < 1e-10
    monkeypatch.setattr(law, "acceptance", ACCEPTANCES[name])
    assert error() > 1e-3


@pytest.mark.parametrize("machine", [FromPi, WrongSide, OneBudget])
def test_wrong_arithmetic_is_caught(machine: type[Cpu]) -> None:
    assert error(arithmetic=machine()) > 1e-3


@pytest.mark.parametrize("target", [kad.fractional(0.45), kad.dual(0.3), kad.implicit_reward("table", 1.3)], ids=str)
def test_the_reference_emits_the_law(target: kad.Target) -> None:
    """The loop on NumPy's plain formulas."""
    assert error(target=target, arithmetic=Reference()) < 1e-10


@pytest.mark.parametrize("wrong", [lambda pi, q: pi, lambda pi, q: (q - pi).clamp_min(0)], ids=["π", "other side"])
def test_mutants_of_a_target_that_is_no_mixture(monkeypatch: pytest.MonkeyPatch, wrong) -> None:
    def off() -> float:
        return error(target=kad.implicit_reward("table", 1.3))

    assert off() < 1e-10
    monkeypatch.setattr(law, "residual", wrong)
    assert off() > 1e-3


def test_a_last_token_without_deferral_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeping the base's draw after a fully accepted window, whatever d says."""
    from .enumeration import Script

    monkeypatch.setattr(Script, "coin", lambda self, probability: torch.ones_like(probability).bool())
    assert error() > 1e-3


def test_certainty_of_the_greedy_skip() -> None:
    """S11: wherever `certain` says so, the argmax of π is that of the kept values for every q*; and it does say so."""
    from kad.speculation import certain

    generator = torch.Generator().manual_seed(0)
    p = torch.softmax(3 * torch.randn(2000, 5, generator=generator, dtype=torch.float64), -1)
    d = (torch.rand(2000, 5, generator=generator) < 0.4).double()
    kept, alpha = p * (1 - d), (p * d).sum(-1)
    sure = certain(kept, alpha)
    assert 0.1 < float(sure.double().mean()) < 0.9
    for v in range(5):  # the extreme points of the simplex decide
        q = torch.zeros(2000, 5, dtype=torch.float64)
        q[:, v] = 1
        assert torch.equal(kad.mix(p, q, d).argmax(-1)[sure], kept.argmax(-1)[sure])
