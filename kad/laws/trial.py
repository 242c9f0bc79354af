"""What a round carries: its drafts, what the models say about them, what follows, and what is owed to the next round."""

from __future__ import annotations

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
        steps: q* at every step of the draft, each ``(B, V)``; kept apart, because most of them are never read again.
        late: ``(B,)``, 1 for rows whose first draw settled a debt: their place i was drawn at step i + 1. On the CPU.
    """

    tokens: Tensor
    chances: Tensor
    count: Tensor
    steps: list[Reading]
    late: Tensor

    @property
    def width(self) -> int:
        return self.tokens.shape[1]

    def places(self, running: Tensor) -> Tensor:
        """Which places of the round count, ``(B, n + 1)``: of running rows, those of their drafts and the one after."""
        return running.unsqueeze(-1) & (torch.arange(self.width + 1) <= self.count.unsqueeze(-1))

    def reading(self) -> Reading:
        """q* at every place, ``(B, n, V)``; copies."""
        plain = torch.stack([step.plain for step in self.steps], 1)
        same = self.steps[0].tempered is self.steps[0].plain
        tempered = plain if same else torch.stack([step.tempered for step in self.steps], 1)
        if not bool(self.late.any()) and len(self.steps) == self.width:
            return Reading(plain, tempered)
        column = (self.late.unsqueeze(-1) + torch.arange(self.width)).clamp(max=len(self.steps) - 1)
        every = ordinals(len(self.count), plain.device).unsqueeze(-1)
        return Reading(plain, tempered).at((every, upload(column, plain.device)))

    def at(self, place: Tensor) -> Reading:
        """q* at one place per row, ``(B, V)``; ``place (B,)`` where the tokens are."""
        if place.device.type == "cpu":
            step = (place + self.late).clamp(max=len(self.steps) - 1)
            if bool((step == step[0]).all()):
                return self.steps[int(step[0])]
        return self.steps[0] if len(self.steps) == 1 else self.reading().at(here(place))


def here(place: Tensor) -> tuple[Any, Any]:
    """The index of one place per row ``(B,)`` of ``(B, n, ...)``; on a CPU a view where all are the same."""
    if place.device.type == "cpu" and bool((place == place[0]).all()):
        return slice(None), int(place[0])
    return ordinals(len(place), place.device), place


def align(steps: list[tuple[Tensor, Tensor, Tensor, Reading]], count: Tensor, device: torch.device) -> Drafts:
    """Collect steps ``(token, q* of it, drafted, reading)``; rows whose first draw settled a debt start one step late."""
    n = int(count.max())
    if n == 0:
        empty = torch.zeros(len(count), 0, dtype=torch.long, device=device)
        return Drafts(empty, empty.float(), count, [], torch.zeros_like(count))
    late = (~steps[0][2] & (count > 0)).long()
    if bool((late >= (count > 0)).all()):  # nobody's first draw was a draft
        steps, late = steps[1:], torch.zeros_like(late)
    tokens, chances = torch.stack([step[0] for step in steps], 1), torch.stack([step[1] for step in steps], 1)
    if bool(late.any()) or len(steps) != n:
        column = upload((late.unsqueeze(-1) + torch.arange(n)).clamp(max=len(steps) - 1), device)
        tokens, chances = tokens.gather(1, column), chances.gather(1, column)
    return Drafts(tokens, chances, count, [step[3] for step in steps], late)


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
        """d at one place per row; where q* is needed to know it there is none behind the drafts, and any serves."""
        if self.decision is None or not self.decision.alpha.shape[1]:
            return None
        places = self.decision.alpha.shape[1]
        return self.decision.at(here(place if places > self.ratio.shape[1] else place.clamp(max=places - 1)))


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
    pi = None if case.pi is None else case.pi[here(before_last)]
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
    """

    where: Tensor
    base: Reading
    reference: Reading | None
    alpha: Tensor

    def select(self, index: Tensor) -> Owed:
        """Keep only these rows."""
        at = upload(index, self.base.plain.device)
        reference = self.reference.at(at) if self.reference is not None else None
        return Owed(self.where[index], self.base.at(at), reference, self.alpha[index])
