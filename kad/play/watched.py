"""An answer while it is made, as plain values: tokens with their origins, drafts that fell, totals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from ..decoding.colour import Pieces
from ..decoding.decoder import Run
from ..decoding.pair import Pair
from ..decoding.rounds import Round
from ..vocabulary import special_ids
from .facts import Fact, facts, left_out

Event = dict[str, Any]
SECONDS_FOR_OPTIMA = 5.0  # of one answer, while other visitors wait
FIGURES = 5  # significant ones of a number that is shown


class Watched:
    """One run, and what is to be told of it after every round.

    >>> import kad
    >>> pair = kad.demo.load()
    >>> prompt = "q : tom has 6 apples . he loses 2 . he finds 9 more . how many apples does tom have now ? a :"
    >>> run = pair.begin(prompt, kad.dual(0.4), window=2, max_new_tokens=3)
    >>> event = next(Watched(pair, run).events())
    >>> [token["origin"] for token in event["tokens"]], event["texts"]
    (['proxy', 'proxy', 'base'], {0: 'first', 1: ' 6', 2: ' -'})
    """

    def __init__(self, pair: Pair, run: Run) -> None:
        self.pair, self.run = pair, run
        self.pieces, self.told = Pieces(pair.tokenizer), list[str]()
        self.special = special_ids(pair.tokenizer)

    def events(self) -> Iterator[Event]:
        """Every round's, then the totals."""
        for round in self.run.rounds():
            yield self.of_round(round)
        self.pieces.finish()
        yield {"type": "totals", "texts": self.changed(), "totals": self.totals()}

    def of_round(self, round: Round) -> Event:
        """Its tokens, with the drafts that fell where one of them stands."""
        trace, at = self.run.loop.trace(), len(self.pieces.ids)
        accepted, last = int(round.accepted[0]), int(round.token[0])
        fell = round.drafts[0, accepted : int(round.count[0])].tolist() if last >= 0 else []
        tokens = []
        for token in trace.tokens()[at : at + accepted + (last >= 0)]:  # a stop string may have cut it
            self.pieces.add(token.id)
            told: Event = {
                "id": token.id,
                "origin": token.origin,
                "alpha": plain_number(token.alpha),
                "accepted": token.accepted,
            }
            if token.accepted is False and fell:
                told["fell"] = [self.pair.tokenizer.decode([draft]) for draft in fell]
                told["chance"] = plain_number(float(round.chance[0, accepted]))
            if token.id in self.special:
                told["special"] = self.pair.tokenizer.decode([token.id])
            tokens.append(told)
        return {"type": "tokens", "at": at, "tokens": tokens, "texts": self.changed()}

    def changed(self) -> dict[int, str]:
        """The texts of tokens that are new or were taken back in part, by place."""
        parts, before = self.pieces.parts, self.told
        self.told = list(parts)
        return {i: part for i, part in enumerate(parts) if i >= len(before) or before[i] != part}

    def totals(self) -> Event:
        """What the answer cost so far, and how much of it is whose."""
        trace = self.run.loop.trace()
        origins = [token.origin for token in trace.tokens()]
        return {
            **{key: plain_number(value) for key, value in trace.summary().items() if isinstance(value, int | float | None)},
            "origins": {origin: origins.count(origin) for origin in dict.fromkeys(origins)},
            "sampled": self.run.loop.sampling.sample,
            "left_out": left_out(self.run),
        }  # fmt: skip

    def looks(self) -> Iterator[Event]:
        """Of every token: p, q*, π, rivals and the optimum; both models read the text once more.

        Raises:
            ValueError: as `kad.play.facts.read_again`.
        """
        for at, fact in enumerate(facts(self.pair, self.run, seconds=SECONDS_FOR_OPTIMA)):
            yield {"type": "look", "at": at, **told_of(fact)}


def told_of(fact: Fact) -> Event:
    """A fact with numbers of some figures."""
    optimum = (
        None if fact.optimum is None else {key: plain_number(value) for key, value in asdict(fact.optimum).items()}
    )
    every = [{key: plain_number(value) for key, value in vars(one).items()} for one in (fact.token, *fact.rivals)]
    return {"token": every[0], "rivals": every[1:], "optimum": optimum, "late": fact.late}


def plain_number(value: Any) -> Any:
    """A number of some figures, None where there is none (JSON has no NaN), and anything else as it is.

    >>> plain_number(0.123456789), plain_number(float("nan")), plain_number("a"), plain_number(float("inf"))
    (0.12346, None, 'a', None)
    """
    if not isinstance(value, float):
        return value
    return float(f"{value:.{FIGURES}g}") if abs(value) < float("inf") else None
