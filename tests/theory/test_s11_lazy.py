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
    q = c.q
    kept, alpha = c.p * (1 - c.d), t.deferred_mass(c.p, c.d)
    best = int(kept.argmax())
    second = float(kept[torch.arange(len(kept)) != best].max()) if len(kept) > 1 else 0.0
    if float(kept[best]) >= float(alpha) and float(kept[best]) >= second + float(alpha):
        pi = kad.mix(c.p, q, c.d)
        assert float(pi.max() - pi[best]) <= 1e-12


def test_wrong_variants_fail() -> None:
    def replaced_by_the_base(c: Case) -> t.Claim:  # the rejected draw is replaced by another draw from p
        law = c.p * (1 - c.d) + t.deferred_mass(c.p, c.d) * c.p
        return t.Claim(kad.total_variation(law, kad.mix(c.p, c.q, c.d)), "=", torch.zeros(()).double())

    def a_weaker_certificate(c: Case) -> t.Claim:  # p₁ ≥ p₂ alone
        kept = c.p * (1 - c.d)
        pi = kad.mix(c.p, c.q, c.d)
        return t.Claim(pi.max() - pi[kept.argmax()], "<=", torch.zeros(()).double())

    assert is_caught(replaced_by_the_base)
    assert is_caught(a_weaker_certificate)
