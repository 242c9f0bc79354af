"""What every law asks of a target, in one place: its decision, its π, and whose a token is where the draw does not tell."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..arithmetic import Arithmetic, Weights
from ..decisions import Decision, Reading, decide, pi_of
from ..origins import BASE, PROXY, TARGET
from ..target import Target
from ..transfers import upload
from .course import Course
from .first_look import Look
from .trial import Trial


@dataclass(frozen=True)
class Terms:
    """A target with all that it is asked through.

    Attributes:
        target: what is sampled.
        temperature: T; 1 where decoding is greedy.
        arithmetic: the machine's.
        look: who looks at the answers of classes that are not kad's own; None where there is none.
        course: where the rows of a target with a state are; None for any other.
        asks: whether the target is asked for a decision; one that has said that it is no mixture is not asked again.
    """

    target: Target
    temperature: float
    arithmetic: Arithmetic
    look: Look | None
    course: Course | None = None
    asks: bool = True

    @property
    def whole(self) -> bool:
        """Whether the mixture is tempered as a whole, and so no mixture any more."""
        return self.target.placement == "mixture" and self.temperature != 1

    def decision(self, base: Reading, q: Reading | None, where: Tensor) -> Decision | None:
        """d from p, or from p and q*; None if the target is no mixture. ``where`` (on the CPU) counts."""
        if not self.asks:
            return None
        return self.asked(self.target if self.course is None else self.course.now(), base, q, where)

    def asked(self, target: Target, base: Reading, q: Reading | None, where: Tensor) -> Decision | None:
        """The answer of the target itself, or of what it is at some position."""
        found = self.arithmetic.call(decide, target, base, q)
        if self.look is not None:
            self.look.decided(found, where)
        return found

    def known(self, trial: Trial) -> tuple[Decision | None, Tensor]:
        """d at every place where it can be known yet, and α ``(B, n + 1)``, NaN elsewhere."""
        n, found = trial.drafts.width, None
        if self.course is not None:
            found = self.course.decide(trial, self.asked)
        elif not self.target.reads_proxy:
            found = self.decision(trial.base, None, trial.places)
        elif n:  # at the last place the proxy has not spoken yet
            found = self.decision(trial.base.at(first(n)), trial.drafts.reading(), trial.places[:, 1:])
        if found is not None and found.alpha.shape[1] == n + 1:
            return found, found.alpha
        alpha = trial.base.plain.new_full((len(trial.drafts.count), n + 1), torch.nan)
        if found is not None:
            alpha[:, :n] = found.alpha
        return found, alpha

    def pi(
        self, base: Reading, q: Reading | None, reference: Reading | None, d: Decision | None, where: Tensor
    ) -> Tensor:
        """π, with the temperature where its placement says; ``where`` (on the CPU) counts."""
        pi = pi_of(self.target, base, q, reference, self.temperature, d, self.arithmetic.formula)
        if self.look is not None:
            self.look.sums(pi, where)
        return pi

    def drafted(self, trial: Trial, decision: Decision | None) -> Tensor:
        """π at the drafts, ``(B, n, V)``."""
        here = first(trial.drafts.width)
        d = None if decision is None else decision.at(here)
        deferred = d is None or not self.arithmetic.asks or bool(d.alpha.any())
        q = trial.drafts.reading() if deferred else None  # with the target Base, say, π = p
        return self.pi(trial.base.at(here), q, trial.reference and trial.reference.at(here), d, trial.places[:, 1:])

    def leftover(self, decision: Decision, base: Reading, q: Reading) -> Weights:
        """(π − q*)₊ of a mixture."""
        return self.arithmetic.leftover(decision.kind, base.tempered, q.tempered, decision.alpha)

    def likelier(self, token: Tensor, base: Reading, q: Reading, decision: Decision | None) -> Tensor:
        """Whichever of p_v (1 − d_v) and α q*_v is the larger, ``(B,)``; of a target that is no mixture neither."""
        if decision is None:
            return all_of(TARGET, token)
        p, other = (x.for_mixture(self.target) for x in (base, q))
        return self.arithmetic.formula(whose, p, other, decision, token)


def whose(p: Tensor, q: Tensor, d: Decision, token: Tensor) -> Tensor:
    """The model with the larger share of π at a token per row, ``(B,)``, from ``(B, V)``."""
    p, q = (x.gather(1, token.unsqueeze(-1)).squeeze(-1) for x in (p, q))
    return torch.where(p * (1 - d.of(token, p)) >= d.alpha * q, BASE, PROXY).to(torch.int8)


def first(n: int) -> tuple[slice, slice]:
    """The index of the places of n drafts."""
    return slice(None), slice(0, n)


def all_of(origin: int, token: Tensor) -> Tensor:
    return torch.full(token.shape, origin, dtype=torch.int8)


def where_drafted(ratio: Tensor, trial: Trial) -> Tensor:
    """0 where a row has no draft."""
    real = torch.arange(trial.drafts.width) < trial.drafts.count.unsqueeze(-1)
    return ratio if bool(real.all()) else torch.where(upload(real, ratio.device), ratio, 0.0)
