"""The rules of speculative cascades beside what their authors' notebook computes, and where the two part."""

from __future__ import annotations

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

import kad
from kad import cascades
from kad.target import Placement

from .strategies import distributions

RULES: dict[str, tuple[kad.Loss, bool]] = {  # ours, and whether theirs defers all tokens or none
    "chow": (kad.Nudging(), True), "diff": (cascades.Diff(), True), "opt": (cascades.Opt(), True),
    "v1": (kad.ConfidenceBet(), False), "v2": (cascades.TokenV2(), False), "v3": (cascades.TokenV3(), False),
}  # fmt: skip


def tempered(p: Tensor, temperature: float) -> Tensor:
    return p.pow(1 / temperature) / p.pow(1 / temperature).sum()


def published(rule: str, p: Tensor, q: Tensor, price: float, temperature: float) -> Tensor:
    """Their law: rules read the untempered p and q*, but `opt` the distance of the tempered ones; those are mixed."""
    cold_p, cold_q = tempered(p, temperature), tempered(q, temperature)
    defers = {
        "chow": p.max() < 1 - price,
        "diff": p.max() < q.max() - price,
        "opt": p.max() < q.max() - price * kad.total_variation(cold_p, cold_q),
        "v1": p < q.max() - price,
        "v2": q < q.max() - price,
        "v3": q < q.max() * (1 - price),
    }[rule].expand_as(p)
    rejected = torch.where(defers, cold_p, 0.0)
    return cold_p - rejected + rejected.sum() * cold_q


def ours(rule: str, p: Tensor, q: Tensor, price: float, temperature: float, placement: Placement) -> Tensor:
    loss, cold_p, cold_q = RULES[rule][0], tempered(p, temperature), tempered(q, temperature)
    read_p, read_q = (cold_p, cold_q) if placement == "models" else (p, q)
    d = kad.Dual(multiplier=price).defer(loss(read_p, read_q), read_p)
    return kad.mix(p, q, d) if placement == "mixture" else kad.mix(cold_p, cold_q, d)


@pytest.mark.parametrize("rule", RULES)
@given(distributions(), st.floats(0, 1), st.sampled_from([1.0, 0.5, 2.0]), st.data())
def test_the_laws_are_theirs_at_temperature_one_and_but_for_opt_with_the_rule_untempered(
    rule: str, p: Tensor, price: float, temperature: float, data: st.DataObject
) -> None:
    q = data.draw(distributions(size=len(p)))
    losses = RULES[rule][0](p, q)
    assume(float((losses - price).abs().min()) > 1e-9)  # at the boundary itself rounding decides
    if rule == "opt":
        temperature = 1.0
    want = published(rule, p, q, price, temperature)
    torch.testing.assert_close(ours(rule, p, q, price, temperature, "draws"), want, atol=1e-14, rtol=0)


def test_away_from_temperature_one_their_opt_is_in_no_placement() -> None:
    """T = .5, α = .8: they measure the distance of the tempered laws and keep p; here all is deferred."""
    p, q = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64), torch.tensor([0.6, 0.2, 0.2], dtype=torch.float64)
    assert torch.equal(published("opt", p, q, 0.8, 0.5), tempered(p, 0.5))
    for placement, proxy in (("models", tempered(q, 0.5)), ("draws", tempered(q, 0.5)), ("mixture", q)):
        torch.testing.assert_close(ours("opt", p, q, 0.8, 0.5, placement), proxy, atol=1e-15, rtol=0)


def test_at_temperature_zero_they_mix_one_hots_and_kad_takes_the_mode() -> None:
    """V1 keeps the mode of p, which is theirs; the argmax of π is the token to which the rejected ones bring their mass."""
    p, q = torch.tensor([0.4, 0.3, 0.3], dtype=torch.float64), torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    d = kad.Dual(multiplier=0.65).defer(kad.ConfidenceBet()(p, q), p)
    assert d.tolist() == [0, 1, 1]
    assert int(p.argmax()) == 0
    assert int(kad.mix(p, q, d).argmax()) == 2
