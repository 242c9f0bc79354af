"""What both models say of an answer, token by token: read once more, by one pass of each, for who asks why."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch

from ..decisions import Decision, Reading
from ..decoding.decoder import Run
from ..decoding.pair import Pair
from ..decoding.processors import PREFIX_FREE
from ..decoding.settings import describe
from ..distributions import alpha_of
from ..engines.full_pass import full_pass
from ..gap import SAME
from ..laws.course import walk
from ..solvers import Exact
from ..solvers.base import risk_of
from ..target import Target

SHOWN_RIVALS = 5
SECONDS_A_STEP = 0.25  # of the exact solver


@dataclass(frozen=True)
class Contestant:
    """A token that could stand at a place.

    Attributes:
        id, text: the token.
        p, q, pi: what the base, the proxy and the mixture give it.
        deferred: d, the probability that the rule defers it; None if the target is no mixture.
        optimal: the same of the exact optimum; None where there is none.
    """

    id: int
    text: str
    p: float
    q: float
    pi: float
    deferred: float | None
    optimal: float | None


@dataclass(frozen=True)
class Optimum:
    """The best 0-1 decision at a place, for the mass that the rule may defer there.

    Attributes:
        budget: that mass: the rule's budget or, where it has none, what it defers itself.
        mass, risk: of the optimum.
        rule_mass, rule_risk: of the rule.
        status: what is proved, as of `kad.Exact`.
    """

    budget: float
    mass: float
    risk: float
    rule_mass: float
    rule_risk: float
    status: str


@dataclass(frozen=True)
class Fact:
    """One place of an answer: its token, the best others, and the optimum where the method solves a knapsack.

    Attributes:
        late: the optimum was not asked for, because the time for all of them was up.
    """

    token: Contestant
    rivals: list[Contestant]
    optimum: Optimum | None
    late: bool = False


def left_out(run: Run) -> list[str]:
    """Logits processors that read the text as it grows: the answer was drawn under them, and `facts` does without."""
    return [describe(p) for p in run.loop.sampling.processors if type(p) not in PREFIX_FREE]


@torch.no_grad()
def read_again(pair: Pair, run: Run) -> tuple[Reading, Reading, torch.Tensor]:
    """p, q* and π at every place of the answer, ``(1, n, V)``.

    Raises:
        ValueError: the proxy reads another prompt, as one with a vocabulary of its own does.
    """
    if run.request.proxy_input_ids is not None:
        raise ValueError(
            "the proxy reads a prompt of its own, in ids of its own: one text cannot be read by both again."
        )
    journal, sampling = run.loop.journal, run.loop.sampling
    prompt, ids = journal.text[:, : journal.width].cpu(), run.loop.trace().emitted[0]
    text = torch.cat([prompt, torch.tensor([ids[:-1]], dtype=torch.long)], 1)
    free = [p for p in sampling.processors if type(p) in PREFIX_FREE]
    models = {"base": pair.base, "proxy": pair.proxy}
    return full_pass(models, run.request.target, text, pair.tokenizer, journal.width - 1, sampling.sample, free)


def facts(pair: Pair, run: Run, only: int | None = None, seconds: float = math.inf) -> Iterator[Fact]:
    """Of every token of an answer, in order; the readings are let go of at the end.

    Args:
        only: of the token at this place alone.
        seconds: for the exact optima of all tokens together.

    Raises:
        ValueError: as `read_again`.
    """
    ids, target = run.loop.trace().emitted[0], run.request.target
    if not ids:
        return
    base, proxy, pi = read_again(pair, run)
    for place, (rule, decision) in enumerate(walk(target, base, proxy, torch.tensor([ids]))):
        if only in (None, place):
            p, q = (reading.at((slice(None), place)) for reading in (base, proxy))
            start, asks = time.monotonic(), decision is not None and rule.made_of.get("loss") is not None
            best = optimum_of(rule, p, q, decision) if asks and decision is not None and seconds > 0 else None
            found = fact_of(pair.tokenizer, rule, p, q, pi[:, place], decision, best, ids[place])
            seconds -= time.monotonic() - start
            yield replace(found, late=asks and best is None)


def fact_of(
    tokenizer: Any, target: Target, base: Reading, proxy: Reading, pi: torch.Tensor, decision: Decision | None,
    optimum: tuple[torch.Tensor, Optimum] | None, token: int,
) -> Fact:  # fmt: skip
    """One place from ``(1, V)``, with what the rule decides there and the optimum."""
    p, q = (reading.for_mixture(target)[0] for reading in (base, proxy))
    rows = [p, q, pi[0], None if decision is None else decision.dense()[0]]
    rows.append(None if optimum is None else optimum[0])
    largest = torch.maximum(torch.maximum(p, q), pi[0])
    likely = largest.topk(min(SHOWN_RIVALS + 1, len(largest))).indices.tolist()
    shown = [token, *[v for v in likely if v != token][:SHOWN_RIVALS]]
    numbers = [[None] * len(shown) if row is None else row[torch.tensor(shown).to(row.device)].tolist() for row in rows]
    found = [Contestant(v, tokenizer.decode([v]), *given) for v, *given in zip(shown, *numbers, strict=True)]
    return Fact(found[0], found[1:], None if optimum is None else optimum[1])


def optimum_of(target: Target, base: Reading, proxy: Reading, decision: Decision) -> tuple[torch.Tensor, Optimum]:
    """The exact decision ``(V,)`` for the rule's budget or, without one, for the mass that it defers, and what it is worth."""
    loss, limit = target.made_of["loss"], target.limit
    p, q = (reading.for_rule(target).double() for reading in (base, proxy))
    losses, d = loss(p, q), decision.dense().double()
    own = float(alpha_of(p, d))
    budget = own if limit is None else float(limit)
    # As `kad.gaps` does: a rule's own decision, whose mass is rounded, must not be out of reach at its own mass.
    proof = Exact(min(budget + SAME, 1.0), time_limit=SECONDS_A_STEP).prove(losses, p)
    mass, risk, rule_risk = (
        float(x) for x in (alpha_of(p, proof.d), risk_of(losses, p, proof.d), risk_of(losses, p, d))
    )
    return proof.d[0], Optimum(budget, mass, risk, own, rule_risk, proof.status[0])
