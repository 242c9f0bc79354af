"""α is a probability in floating point too: in [0, 1], exactly 1 where all is deferred, whatever p's rounded sum."""

from __future__ import annotations

import pytest
import torch

import kad
from kad.arithmetic.cpu import SORTED
from kad.decisions import Decision, Reading, decide
from kad.distributions import alpha_of

# One row for every way that a decision takes: sorted, by mass alone, over whole blocks and with a rest.
SIZES = (3, 49, SORTED, SORTED + 1, 5 * SORTED, 40_000)
EVERYTHING: list[kad.Target] = [
    kad.Proxy(), kad.dual(1.0), kad.primal(1.0), kad.fractional(1.0), kad.nudging(1.0), kad.Ensemble(1.0),
    kad.Mixture(kad.Squared(), kad.Dual(multiplier=0.0)), kad.Mixture(kad.Squared(), kad.Primal(1.0)),
]  # fmt: skip
SOME: list[kad.Target] = [
    kad.dual(0.4), kad.dual(1e-5), kad.primal(0.9), kad.primal(0.9999999), kad.fractional(0.9999999), kad.nudging(0.4),
    kad.confidence_bet(0.1), kad.Ensemble(0.99999999), kad.Mixture(kad.Brier(), kad.Primal(0.99)),
]  # fmt: skip


def rows(size: int, dtype: torch.dtype) -> torch.Tensor:
    """Masses of all shapes, none of them one-hot: their rounded sums lie on both sides of 1."""
    g = torch.Generator().manual_seed(size)
    spread = torch.tensor([0.0, 0.01, 0.5, 2.0, 4.0] * 4).unsqueeze(-1)
    p = torch.softmax((spread * torch.randn(20, size, generator=g)).to(dtype), -1)
    return p[p.amax(-1) < 1]


def decided(target: kad.Target, p: torch.Tensor) -> Decision:
    """As decoders do."""
    q = torch.softmax(p.log() / 2, -1)
    found = decide(target, Reading(p, p), Reading(q, q))
    assert found is not None
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("size", SIZES)
def test_all_is_exactly_one(size: int, dtype: torch.dtype) -> None:
    p = rows(size, dtype)
    if dtype == torch.float32 and size > 3:
        assert bool((p.sum(-1) != 1).any()), "no row whose sum is off: this test would test nothing"
    for target in EVERYTHING:
        found = decided(target, p)
        assert found.alpha.dtype == dtype
        assert found.alpha.tolist() == [1.0] * len(p), target
        assert not bool(found.kept(p).any()), target
        q = torch.softmax(-p, -1)
        pi = found.kept(p) + found.alpha.unsqueeze(-1) * q
        assert torch.equal(pi, q)
    assert alpha_of(p, torch.ones_like(p)).tolist() == [1.0] * len(p)
    assert alpha_of(p, torch.zeros_like(p)).tolist() == [0.0] * len(p)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("size", SIZES)
def test_never_above_one_and_one_only_if_nothing_is_kept_to_rounding(size: int, dtype: torch.dtype) -> None:
    p, rounding = rows(size, dtype), 4 * size * torch.finfo(dtype).eps  # of two sums of that many
    for target in SOME:
        found = decided(target, p)
        assert bool(((found.alpha >= 0) & (found.alpha <= 1)).all()), target
        kept = found.kept(p)
        torch.testing.assert_close(found.alpha + kept.sum(-1), torch.ones(len(p), dtype=dtype), atol=rounding, rtol=0)
        assert found.alpha[kept.sum(-1) == 0].tolist() == [1.0] * int((kept.sum(-1) == 0).sum()), target


def test_tokens_without_mass_need_not_be_deferred() -> None:
    """A truncated p: all of its mass goes to the proxy, though its zeros are kept."""
    p = torch.zeros(1, 49)
    p[0, :47] = 1 / 47
    assert alpha_of(p, (p > 0).float()).tolist() == [1.0]


def test_a_certificates_budget_can_be_asked_for() -> None:
    """A dual that defers all realises the budget 1, not one above it, which `solve` would refuse."""
    for p in rows(49, torch.float64):
        s = kad.solve(-p.log(), p, kad.Dual(multiplier=0.0))
        assert float(s.deferred_mass) == float(s.budget) == 1
        assert kad.solve(-p.log(), p, kad.Primal(float(s.budget))).d.tolist() == s.d.tolist()


def test_traces_show_what_is_known() -> None:
    shown = [repr(kad.TokenTrace(3, "proxy", alpha, None)) for alpha in (1.0, 0.9999999403953552, 0.4000000059604645)]
    assert shown[0] == shown[1] == "TokenTrace(id=3, origin='proxy', alpha=1.0, accepted=None)"
    assert "alpha=0.4," in shown[2]
    assert "alpha=nan," in repr(kad.TokenTrace(3, "target", float("nan"), True))
