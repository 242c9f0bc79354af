"""Which law it is: the target itself says so at the first position, by whether it has a decision."""

from __future__ import annotations

from dataclasses import replace

from ..arithmetic import Arithmetic
from ..decisions import Decision, Reading
from ..target import Target
from .first_look import look_at
from .law import Deferral, Law, Lazy, Mode, Whole
from .terms import Terms
from .trial import Case, Owed, Settlement, Trial


class Asked:
    """The law by which a target is decided.

    Until it has been asked for a decision nobody knows what it is; then it is one of the four laws. One that needs a third
    model is no mixture, and is not asked.

    Args:
        target: what is sampled.
        temperature: T; 1 where decoding is greedy.
        arithmetic: the machine's.
        greedy: whether the mode is taken everywhere.
        scores: whether log π is wanted at every position, for which q* is needed everywhere.
    """

    def __init__(self, target: Target, temperature: float, arithmetic: Arithmetic, greedy: bool, scores: bool) -> None:
        self.terms = Terms(target, temperature, arithmetic, look_at(target))
        self.greedy, self.scores = greedy, scores
        self.law: Law | None = None if target.reference is None else self.law_of(False)

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
    def lazy(self) -> bool:
        return self.alone if self.law is None else self.law.lazy

    def told(self, decision: Decision | None) -> Law:
        """The law, once the target has answered."""
        self.law = self.law_of(decision is not None)
        return self.law

    @property
    def known(self) -> Law:
        """The law, after a place with q*."""
        assert self.law is not None
        return self.law

    def judge(self, trial: Trial) -> Case:
        if self.terms.look is not None:
            self.terms.look.at_trial(trial)
        if self.law is not None:
            return self.law.judge(trial)
        decision, alpha = self.terms.known(trial)
        if self.terms.target.reads_proxy and not trial.drafts.width:  # q* is not known yet
            return Whole(self.terms).case(trial, decision, alpha)
        return self.told(decision).case(trial, decision, alpha)

    def settle(self, owed: Owed, q: Reading) -> Settlement:
        if self.terms.look is not None:
            self.terms.look.at_debt(owed, q)
        if self.law is None:
            self.told(self.terms.decision(owed.base, q, owed.where))
        return self.known.settle(owed, q)
