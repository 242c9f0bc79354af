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
        count: ``(B,)``, how many tokens each row has drafted.
        late: ``owed``, where some rows' first draw is a draft and others' is not; else None.
    """

    def __init__(self, draws: Tensor, owed: Tensor, beside: bool) -> None:
        self.most, self.beside, self.count = int(draws.max()), beside, torch.zeros_like(draws)
        self.late = owed if beside and bool(owed.any()) and bool(((draws > 0) & ~owed).any()) else None
        # (most, B, V) each: of the tempered readings, and of the plain ones if they differ.
        self.shelves = dict[str, Tensor]()
        self.steps = list[Reading]()
        self.tokens, self.drafted = list[Tensor](), list[Tensor]()

    def room(self, which: str, logits: Tensor) -> Tensor | None:
        """Where the next step's reading is put, ``(B, 1, V)``; None where that is all the same."""
        if not self.beside or self.late is not None:
            return None
        return self.shelf(which, logits)[len(self.tokens)].unsqueeze(1)

    def shelf(self, which: str, like: Tensor) -> Tensor:
        """The room of all steps' readings."""
        if which not in self.shelves:
            self.shelves[which] = like.new_empty(self.most, len(like), like.shape[-1])
        return self.shelves[which]

    def keep(self, q: Reading) -> Reading:
        """The next step's reading ``(B, V)``, where it lies from now on.

        Where some rows are late each lies where its own draft is; a late row's first, which belongs to none, is overwritten.
        """
        if self.late is None:
            self.steps.append(q)
            return q
        slots = upload((len(self.tokens) - self.late.long()).clamp_min(0), q.plain.device)
        given = {"tempered": q.tempered} | ({} if q.plain is q.tempered else {"plain": q.plain})
        for which, x in given.items():
            self.shelf(which, x)[slots, ordinals(len(slots), x.device)] = x
        self.steps = [q]
        return q

    def add(self, token: Tensor, drafted: Tensor) -> None:
        """The token drawn from that reading, and the rows for which it is a draft; the others' settles a debt."""
        self.tokens.append(token)
        self.drafted.append(drafted)
        self.count = self.count + drafted

    def chance(self) -> Tensor:
        """q* of the token drawn last, ``(B,)``."""
        return self.steps[-1].tempered.gather(1, self.tokens[-1].unsqueeze(-1)).squeeze(-1)

    def drafts(self, device: torch.device) -> Drafts:
        """What each row has drafted; rows whose first draw settled a debt start one step late."""
        count, late = self.count, torch.zeros_like(self.count)
        n = int(count.max())
        if n == 0:
            empty = torch.zeros(len(count), 0, dtype=torch.long, device=device)
            return Drafts(empty, empty.float(), count, [], late)
        late = (~self.drafted[0] & (count > 0)).long()
        first = int((late >= (count > 0)).all())  # 1 where nobody's first draw was a draft
        late, made = (late - first).clamp_min(0), len(self.tokens) - first
        tokens, column = torch.stack(self.tokens[first:], 1), None
        if bool(late.any()) or made != n:
            column = upload((late.unsqueeze(-1) + torch.arange(n)).clamp(max=made - 1), device)
        if self.late is not None:  # each reading lies at its own place already
            own, together = in_step(tokens, column), self.together(0, n)
            return Drafts(own, chances_of(own, together), count, [], torch.zeros_like(late), together)
        steps, whole = self.steps[first:], self.together(first, made) if self.shelves else None
        if whole is not None:
            chances = chances_of(tokens, whole)
        else:
            found = (
                step.tempered.gather(1, x.unsqueeze(-1)) for step, x in zip(steps, self.tokens[first:], strict=True)
            )
            chances = torch.cat(list(found), 1)
        return Drafts(in_step(tokens, column), in_step(chances, column), count, steps, late, whole)

    def together(self, first: int, many: int) -> Reading:
        """The readings of some steps beside each other, ``(B, many, V)``."""
        lie = {which: shelf[first : first + many].transpose(0, 1) for which, shelf in self.shelves.items()}
        return Reading(lie.get("plain", lie["tempered"]), lie["tempered"])


def in_step(x: Tensor, column: Tensor | None) -> Tensor:
    """``(B, steps)`` with every row's own first draft in column 0."""
    return x if column is None else x.gather(1, column)


def chances_of(tokens: Tensor, reading: Reading) -> Tensor:
    """q* of tokens ``(B, n)`` in readings at the same places."""
    return reading.tempered.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
