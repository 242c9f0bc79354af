"""Targets refuse what is no distribution where people call them; decoders are not slowed by that, nor stopped."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import kad
from kad.decisions import Reading, decide, pi_of

from .test_mixture import TARGETS

G = torch.Generator().manual_seed(0)
LOGITS = torch.randn(3, 5, generator=G)
P, Q, R = (torch.softmax(torch.randn(3, 5, generator=G), -1) for _ in range(3))


def called(target: kad.Target, p: Any, q: Any) -> torch.Tensor:
    return target(p, q) if target.reference is None else target(p, q, R)


@pytest.mark.parametrize("target", TARGETS, ids=repr)
@pytest.mark.parametrize(
    ("spoiled", "words"),
    [
        (LOGITS, "contains negative values; pass probabilities, not logits"),
        (P.log(), "contains negative values"),
        (2 * P, "must sum to 1 along its last axis; it is off by 1"),
        (torch.where(P.argmax() == torch.arange(15).view(3, 5), torch.nan, P), "contains NaN or infinite"),
        (torch.where(P.argmax() == torch.arange(15).view(3, 5), torch.inf, P), "contains NaN or infinite"),
        (torch.where(torch.arange(3).unsqueeze(-1) == 2, 0.0, P), "must sum to 1 along its last axis; it is off by 1"),
        (P.mul(100).long(), "must be a floating-point tensor"),
        (P.numpy(), "must be a floating-point tensor.*got an instance of ndarray"),
        (P[:2], r"same shape \(\*batch, V\)"),
    ],
    ids=["logits", "log", "sum", "nan", "inf", "one row", "counts", "numpy", "shape"],
)
def test_what_is_no_distribution_is_refused(target: kad.Target, spoiled: Any, words: str) -> None:
    for p, q, name in ((spoiled, Q, "p"), (P, spoiled, "q")):
        with pytest.raises(ValueError, match=words) as caught:
            called(target, p, q)
        assert "\n" not in str(caught.value)
        assert name in str(caught.value)


def test_the_reference_is_looked_at_too() -> None:
    with pytest.raises(ValueError, match="r contains negative values"):
        kad.implicit_reward("q")(P, Q, LOGITS)


@pytest.mark.parametrize(
    ("d", "words"),
    [
        (torch.full((3, 5), 1.5), r"d must lie in \[0, 1\]"),
        (torch.full((3, 5), -0.5), r"d must lie in \[0, 1\]"),
        (torch.full((3, 5), torch.nan), r"d must lie in \[0, 1\]"),
        (torch.zeros(5), "p and d must have the same shape"),
        (0.5, r"d must be a Tensor, got 0\.5"),
    ],
)
def test_mix_refuses_what_is_no_decision(d: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        kad.mix(P, Q, d)
    with pytest.raises(ValueError, match="p contains negative values"):
        kad.mix(LOGITS, Q, torch.zeros(3, 5))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_no_mistake(dtype: torch.dtype) -> None:
    """A softmax in halves sums to 1 within its own rounding: 49 times the nearest bfloat16 to 1/49 is 1.0009."""
    for size in (5, 49, 1000):
        p = torch.softmax(torch.zeros(2, size), -1).to(dtype)
        assert kad.Base()(p, p) is p
        assert kad.dual(0.4)(p, p).dtype == dtype


def test_gradients_and_batches_of_none_pass() -> None:
    logits = LOGITS.clone().requires_grad_()
    kad.dual(0.3)(torch.softmax(logits, -1), Q)[..., 0].sum().backward()
    assert logits.grad is not None
    assert bool(logits.grad.abs().sum() > 0)
    assert kad.dual(0.3)(P[:0], Q[:0]).shape == (0, 5)


def test_decoders_pay_nothing_and_rows_that_are_done_may_hold_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**given: Any) -> None:
        raise AssertionError("checked in the hot path")

    done = torch.where(torch.arange(3).unsqueeze(-1) == 1, torch.nan, P)  # the loop itself looks at the rows that run
    want = {target: called(target, P, Q) for target in TARGETS}
    monkeypatch.setattr("kad.target.check_distributions", refuse)
    for target in TARGETS:
        base, proxy, reference = (Reading(x, x) for x in (done, Q, R))
        third = reference if target.reference is not None else None
        pi = pi_of(target, base, proxy, third, 1.0, decide(target, base, proxy))
        torch.testing.assert_close(pi[[0, 2]], want[target][[0, 2]])


def test_a_compiler_that_traces_is_not_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    kad.Base()(LOGITS, Q)
    kad.mix(P, Q, torch.full((3, 5), 2.0))
