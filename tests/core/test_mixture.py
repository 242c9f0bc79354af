"""Targets: the mixture's identities, the placements, implicit reward, and Hugging Face's own warpers."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import EpsilonLogitsWarper, MinPLogitsWarper, TopPLogitsWarper

import kad
from kad.decisions import Reading, decide, pi_of
from kad.testing import check_target

from .strategies import distributions

TARGETS = [
    kad.dual(0.4), kad.primal(0.9), kad.fractional(0.9), kad.nudging(0.4), kad.confidence_bet(0.1),
    kad.implicit_reward("q", 0.7), kad.Base(), kad.Proxy(), kad.Ensemble(0.3), kad.Mixture(kad.Brier(), kad.Dual(multiplier=0.5)),
    kad.paced(0.3), kad.Paced(kad.ConfidenceBet(), 0.2, start=0.3),
]  # fmt: skip


@pytest.mark.parametrize("target", TARGETS, ids=repr)
def test_every_target_passes_the_public_suite(target: kad.Target) -> None:
    check_target(target)


@given(distributions(), st.data())
def test_the_mixture_is_its_formula_and_s8_holds(p: torch.Tensor, data: st.DataObject) -> None:
    q = data.draw(distributions(size=len(p)))
    d = torch.tensor(data.draw(st.lists(st.floats(0, 1), min_size=len(p), max_size=len(p))), dtype=torch.float64)
    pi = kad.mix(p, q, d)
    alpha = sum(float(p[w] * d[w]) for w in range(len(p)))
    want = torch.tensor([float(p[v]) * (1 - float(d[v])) + float(q[v]) * alpha for v in range(len(p))])
    torch.testing.assert_close(pi, want.double(), atol=1e-7, rtol=0)
    if 1e-6 < alpha < 1 - 1e-6:
        keep, defer = p * (1 - d) / (1 - alpha), p * d / alpha
        tv = kad.total_variation
        torch.testing.assert_close(tv(pi, q), (1 - alpha) * tv(keep, q), atol=1e-9, rtol=0)
        torch.testing.assert_close(tv(pi, p), alpha * tv(defer, q), atol=1e-9, rtol=0)


def kept_by(warper, logits: torch.Tensor) -> torch.Tensor:
    return torch.isfinite(warper(torch.zeros(len(logits), 1, dtype=torch.long), logits.clone()))


@pytest.mark.parametrize("scale", [0.5, 2.0, 6.0], ids=["flat", "random", "peaked"])
@pytest.mark.parametrize("value", [0.05, 0.1, 0.3, 0.6, 0.9])
def test_kept_sets_are_those_of_hugging_face(scale: float, value: float) -> None:
    """ε-sampling, min-p and top-p are three of our mixtures with q* out of the picture."""
    generator = torch.Generator().manual_seed(int(100 * value + scale))
    logits = scale * torch.randn(200, 300, generator=generator, dtype=torch.float64)
    p = kad.softmax(logits)
    epsilon = value * float(p.amax(-1).median())
    nowhere_empty = p.amax(-1) >= epsilon  # HF keeps the mode where ε-sampling would keep nothing
    assert bool(nowhere_empty.any())
    for rule, warper, rows in (
        (kad.dual(epsilon), EpsilonLogitsWarper(epsilon), nowhere_empty),
        (kad.Mixture(kad.Perceptron("log"), kad.Dual(multiplier=-torch.tensor(value).double().log().item())),
         MinPLogitsWarper(value), torch.ones(200, dtype=torch.bool)),
        (kad.primal(1 - value), TopPLogitsWarper(value), torch.ones(200, dtype=torch.bool)),
    ):  # fmt: skip
        kept = rule.defer(p) == 0
        assert torch.equal(kept[rows], kept_by(warper, logits)[rows]), rule


@given(distributions(), st.data(), st.floats(0.3, 3))
def test_placements(p: torch.Tensor, data: st.DataObject, temperature: float) -> None:
    """The law of every placement against its definition."""
    q = data.draw(distributions(size=len(p)))

    def hot(x: torch.Tensor) -> torch.Tensor:
        y = x ** (1 / temperature)
        return y / y.sum()

    base, proxy = Reading(p, hot(p)), Reading(q, hot(q))
    rule = kad.dual(0.4)
    want = {
        "models": rule(hot(p), hot(q)),
        "draws": kad.mix(hot(p), hot(q), rule.defer(p)),
        "mixture": hot(rule(p, q)),
    }
    for placement, pi in want.items():
        target = kad.dual(0.4, placement)
        got = pi_of(target, base, proxy, None, temperature, decide(target, base, proxy))
        torch.testing.assert_close(got, pi, atol=1e-9, rtol=0)


def test_implicit_reward_is_its_formula_and_has_a_fallback() -> None:
    generator = torch.Generator().manual_seed(0)
    p, q, r = (torch.softmax(torch.randn(20, 6, generator=generator, dtype=torch.float64), -1) for _ in range(3))
    want = p * (q / r) ** 0.7
    torch.testing.assert_close(kad.implicit_reward("q", 0.7)(p, q, r), want / want.sum(-1, keepdim=True))
    disjoint = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), torch.tensor([0.5, 0.5])
    assert torch.equal(kad.implicit_reward("q")(*disjoint), disjoint[0])
    assert torch.equal(kad.implicit_reward("q", 0)(*disjoint), disjoint[0])
    check_target(kad.implicit_reward("q", 0))
    with pytest.raises(ValueError, match="reference"):
        kad.implicit_reward("q")(p, q)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: kad.Mixture(kad.Nudging(), kad.Dual(threshold=0.4)), "multiplier"),
        (lambda: kad.Mixture(kad.ConfidenceBet(), kad.Dual(threshold=0.4)), "multiplier"),
        (lambda: kad.dual(0.4, "everywhere"), "placement"),
        (lambda: kad.nudging(1.2), "threshold"),
        (lambda: kad.implicit_reward("q", -1), "strength"),
        (lambda: kad.implicit_reward("q", float("inf")), "strength must be a finite"),
        (lambda: kad.Ensemble(1.5), "weight"),
        (lambda: kad.confidence_bet(-0.1), "multiplier"),
        (lambda: kad.mix(torch.ones(2), torch.ones(3), torch.ones(2)), "same shape"),
        (lambda: kad.softmax(torch.tensor(1.0)), "last axis"),
        (lambda: kad.softmax(torch.tensor([1, 2])), "floating"),
        (lambda: kad.softmax(torch.tensor([1.0, 2.0]), 0), "temperature"),
    ],
)
def test_bad_input_is_one_sentence(call, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)
