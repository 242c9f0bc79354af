"""Laws that form π over the vocabulary at every draft."""

from __future__ import annotations

import torch
from torch import Tensor

from ..arithmetic import Choice, mode
from ..decisions import Decision, Reading
from ..origins import BASE
from ..speculation import acceptance, certain, residual
from .law import Ask, Law
from .round import Case, Place, Round
from .terms import Terms, all_of, where_drafted


class Whole(Law):
    """Of any π, and of mixtures whose log π is wanted."""

    def case(self, round: Round, decision: Decision | None, alpha: Tensor) -> Case:
        if not round.drafts.width:
            return Case(alpha, torch.zeros(len(round.drafts.count), 0), decision)
        pi = self.terms.drafted(round, decision)
        return Case(alpha, where_drafted(self.stands(pi, round), round), decision, pi)

    def stands(self, pi: Tensor, round: Round) -> Tensor:
        """The chance of every draft, ``(B, n)``, from π at its place."""
        x = round.drafts.tokens.unsqueeze(-1)
        return acceptance(pi.gather(-1, x).squeeze(-1), round.drafts.chances)

    def replacement(self, place: Place) -> Choice:
        assert place.pi is not None
        return Choice(residual(place.pi, place.q.tempered))

    def replaced_by(self, place: Place, token: Tensor) -> Tensor:
        if place.decision is not None and not self.terms.whole:
            return all_of(BASE, token)
        return self.terms.likelier(token, place.base, place.q, place.decision)


class Mode(Whole):
    """Of greedy decoding: the argmax of π, which for some mixtures is certain at some places before q* is known."""

    def __init__(self, terms: Terms, lazy: bool) -> None:
        super().__init__(terms)
        self.lazy = lazy

    def stands(self, pi: Tensor, round: Round) -> Tensor:
        return (round.drafts.tokens == mode(pi)).to(pi.dtype)

    def replacement(self, place: Place) -> Choice:
        assert place.pi is not None
        return Choice(place.pi)

    def replaced_by(self, place: Place, token: Tensor) -> Tensor:
        return self.terms.likelier(token, place.base, place.q, place.decision)

    def last(self, base: Reading, decision: Decision | None, ends: Tensor, ask: Ask) -> tuple[Tensor, Tensor]:
        assert decision is not None
        weights = decision.kept(base.for_mixture(self.terms.target))
        chance = ask("last", ends)
        token = chance.pick(weights)
        return token, ends & chance.settled(certain(weights, decision.alpha)).cpu()
