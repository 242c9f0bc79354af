"""Losses against plain formulas, and the rule that the dual gives for each (theory, table of losses)."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

import kad
from kad import cascades
from kad.testing import check_loss

from .strategies import LOSSES, distributions


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_every_loss_passes_the_public_suite(loss: kad.Loss) -> None:
    check_loss(loss)


def formulas(p: np.ndarray, q: np.ndarray) -> dict[kad.Loss, np.ndarray]:
    """NumPy float64, token by token, from the table."""
    with np.errstate(divide="ignore"):
        log = np.log(p)
    top = p.max()
    onehot = np.eye(len(p))
    return {
        kad.Logistic(): -log,
        kad.Squared(): (1 - p) ** 2,
        kad.Brier(): np.array([((p - onehot[v]) ** 2).sum() for v in range(len(p))]),
        kad.Perceptron("log"): math.log(top) - log,
        kad.Perceptron("probability"): top - p,
        kad.ZeroOne(): (p < top).astype(float),
        kad.ConfidenceBet(): np.maximum(0, q.max() - p),
        kad.Nudging(): np.full(len(p), 1 - top),
        cascades.Diff(): np.full(len(p), max(0.0, q.max() - top)),
        cascades.Opt(): np.full(len(p), max(0.0, q.max() - top) / max(np.abs(p - q).sum() / 2, 1e-300)),
        cascades.TokenV2(): q.max() - q,
        cascades.TokenV3(): 1 - q / q.max(),
    }


@given(distributions(), st.data())
def test_losses_are_their_formulas(p: torch.Tensor, data: st.DataObject) -> None:
    q = data.draw(distributions(size=len(p)))
    for loss, want in formulas(p.numpy(), q.numpy()).items():
        np.testing.assert_allclose(loss(p, q).numpy(), want, atol=1e-12, rtol=1e-12)


RULES = {  # multiplier -> the rule of the table
    kad.Logistic(): lambda p, q, mu: p < math.exp(-mu),
    kad.Squared(): lambda p, q, mu: p < 1 - math.sqrt(mu),
    kad.Brier(): lambda p, q, mu: p < (1 + (p**2).sum() - mu) / 2,
    kad.Perceptron("log"): lambda p, q, mu: p < math.exp(-mu) * p.max(),
    kad.Perceptron("probability"): lambda p, q, mu: p < p.max() - mu,
    kad.ZeroOne(): lambda p, q, mu: p < p.max() if mu < 1 else torch.zeros_like(p, dtype=torch.bool),
    kad.ConfidenceBet(): lambda p, q, mu: p < q.max() - mu,
    kad.Nudging(): lambda p, q, mu: torch.full_like(p, float(p.max() < 1 - mu)).bool(),
    # as their authors write them, with their small model's distribution = p and their large one's = q*
    cascades.Diff(): lambda p, q, mu: torch.full_like(p, float(p.max() < q.max() - mu)).bool(),
    cascades.Opt(): lambda p, q, mu: torch.full_like(
        p, float(p.max() < q.max() - mu * kad.total_variation(p, q))
    ).bool(),
    cascades.TokenV2(): lambda p, q, mu: q < q.max() - mu,
    cascades.TokenV3(): lambda p, q, mu: q < q.max() * (1 - mu),
}


@given(distributions(), st.data())
def test_the_dual_gives_the_rule_of_the_table(p: torch.Tensor, data: st.DataObject) -> None:
    q = data.draw(distributions(size=len(p)))
    mu = data.draw(st.floats(0, 3))
    for loss, rule in RULES.items():
        losses = loss(p, q)
        assume(float((losses - mu).abs().min()) > 1e-9)  # at the boundary itself rounding decides
        assert torch.equal(kad.Dual(multiplier=mu).defer(losses, p).bool(), rule(p, q, mu)), loss


@given(distributions(), st.floats(0, 1))
def test_a_threshold_is_the_multiplier_of_its_loss(p: torch.Tensor, threshold: float) -> None:
    assume(float((p - threshold).abs().min()) > 1e-9)
    want = p < threshold
    assert torch.equal(kad.Dual(threshold=threshold).defer(-p.log(), p).bool(), want)
    if threshold > 0:
        assert torch.equal(kad.Dual(multiplier=-math.log(threshold)).defer(-p.log(), p).bool(), want)
    assert torch.equal(kad.Dual(multiplier=(1 - threshold) ** 2).defer((1 - p) ** 2, p).bool(), want)


STRICT = [loss for loss in LOSSES if loss.strict]


@given(distributions(), st.floats(0, 1))
def test_for_every_strictly_falling_loss_a_threshold_is_a_multiplier(p: torch.Tensor, threshold: float) -> None:
    """μ = ℓ(λ) for 0 < λ ≤ max p; above that everything goes, and what costs nothing goes without a multiplier."""
    assume(threshold > 1e-6 and float((p - threshold).abs().min()) > 1e-6)
    top, square = float(p.max()), float(p.square().sum())
    values = {
        kad.Logistic(): -math.log(threshold), kad.Squared(): (1 - threshold) ** 2, kad.Brier(): 1 - 2 * threshold + square,
        kad.Perceptron("log"): math.log(top / threshold), kad.Perceptron("probability"): top - threshold,
    }  # fmt: skip
    assert set(values) == set(STRICT)
    for loss, value in values.items():
        d = kad.Dual(threshold=threshold).defer(loss(p), p)
        same = kad.Dual(multiplier=max(0.0, value)).defer(loss(p), p)
        if threshold <= top:
            assert value >= 0
            assert torch.equal(d, same), loss
        else:
            assert bool((d == 1).all())
            assert bool((loss(p)[same == 0] <= 1e-12).all()), loss  # what that multiplier keeps costs nothing


def test_a_threshold_between_tokens_that_a_decreasing_loss_ties_is_no_multiplier() -> None:
    """The 0-1 loss: λ = .25 parts .3 from .2, and no multiplier does."""
    p = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    wanted = kad.Dual(threshold=0.25).defer(kad.Logistic()(p), p)
    for multiplier in (0.0, 0.5, 0.999, 1.0, 2.0):
        assert not torch.equal(kad.Dual(multiplier=multiplier).defer(kad.ZeroOne()(p), p), wanted)
    with pytest.raises(ValueError, match="falls strictly"):
        kad.Mixture(kad.ZeroOne(), kad.Dual(threshold=0.25))


def test_a_budget_may_keep_a_lighter_token_than_it_defers() -> None:
    """So of a decreasing loss it is said for multipliers alone."""
    p = torch.tensor([0.5, 0.3, 0.15, 0.05], dtype=torch.float64)
    assert kad.Exact(0.4).defer(-p.log(), p).tolist() == [0, 1, 0, 1]
    tied = torch.tensor([0.4, 0.35, 0.25], dtype=torch.float64)
    assert kad.Primal(0.5).defer(kad.ZeroOne()(tied), tied).tolist() == [0, 1, 0]


def test_the_zero_one_loss_keeps_every_mode_and_from_one_on_everything() -> None:
    p = torch.tensor([0.4, 0.4, 0.2], dtype=torch.float64)
    assert kad.Dual(multiplier=0.5).defer(kad.ZeroOne()(p), p).tolist() == [0, 0, 1]
    assert kad.Dual(multiplier=1.0).defer(kad.ZeroOne()(p), p).tolist() == [0, 0, 0]


def test_the_bet_overrules_no_token_of_one_minus_the_margin_and_a_fraction_does() -> None:
    p, q = torch.tensor([0.99, 0.01], dtype=torch.float64), torch.tensor([0.0, 1.0], dtype=torch.float64)
    assert kad.confidence_bet(0.1)(p, q)[0] == p[0]
    assert kad.fractional(0.9)(p, q)[0] < 0.2


def test_unknown_space_and_missing_proxy_are_refused() -> None:
    with pytest.raises(ValueError, match="space"):
        kad.Perceptron("logit")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="reads the proxy"):
        kad.ConfidenceBet()(torch.tensor([1.0]))
    for loss in (cascades.Diff(), cascades.Opt(), cascades.TokenV2(), cascades.TokenV3()):
        with pytest.raises(ValueError, match="reads the proxy"):
            loss(torch.tensor([1.0]))
