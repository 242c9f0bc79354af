"""The law tests can fail: each deliberate mistake, of kinds seen in the field, is caught by the enumeration."""

from __future__ import annotations

import pytest
import torch

import kad
from kad.chances import Choice
from kad.decisions import Decision, Reading
from kad.kernels import PLAIN, Kernels
from kad.laws import deferral, whole

from .enumeration import chain_law, decoder, emitted_law, tables


def error(
    window: int = 2, temperature: float = 0.7, target: kad.Target | None = None, kernels: Kernels = PLAIN
) -> float:
    """The largest difference between the emitted law and the chain."""
    target = target or kad.fractional(0.45)
    models, prompt = tables(3, 2), torch.tensor([1, 0])
    got = emitted_law(
        lambda chance: decoder(target, models, prompt, 3, window, chance, temperature=temperature, kernels=kernels)
    )
    want = chain_law(target, models, prompt, 3, temperature, None)
    return max(abs(got.get(k, 0.0) - w) for k, w in want.items())


def windows_share_a_budget(decision):
    """One knapsack for the whole window, instead of one per position."""

    def wrong(target: kad.Target, base: Reading, proxy: Reading | None = None) -> Decision | None:
        p = base.for_rule(target)
        if p.ndim < 3:
            return decision(target, base, proxy)
        flat = p.reshape(p.shape[0], -1) / p.shape[1]
        d = target.defer(flat).reshape(p.shape)
        return Decision(p, (p * d).sum(-1), d)

    return wrong


ACCEPTANCES = {
    "accepts every draft": lambda pi, q: torch.ones_like(pi),
    "accepts with the square root": lambda pi, q: (pi / q).clamp(max=1).sqrt(),
}
KERNELS = {
    "replaces from π instead of the residual": Kernels(
        leftover=lambda decision, p, q: Choice(decision.kept(p) + decision.alpha.unsqueeze(-1) * q)
    ),
    "replaces from the wrong side": Kernels(
        leftover=lambda decision, p, q: Choice(((1 - decision.alpha).unsqueeze(-1) * q - decision.kept(p)).clamp_min(0))
    ),
    "one budget for the window": Kernels(decide=windows_share_a_budget(PLAIN.decide)),
}


@pytest.mark.parametrize("name", ACCEPTANCES)
def test_wrong_acceptances_are_caught(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    assert error() < 1e-10
    monkeypatch.setattr(deferral, "acceptance", ACCEPTANCES[name])
    assert error() > 1e-3


@pytest.mark.parametrize("name", KERNELS)
def test_wrong_kernels_are_caught(name: str) -> None:
    assert error(kernels=KERNELS[name]) > 1e-3


@pytest.mark.parametrize("wrong", [lambda pi, q: pi, lambda pi, q: (q - pi).clamp_min(0)], ids=["π", "other side"])
def test_mutants_of_a_target_that_is_no_mixture(monkeypatch: pytest.MonkeyPatch, wrong) -> None:
    def off() -> float:
        return error(target=kad.implicit_reward("table", 1.3))

    assert off() < 1e-10
    monkeypatch.setattr(whole, "residual", wrong)
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
