"""A draft as it grows: the proxy's tokens with the readings that they were drawn from."""

from __future__ import annotations

import torch
from torch import Tensor

from ..decisions import Reading
from ..transfers import ordinals, upload
from .trial import Drafts


class Drafting:
    """Collects the steps of a draft.

    Args:
        draws: ``(B,)`` on the CPU, how often each row may draw.
        owed: ``(B,)`` on the CPU, rows whose first draw settles a debt instead.
        beside: put the readings beside each other as they come, so that they need not be copied to be looked at together, which on
            a CPU most never are.

    Attributes:
        most: steps that there can be at most.
        late: ``owed``, where some rows' first draw is a draft and others' is not; else None.
    """

    def __init__(self, draws: Tensor, owed: Tensor, beside: bool) -> None:
        self.most, self.beside = int(draws.max()), beside
        self.late = owed if beside and bool(owed.any()) and bool(((draws > 0) & ~owed).any()) else None
        # (most, B, V) each: of the plain readings, and of the tempered ones if they differ.
        self.shelves: list[Tensor] = []
        self.steps = list[Reading]()
        self.tokens, self.chances, self.drafted = (list[Tensor]() for _ in range(3))

    def keep(self, q: Reading) -> Reading:
        """The next step's reading ``(B, V)``, where it will lie."""
        if self.beside:
            given = [q.plain] if q.tempered is q.plain else [q.plain, q.tempered]
            self.shelves = self.shelves or [x.new_empty(self.most, *x.shape) for x in given]
            if self.late is not None:
                return self.aligned(q, given)
            kept = [shelf[len(self.tokens)].copy_(x) for shelf, x in zip(self.shelves, given, strict=True)]
            q = Reading(kept[0], kept[-1])
        self.steps.append(q)
        return q

    def aligned(self, q: Reading, given: list[Tensor]) -> Reading:
        """Put every row's reading where its own draft is; a late row's first, which belongs to none, is overwritten by its second."""
        assert self.late is not None
        device = q.plain.device
        slots = upload((len(self.tokens) - self.late.long()).clamp_min(0), device)
        for shelf, x in zip(self.shelves, given, strict=True):
            shelf[slots, ordinals(len(slots), device)] = x
        self.steps = [q]
        return q

    def add(self, token: Tensor, drafted: Tensor) -> Tensor:
        """The token drawn from that reading, and the rows for which it is a draft; the others' settles a debt. q* of it."""
        chance = self.steps[-1].tempered.gather(1, token.unsqueeze(-1)).squeeze(-1)
        self.tokens.append(token)
        self.chances.append(chance)
        self.drafted.append(drafted)
        return chance

    def drafts(self, count: Tensor, device: torch.device) -> Drafts:
        """What each row has drafted, ``count (B,)`` tokens; rows whose first draw settled a debt start one step late."""
        n, late = int(count.max()), torch.zeros_like(count)
        if n == 0:
            empty = torch.zeros(len(count), 0, dtype=torch.long, device=device)
            return Drafts(empty, empty.float(), count, [], late)
        late = (~self.drafted[0] & (count > 0)).long()
        first = int((late >= (count > 0)).all())  # 1 where nobody's first draw was a draft
        late, made = (late - first).clamp_min(0), len(self.tokens) - first
        tokens, chances = torch.stack(self.tokens[first:], 1), torch.stack(self.chances[first:], 1)
        if bool(late.any()) or made != n:
            column = upload((late.unsqueeze(-1) + torch.arange(n)).clamp(max=made - 1), device)
            tokens, chances = tokens.gather(1, column), chances.gather(1, column)
        if self.late is not None:  # each lies at its own place already
            shelves = [shelf[:n].transpose(0, 1) for shelf in self.shelves]
            return Drafts(tokens, chances, count, [], torch.zeros_like(late), Reading(shelves[0], shelves[-1]))
        shelves = [shelf[first : first + made].transpose(0, 1) for shelf in self.shelves]
        together = Reading(shelves[0], shelves[-1]) if shelves else None
        return Drafts(tokens, chances, count, self.steps[first:], late, together)
