"""S11 and S12: the lazy proxy samples the mixture; when greedy decoding can do without it."""

from __future__ import annotations

import torch
from hypothesis import given

import kad
from kad import theory as t

from .support import Case, cases, is_caught


@given(cases())
def test_lazy_draws_have_the_law_of_the_mixture(c: Case) -> None:
    assert t.lazy_law(c.p, c.q, c.d).holds()


@given(cases())
def test_a_certified_mode_is_one_for_every_proxy(c: Case) -> None:
    assert t.certified_mode(c.p, c.d).holds()
    kept, alpha = c.p * (1 - c.d), t.deferred_mass(c.p, c.d)
    best = int(kept.argmax())
    second = float(kept[torch.arange(len(kept)) != best].max()) if len(kept) > 1 else 0.0
    lead = float(kept[best]) - second - float(alpha)
    pi = kad.mix(c.p, c.q, c.d)
    if lead >= 0:
        assert float(pi.max() - pi[best]) <= 1e-12
    if lead > 1e-12:
        assert int((pi >= pi[best]).sum()) == 1


def test_without_a_strict_lead_another_token_may_tie() -> None:
    """p₁ = p₂ + α: a mode for every q*, and for this one not the only one."""
    p, d = torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64), torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    assert float(t.certified_mode(p, d).left) == 0
    assert kad.mix(p, torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64), d).tolist() == [0.5, 0.5, 0.0]


def test_of_a_single_token_and_of_nothing_deferred() -> None:
    one = torch.ones(1).double()
    for share in (0.0, 0.5, 1.0):
        assert t.certified_mode(one, share * one).holds()
    p = torch.tensor([0.6, 0.4, 0.0], dtype=torch.float64)
    claim = t.certified_mode(p, 0 * p)
    assert abs(float(claim.left) - 0.2) < 1e-15
    assert claim.left == claim.right


def test_wrong_variants_fail() -> None:
    def replaced_by_the_base(c: Case) -> t.Claim:  # the rejected draw is replaced by another draw from p
        law = c.p * (1 - c.d) + t.deferred_mass(c.p, c.d) * c.p
        return t.Claim(kad.total_variation(law, kad.mix(c.p, c.q, c.d)), "=", torch.zeros(()).double())

    def half_of_alpha(c: Case) -> t.Claim:  # p₁ − p₂ − α / 2
        claim = t.certified_mode(c.p, c.d)
        return t.Claim(claim.left + t.deferred_mass(c.p, c.d) / 2, "<=", claim.right)

    def a_weaker_certificate(c: Case) -> t.Claim:  # p₁ ≥ p₂ alone
        kept = c.p * (1 - c.d)
        pi = kad.mix(c.p, c.q, c.d)
        return t.Claim(pi.max() - pi[kept.argmax()], "<=", torch.zeros(()).double())

    assert is_caught(replaced_by_the_base)
    assert is_caught(half_of_alpha)
    assert is_caught(a_weaker_certificate)
