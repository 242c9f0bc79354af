"""How one token is decided and a draft judged: the interface, the four laws behind it, and which of them it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from ..arithmetic import Arithmetic, Weights, mode
from ..chances import Chance
from ..decisions import Decision, Reading
from ..origins import BASE, PROXY
from ..speculation import acceptance, certain, residual
from ..target import Target
from .course import Course
from .first_look import look_at
from .terms import Terms, all_of, first, where_drafted
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
        """Whose a replacement is, ``(B,)``; on the CPU where that is known beforehand."""

    def last(self, base: Reading, decision: Decision | None, ends: Tensor, ask: Ask) -> tuple[Tensor, Tensor]:
        """The token after drafts that all stand, ``(B,)``, and whether it may be kept; the other rows owe it.

        Args:
            base, decision: at that place, ``(B, V)``.
            ends: ``(B,)``, the rows that it is about, where the readings are.
            ask: the source of chance.
        """
        return torch.zeros_like(ends, dtype=torch.long), torch.zeros_like(ends)

    def settle(self, owed: Owed, q: Reading) -> Settlement:
        """A token that was owed, now that q* is known: drawn from π."""
        decision = owed.decision or self.terms.decision(owed.base, q, owed.where)
        pi = self.terms.pi(owed.base, q, owed.reference, decision, owed.where)
        return Settlement(pi, owed.alpha if decision is None else decision.alpha, decision, pi)

    def settled_by(self, owed: Owed, q: Reading, found: Settlement, token: Tensor) -> Tensor:
        """Whose it is, ``(B,)``; on the CPU where that is known beforehand."""
        return self.terms.likelier(token, owed.base, q, found.decision)


class Deferral(Law):
    """Of a mixture whose rule reads q*: the last token of a round is owed."""

    def case(self, trial: Trial, decision: Decision | None, alpha: Tensor) -> Case:
        n, drafts = trial.drafts.width, trial.drafts
        if not n:
            return Case(alpha, alpha.new_zeros(len(alpha), 0), decision)
        assert decision is not None
        base, here = trial.base.tempered[:, :n], decision.at(first(n))
        ratio = self.terms.arithmetic.formula(acceptance_of, base, here, drafts.tokens, drafts.chances)
        return Case(alpha, where_drafted(ratio, trial), decision)

    def replacement(self, fallen: Fallen) -> Weights:
        assert fallen.decision is not None
        return self.terms.leftover(fallen.decision, fallen.base, fallen.q)

    def replaced_by(self, fallen: Fallen, token: Tensor) -> Tensor:
        return all_of(BASE, token)  # the residual lies on the kept tokens alone (theory S10)


class Lazy(Deferral):
    """Of a mixture that p alone decides: the base's draw is kept with probability 1 − d (theory S11)."""

    lazy = True

    def last(self, base: Reading, decision: Decision | None, ends: Tensor, ask: Ask) -> tuple[Tensor, Tensor]:
        assert decision is not None
        p = base.tempered
        token = ask("last", ends).pick(p)
        stays = self.terms.arithmetic.formula(kept_share, p, decision, token)
        if self.terms.arithmetic.asks:  # nobody need decide where all is decided
            stays = torch.where(ends, stays, 1.0)
        return token, ask("keep", ends).coin(stays)

    def settle(self, owed: Owed, q: Reading) -> Settlement:
        """The base's own draw was deferred: the token is the proxy's."""
        return Settlement(q.tempered, owed.alpha)

    def settled_by(self, owed: Owed, q: Reading, found: Settlement, token: Tensor) -> Tensor:
        return all_of(PROXY, token)


class Whole(Law):
    """Of any π, and of mixtures whose log π is wanted."""

    def case(self, trial: Trial, decision: Decision | None, alpha: Tensor) -> Case:
        if not trial.drafts.width:
            return Case(alpha, alpha.new_zeros(len(alpha), 0), decision)
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
        return self.terms.arithmetic.formula(is_mode, pi, trial.drafts.tokens)

    def replacement(self, fallen: Fallen) -> Weights:
        assert fallen.pi is not None
        return Weights(fallen.pi)

    def replaced_by(self, fallen: Fallen, token: Tensor) -> Tensor:
        return self.terms.likelier(token, fallen.base, fallen.q, fallen.decision)

    def last(self, base: Reading, decision: Decision | None, ends: Tensor, ask: Ask) -> tuple[Tensor, Tensor]:
        assert decision is not None
        formula = self.terms.arithmetic.formula
        weights = formula(kept_of, base.for_mixture(self.terms.target), decision)
        chance = ask("last", ends)
        token = chance.pick(weights)
        return token, chance.settled(formula(certain, weights, decision.alpha))


def acceptance_of(p: Tensor, d: Decision, tokens: Tensor, chances: Tensor) -> Tensor:
    """min(1, π(x)/q*(x)) of drafts ``(B, n)`` with these q*, from p ``(B, n, V)`` and d at their places."""
    px = p.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
    return acceptance(px * (1 - d.of(tokens, px)) + d.alpha * chances, chances)


def kept_share(p: Tensor, d: Decision, token: Tensor) -> Tensor:
    """1 − d of a token per row, ``(B,)``, from p ``(B, V)`` and d."""
    return 1 - d.of(token, p.gather(1, token.unsqueeze(-1)).squeeze(-1))


def kept_of(p: Tensor, d: Decision) -> Tensor:
    return d.kept(p)


def is_mode(pi: Tensor, tokens: Tensor) -> Tensor:
    """1 where a token ``(B, n)`` is the mode of π ``(B, n, V)``, else 0."""
    return (tokens == mode(pi)).to(pi.dtype)


class Asked:
    """The law by which a target is decided.

    The target itself says which of the four it is, at the first position, by whether it has a decision; nobody knows before
    it has been asked. One that needs a third model is no mixture, and is not asked.

    Args:
        target: what is sampled.
        temperature: T; 1 where decoding is greedy.
        arithmetic: the machine's.
        greedy: whether the mode is taken everywhere.
        scores: whether log π is wanted at every position, for which q* is needed everywhere.
    """

    def __init__(self, target: Target, temperature: float, arithmetic: Arithmetic, greedy: bool, scores: bool) -> None:
        course = None if target.stateful is None else Course(target.stateful)
        self.terms = Terms(target, temperature, arithmetic, look_at(target), course)
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

    def emitted(
        self, case: Case, accepted: Tensor, token: Tensor, some: tuple[Tensor, Tensor], running: Tensor
    ) -> None:
        """What stands of a round, see `Course.emitted`."""
        if self.terms.course is not None:
            self.terms.course.emitted(accepted, case.alpha, token, some, running)

    def settled(self, where: Tensor, found: Settlement, token: Tensor) -> None:
        """The rows ``where`` (on the CPU) have the token that they owed."""
        if self.terms.course is not None:
            self.terms.course.settled(where, found.alpha, token)

    def select(self, index: Tensor) -> None:
        """Keep only these rows."""
        if self.terms.course is not None:
            self.terms.course.select(index)

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
