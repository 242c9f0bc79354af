"""The interface: how one token is decided and a draft judged."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from ..arithmetic import Weights
from ..chances import Chance
from ..decisions import Decision, Reading
from .terms import Terms
from .trial import Case, Fallen, Owed, Settlement, Trial

Ask = Callable[[str, Tensor], Chance]  # the source of chance, told what it decides and for which rows that counts


class Law(ABC):
    """A way to decide tokens, given a target. The loop asks, and never needs to know which way it is.

    Attributes:
        lazy: the last token of a round can do without q*.
    """

    lazy: bool = False

    def __init__(self, terms: Terms) -> None:
        self.terms = terms

    def judge(self, trial: Trial) -> Case:
        """Everything about the drafts."""
        decision, alpha = self.terms.known(trial)
        return self.case(trial, decision, alpha)

    @abstractmethod
    def case(self, trial: Trial, decision: Decision | None, alpha: Tensor) -> Case:
        """The same, from the decision where it is known."""

    @abstractmethod
    def replacement(self, fallen: Fallen) -> Weights:
        """What the first draft that falls is replaced from."""

    @abstractmethod
    def replaced_by(self, fallen: Fallen, token: Tensor) -> Tensor:
        """Whose a replacement is, ``(B,)``."""

    def last(self, base: Reading, decision: Decision | None, ends: Tensor, ask: Ask) -> tuple[Tensor, Tensor]:
        """The token after drafts that all stand, ``(B,)``, and the rows where it may be kept; the others owe it.

        Args:
            base, decision: at that place, ``(B, V)``.
            ends: ``(B,)``, the rows that it is about.
            ask: the source of chance.
        """
        return torch.zeros(len(ends), dtype=torch.long), torch.zeros_like(ends)

    def settle(self, owed: Owed, q: Reading) -> Settlement:
        """A token that was owed, now that q* is known: drawn from π."""
        decision = self.terms.decision(owed.base, q, owed.where)
        pi = self.terms.owed(owed, q, decision)
        return Settlement(pi, owed.alpha if decision is None else decision.alpha.cpu(), decision, pi)

    def settled_by(self, owed: Owed, q: Reading, found: Settlement, token: Tensor) -> Tensor:
        """Whose it is, ``(B,)``."""
        return self.terms.likelier(token, owed.base, q, found.decision)
