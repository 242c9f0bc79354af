"""Which law it is: the target itself says so at the first position, by whether it has a decision."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from ..arithmetic import Arithmetic, Weights
from ..decisions import Decision, Reading
from ..target import Target
from .deferral import Deferral, Lazy
from .first_look import look_at
from .law import Ask, Law
from .terms import Terms
from .trial import Case, Fallen, Owed, Settlement, Trial
from .whole import Mode, Whole


def law_for(target: Target, temperature: float, arithmetic: Arithmetic, greedy: bool, scores: bool) -> Law:
    """The law by which a target is decided.

    Args:
        target: what is sampled.
        temperature: T; 1 where decoding is greedy.
        arithmetic: the machine's.
        greedy: whether the mode is taken everywhere.
        scores: whether log π is wanted at every position, for which q* is needed everywhere.
    """
    return Asked(Terms(target, temperature, arithmetic, look_at(target)), greedy, scores)


class Asked(Law):
    """Until a target has been asked for a decision nobody knows what it is; then it is one of the four laws.

    One that needs a third model is no mixture, and is not asked.
    """

    def __init__(self, terms: Terms, greedy: bool, scores: bool) -> None:
        super().__init__(terms)
        self.greedy, self.scores = greedy, scores
        self.law: Law | None = None if terms.target.reference is None else self.law_of(False)

    def law_of(self, mixture: bool) -> Law:
        """The law of a target that is a mixture or not."""
        terms = self.terms if mixture else replace(self.terms, asks=False)
        lazy = mixture and self.alone
        if self.greedy:
            return Mode(terms, lazy)
        if not mixture or self.scores or terms.whole:
            return Whole(terms)
        return Lazy(terms) if lazy else Deferral(terms)

    @property
    def alone(self) -> bool:
        """Whether p alone decides, if it is a mixture, and nothing else asks for q*."""
        return not (self.terms.target.reads_proxy or self.scores or self.terms.whole)

    @property
    def lazy(self) -> bool:  # type: ignore[override]
        return self.alone if self.law is None else self.law.lazy

    def told(self, decision: Decision | None) -> Law:
        """The law, once the target has answered."""
        self.law = self.law_of(decision is not None)
        return self.law

    def judge(self, trial: Trial) -> Case:
        self.terms.look.at_trial(trial)
        if self.law is not None:
            return self.law.judge(trial)
        decision, alpha = self.terms.known(trial)
        if self.terms.target.reads_proxy and not trial.drafts.width:  # q* is not known yet
            return Whole(self.terms).case(trial, decision, alpha)
        return self.told(decision).case(trial, decision, alpha)

    def case(self, trial: Trial, decision: Decision | None, alpha: Tensor) -> Case:
        return self.known.case(trial, decision, alpha)

    def settle(self, owed: Owed, q: Reading) -> Settlement:
        self.terms.look.at_debt(owed, q)
        if self.law is None:
            self.told(self.terms.decision(owed.base, q, owed.where))
        return self.known.settle(owed, q)

    def settled_by(self, owed: Owed, q: Reading, found: Settlement, token: Tensor) -> Tensor:
        return self.known.settled_by(owed, q, found, token)

    @property
    def known(self) -> Law:
        assert self.law is not None, "a place with q* has been seen"
        return self.law

    def replacement(self, fallen: Fallen) -> Weights:
        return self.known.replacement(fallen)

    def replaced_by(self, fallen: Fallen, token: Tensor) -> Tensor:
        return self.known.replaced_by(fallen, token)

    def last(self, base: Reading, decision: Decision | None, ends: Tensor, ask: Ask) -> tuple[Tensor, Tensor]:
        return self.known.last(base, decision, ends, ask)
