"""The formulas that a compiler fuses on a GPU: it takes them whole, and they say what they say without it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import kad
from kad.decisions import Decision, Reading, decide, mixed_by
from kad.laws.law import acceptance_of, is_mode, kept_of, kept_share
from kad.laws.terms import whose
from kad.speculation import certain

TARGETS = {
    "dual": kad.dual(0.4), "primal": kad.primal(0.5), "fractional": kad.fractional(0.5), "bet": kad.confidence_bet(0.1),
}  # fmt: skip


def readings(places: tuple[int, ...]) -> tuple[Reading, Reading, Tensor]:
    """p and q* over 64 tokens, a tie at the top among p's, and a token per place."""
    g = torch.Generator().manual_seed(0)
    p, q = (torch.softmax(3 * torch.randn(*places, 64, generator=g), -1) for _ in range(2))
    p[0] = 1 / 64
    return Reading(p, p), Reading(q, q), torch.randint(0, 64, places, generator=g)


def given(formula: Callable[..., Tensor], decision: Decision, p: Reading, q: Reading, token: Tensor) -> tuple[Any, ...]:
    at = {
        acceptance_of: (decision, token, q.plain.gather(-1, token.unsqueeze(-1)).squeeze(-1)),
        kept_share: (decision, token), kept_of: (decision,), is_mode: (token,),
        whose: (q.plain, decision, token), mixed_by: (q.plain, decision),
    }  # fmt: skip
    return (decision.kept(p.plain), decision.alpha) if formula is certain else (p.plain, *at[formula])


@pytest.mark.parametrize("formula", [acceptance_of, kept_share, kept_of, is_mode, whose, certain, mixed_by])
def test_the_compiler_takes_it_whole(formula: Callable[..., Tensor]) -> None:
    torch.compiler.reset()
    fast = torch.compile(formula, dynamic=True, fullgraph=True, backend="aot_eager")
    for target in TARGETS.values():
        p, q, token = readings((3, 4) if formula in (acceptance_of, is_mode) else (3,))
        decision = decide(target, p, q)
        assert decision is not None
        here = given(formula, decision, p, q, token)
        before = [x.clone() for x in here if isinstance(x, Tensor)]
        assert torch.equal(fast(*here), formula(*here))
        assert all(map(torch.equal, before, [x for x in here if isinstance(x, Tensor)]))  # as they were
