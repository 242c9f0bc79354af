"""One round of the loop as a value: what was drafted, what both models say there, what became of it, and what is owed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..decisions import pi_of
from ..laws.terms import first
from ..laws.trial import Case, Trial
from ..target import Target


@dataclass(frozen=True)
class Round:
    """What one round decided, for teaching, debugging and watching. Distributions are formed only when they are asked for.

    Of rows that do not run any more nothing counts. ``B`` is the number of rows in the loop, ``n`` the longest draft.

    Attributes:
        target, temperature: what is sampled; T is 1 where decoding is greedy.
        trial: what was read.
        case: what follows for the drafts.
        rows: ``(B,)``, the rows' numbers in the batch.
        accepted: ``(B,)``, how many drafts stand.
        token: ``(B,)``, the token behind these: a replacement, or the last one; −1 where there is none.
        owed: ``(B,)``, rows whose token there had to wait for q*, which the next draft reads.
    """

    target: Target
    temperature: float
    trial: Trial
    case: Case
    rows: Tensor
    accepted: Tensor
    token: Tensor
    owed: Tensor

    def settle(self, rows: Tensor, token: Tensor) -> None:
        """These rows' tokens are known now."""
        self.token[torch.searchsorted(self.rows, rows)] = token

    @property
    def drafts(self) -> Tensor:
        """The drafted tokens, ``(B, n)``; a row has ``count`` of them."""
        return self.trial.drafts.tokens

    @property
    def count(self) -> Tensor:
        """``(B,)``."""
        return self.trial.drafts.count

    @property
    def chance(self) -> Tensor:
        """min(1, π(x)/q*(x)) of every draft, ``(B, n)``."""
        return self.case.ratio

    @property
    def alpha(self) -> Tensor:
        """The deferred mass at every draft's place and the one behind, ``(B, n + 1)``; NaN where it is not known."""
        return self.case.alpha

    @property
    def p(self) -> Tensor:
        """The base's distribution as it is mixed, at every draft's place and the one behind, ``(B, n + 1, V)``."""
        return self.trial.base.for_mixture(self.target)

    @property
    def q(self) -> Tensor | None:
        """The proxy's at every draft's place, ``(B, n, V)``; None without drafts."""
        return self.trial.drafts.reading().for_mixture(self.target) if self.drafts.shape[1] else None

    @property
    def d(self) -> Tensor | None:
        """The probability that a token of p is deferred, ``(B, n or n + 1, V)``; None if the target is no mixture."""
        return None if self.case.decision is None else self.case.decision.dense()

    @property
    def pi(self) -> Tensor | None:
        """What is sampled at every draft's place, ``(B, n, V)``; None without drafts."""
        trial, decision, here = self.trial, self.case.decision, first(self.drafts.shape[1])
        if self.case.pi is not None or not self.drafts.shape[1]:
            return self.case.pi
        reference = None if trial.reference is None else trial.reference.at(here)
        known = None if decision is None else decision.at(here)
        return pi_of(self.target, trial.base.at(here), trial.drafts.reading(), reference, self.temperature, known)
