"""What a round carries: its drafts, what the models say about them, what follows, and what is owed to the next round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..decisions import Decision, Reading
from ..transfers import ordinals, upload


@dataclass(frozen=True)
class Drafts:
    """Drafted tokens and the proxy's readings that they were drawn from, left-aligned.

    Attributes:
        tokens: ``(B, n)``.
        chances: ``(B, n)``, q* of them.
        count: ``(B,)``, how many of them each row has; on the CPU.
        steps: q* at every step of the draft, each ``(B, V)``; kept apart, because most of them are never read again. Empty where
            each row's readings lie at its own places together.
        late: ``(B,)``, 1 for rows whose first draw settled a debt: their place i was drawn at step i + 1. On the CPU.
        together: the steps beside each other, ``(B, steps, V)``, where they lie so.
    """

    tokens: Tensor
    chances: Tensor
    count: Tensor
    steps: list[Reading]
    late: Tensor
    together: Reading | None = None

    @property
    def width(self) -> int:
        return self.tokens.shape[1]

    def places(self, running: Tensor) -> Tensor:
        """Which places of the round count, ``(B, n + 1)``: of running rows, those of their drafts and the one after."""
        return running.unsqueeze(-1) & (torch.arange(self.width + 1) <= self.count.unsqueeze(-1))

    def reading(self) -> Reading:
        """q* at every place, ``(B, n, V)``; copies, unless the steps lie so and no row is late."""
        whole = self.together or stacked(self.steps)
        steps = whole.plain.shape[1]
        if not bool(self.late.any()) and steps == self.width:
            return whole
        column = (self.late.unsqueeze(-1) + torch.arange(self.width)).clamp(max=steps - 1)
        every = ordinals(len(self.count), whole.plain.device).unsqueeze(-1)
        return whole.at((every, upload(column, whole.plain.device)))

    def at(self, place: Tensor) -> Reading:
        """q* at one place per row, ``(B, V)``; ``place (B,)`` where the tokens are."""
        steps = self.together.plain.shape[1] if self.together is not None else len(self.steps)
        if bool(self.late.any()):
            place = (place + upload(self.late, place.device)).clamp(max=steps - 1)
        every, step = here(place, steps)
        if isinstance(step, int) and self.steps:
            return self.steps[step]
        return (self.together or stacked(self.steps)).at((every, step))


def stacked(steps: Sequence[Reading]) -> Reading:
    """Steps ``(B, V)`` beside each other, ``(B, steps, V)``; copies."""
    plain = torch.stack([step.plain for step in steps], 1)
    same = steps[0].tempered is steps[0].plain
    return Reading(plain, plain if same else torch.stack([step.tempered for step in steps], 1))


def here(place: Tensor, places: int) -> tuple[Any, Any]:
    """The index of one place per row ``(B,)`` of ``(B, places, ...)``; a view where all are known to be the same."""
    if places == 1:
        return slice(None), 0
    if place.device.type == "cpu" and bool((place == place[0]).all()):
        return slice(None), int(place[0])
    return ordinals(len(place), place.device), place


@dataclass(frozen=True)
class Trial:
    """What has been read when drafts are put to the test.

    Attributes:
        base, reference: the models at the places of the drafts and the one after them, ``(B, n + 1, V)``.
        drafts: with q* at their places.
        running: ``(B,)``, the rows that count; on the CPU.
    """

    base: Reading
    reference: Reading | None
    drafts: Drafts
    running: Tensor

    @property
    def places(self) -> Tensor:
        """Which places count, ``(B, n + 1)``, on the CPU."""
        return self.drafts.places(self.running)


@dataclass(frozen=True)
class Case:
    """What follows for a round.

    Attributes:
        alpha: the deferred mass, ``(B, n + 1)``; NaN where the target is no mixture, or q* is needed to know it.
        ratio: the chance that a draft stands, min(1, π(x)/q*(x)), ``(B, n)``; 0 where a row has none.
        decision: d where it is known; None if the target is no mixture.
        pi: ``(B, n, V)``, if it was formed.
    """

    alpha: Tensor
    ratio: Tensor
    decision: Decision | None
    pi: Tensor | None = None

    def decided(self, place: Tensor) -> Decision | None:
        """d at one place per row, without the masses that the rule read; None if it is not known yet.

        Where q* is needed to know it there is none behind the drafts; rows that are there get another, of no use.
        """
        if self.decision is None or not self.decision.alpha.shape[1]:
            return None
        places = self.decision.alpha.shape[1]
        at = here(place if places > self.ratio.shape[1] else place.clamp(max=places - 1), places)
        return self.decision.at(at, self.ratio.new_empty(0))


@dataclass(frozen=True)
class Fallen:
    """One place per row: that of the first draft which falls; readings ``(B, V)``."""

    base: Reading
    q: Reading
    decision: Decision | None
    pi: Tensor | None


def falls_at(trial: Trial, case: Case, base: Reading, decision: Decision | None, accepted: Tensor) -> Fallen:
    """The place of every row's first draft that falls, where p and d have been read; of no use to rows without one."""
    before_last = accepted.clamp(max=trial.drafts.width - 1)
    pi = None if case.pi is None else case.pi[here(before_last, trial.drafts.width)]
    return Fallen(base, trial.drafts.at(before_last), decision, pi)


@dataclass(frozen=True)
class Settlement:
    """Of a token that was owed, once q* is known.

    Attributes:
        weights: what it is drawn from, ``(B, V)``.
        alpha: the deferred mass there, ``(B,)``.
        decision: d there, if there is one and it was asked for.
        pi: π there, ``(B, V)``, if it was formed.
    """

    weights: Tensor
    alpha: Tensor
    decision: Decision | None = None
    pi: Tensor | None = None


@dataclass(frozen=True)
class Owed:
    """Positions whose token waits for q*.

    Attributes:
        where: ``(B,)``, the rows; on the CPU.
        base, reference: the readings there, ``(B, V)``.
        alpha: ``(B,)``, the deferred mass, NaN where it needs q* too; on the CPU.
        decision: d there, where p alone decides.
    """

    where: Tensor
    base: Reading
    reference: Reading | None
    alpha: Tensor
    decision: Decision | None = None

    def select(self, index: Tensor) -> Owed:
        """Keep only these rows."""
        at = upload(index, self.base.plain.device)
        reference = self.reference.at(at) if self.reference is not None else None
        decision = self.decision.at(at) if self.decision is not None else None
        return Owed(self.where[index], self.base.at(at), reference, self.alpha[index], decision)
