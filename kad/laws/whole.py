"""Laws that form π over the vocabulary at every draft."""

from __future__ import annotations

import torch
from torch import Tensor

from ..arithmetic import Weights, mode
from ..decisions import Decision, Reading
from ..origins import BASE
from ..speculation import acceptance, certain, residual
from .law import Ask, Law
from .terms import Terms, all_of, where_drafted
from .trial import Case, Fallen, Trial


class Whole(Law):
    """Of any π, and of mixtures whose log π is wanted."""

    def case(self, trial: Trial, decision: Decision | None, alpha: Tensor) -> Case:
        if not trial.drafts.width:
            return Case(alpha, torch.zeros(len(trial.drafts.count), 0), decision)
        pi = self.terms.drafted(trial, decision)
        return Case(alpha, where_drafted(self.stands(pi, trial), trial), decision, pi)

    def stands(self, pi: Tensor, trial: Trial) -> Tensor:
        """The chance of every draft, ``(B, n)``, from π at its place."""
        x = trial.drafts.tokens.unsqueeze(-1)
        return acceptance(pi.gather(-1, x).squeeze(-1), trial.drafts.chances)

    def replacement(self, fallen: Fallen) -> Weights:
        assert fallen.pi is not None
        return Weights(residual(fallen.pi, fallen.q.tempered))

    def replaced_by(self, fallen: Fallen, token: Tensor) -> Tensor:
        if fallen.decision is not None and not self.terms.whole:
            return all_of(BASE, token)
        return self.terms.likelier(token, fallen.base, fallen.q, fallen.decision)


class Mode(Whole):
    """Of greedy decoding: the argmax of π, which for some mixtures is certain at some places before q* is known."""

    def __init__(self, terms: Terms, lazy: bool) -> None:
        super().__init__(terms)
        self.lazy = lazy

    def stands(self, pi: Tensor, trial: Trial) -> Tensor:
        return (trial.drafts.tokens == mode(pi)).to(pi.dtype)

    def replacement(self, fallen: Fallen) -> Weights:
        assert fallen.pi is not None
        return Weights(fallen.pi)

    def replaced_by(self, fallen: Fallen, token: Tensor) -> Tensor:
        return self.terms.likelier(token, fallen.base, fallen.q, fallen.decision)

    def last(self, base: Reading, decision: Decision | None, ends: Tensor, ask: Ask) -> tuple[Tensor, Tensor]:
        assert decision is not None
        weights = decision.kept(base.for_mixture(self.terms.target))
        chance = ask("last", ends)
        token = chance.pick(weights)
        return token, ends & chance.settled(certain(weights, decision.alpha)).cpu()
