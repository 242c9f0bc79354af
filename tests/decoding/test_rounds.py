"""A round as a value: what it says is what was decided, and nobody pays for it who does not look."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch

import kad
from kad.decoding import loop

from ..models import ragged, tiny

IDS, MASK = ragged(3, seed=4)
TARGETS = {
    "dual": kad.dual(0.3), "bet": kad.confidence_bet(0.1), "ensemble": kad.Ensemble(0.4),
    "mixture": kad.Mixture(kad.Squared(), kad.Fractional(0.5), "mixture"),
}  # fmt: skip
WAYS: dict[str, dict[str, Any]] = {"greedy": {}, "sampled": {"do_sample": True, "temperature": 0.8, "seed": [5, 6, 7]}}


@pytest.fixture(scope="module")
def pair() -> kad.Pair:
    return kad.Pair(tiny("llama", 1, torch.float64), tiny("llama", 2, torch.float64))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("window", [0, 1, 3])
@pytest.mark.parametrize("name", TARGETS)
def test_the_rounds_are_the_text(pair: kad.Pair, name: str, window: int, way: str) -> None:
    """Drafts that stand and the tokens behind them are the rows' texts, one after another."""
    prompt = {"input_ids": IDS, "attention_mask": MASK}
    options = {"window": window, "max_new_tokens": 9, **WAYS[way]}
    texts: list[list[int]] = [[] for _ in IDS]
    for round in pair.rounds(prompt, TARGETS[name], **options):
        for i, row in enumerate(round.rows.tolist()):
            found = [*round.drafts[i, : int(round.accepted[i])].tolist(), int(round.token[i])]
            texts[row] += [token for token in found if token >= 0]
    out = pair.generate(prompt, TARGETS[name], **options)
    assert texts == out.trace.emitted


@pytest.mark.parametrize("name", TARGETS)
def test_what_a_round_says(pair: kad.Pair, name: str) -> None:
    """π is p(1 − d) + α q*, tempered where the placement says, and a draft stands with min(1, π/q*)."""
    seen, options = 0, {"window": 3, "max_new_tokens": 12, "do_sample": True, "temperature": 0.8}
    runs = (pair.rounds([[3, 4, 5]], TARGETS[name], seed=seed, **options) for seed in range(5))
    for round in itertools.chain.from_iterable(runs):
        n = int(round.count[0])
        if not n:
            continue
        seen += n
        assert round.p.shape[1] == round.drafts.shape[1] + 1
        p, q, pi = round.p[0, :n], round.q[0, :n], round.pi[0, :n]
        assert round.d is not None
        d = round.d[0, :n]
        want = p * (1 - d) + (p * d).sum(-1, keepdim=True) * q
        if name == "mixture":
            want = want ** (1 / 0.8)
            want /= want.sum(-1, keepdim=True)
            q = q ** (1 / 0.8) / (q ** (1 / 0.8)).sum(-1, keepdim=True)
        torch.testing.assert_close(pi, want)
        x = round.drafts[0, :n, None]
        odds = (pi.gather(-1, x) / q.gather(-1, x)).clamp(max=1).squeeze(-1)
        torch.testing.assert_close(round.chance[0, :n].double(), odds)
        torch.testing.assert_close(round.alpha[0, :n].double(), (p * d).sum(-1))
    assert seen > 3


def test_nobody_pays_who_does_not_look(pair: kad.Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    def made(*given: Any) -> None:
        raise AssertionError("a round was made")

    monkeypatch.setattr(loop, "Round", made)
    pair.generate([[3, 4, 5]], kad.dual(0.3), max_new_tokens=6)
    with pytest.raises(AssertionError, match="a round was made"):
        list(pair.rounds([[3, 4, 5]], kad.dual(0.3), max_new_tokens=6))


def test_a_round_can_be_left(pair: kad.Pair) -> None:
    """Rounds are decoded as they are asked for."""
    rounds = pair.rounds([[3, 4, 5]], kad.dual(0.3), window=0, max_new_tokens=50)
    first = next(rounds)
    assert first.q is None
    assert first.pi is None
    rounds.close()
