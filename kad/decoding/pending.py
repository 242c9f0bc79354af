"""What a round carries from its draft to its verification, and from there to the next draft."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..mixture import Reading


@dataclass(frozen=True)
class Drafts:
    """Drafted tokens and the proxy's readings that they were drawn from, left-aligned.

    Attributes:
        tokens: ``(B, n)``.
        count: ``(B,)``, how many of them each row has; on the CPU.
        reading: q* at every place, ``(B, n, V)``; None when n = 0.
    """

    tokens: Tensor
    count: Tensor
    reading: Reading | None

    @property
    def width(self) -> int:
        return self.tokens.shape[1]


def align(steps: list[tuple[Tensor, Tensor, Reading]], count: Tensor) -> Drafts:
    """Collect the steps ``(token, drafted, reading)``; a row whose first draw settled a debt starts one step late."""
    n = int(count.max())
    if n == 0:
        return Drafts(count.new_zeros(len(count), 0), count, None)
    tokens = torch.stack([token for token, _, _ in steps], 1)
    plain = torch.stack([reading.plain for _, _, reading in steps], 1)
    same = steps[0][2].tempered is steps[0][2].plain
    tempered = plain if same else torch.stack([reading.tempered for _, _, reading in steps], 1)
    late = (~steps[0][1] & (count > 0)).long()
    if bool(late.any()) or len(steps) != n:
        column = (late.unsqueeze(-1) + torch.arange(n)).clamp(max=len(steps) - 1).to(tokens.device)
        row = torch.arange(len(count), device=tokens.device).unsqueeze(-1)
        tokens, plain = tokens[row, column], plain[row, column]
        tempered = plain if same else tempered[row, column]
    return Drafts(tokens, count, Reading(plain, tempered))


@dataclass(frozen=True)
class Owed:
    """Positions whose token waits for q*.

    Attributes:
        where: ``(B,)``, the rows; on the CPU.
        base, reference: the readings there, ``(B, V)``.
        alpha: ``(B,)``, the deferred mass, NaN where it needs q* too.
    """

    where: Tensor
    base: Reading
    reference: Reading | None
    alpha: Tensor

    def select(self, index: Tensor) -> Owed:
        """Keep only these rows."""
        at = index.to(self.base.plain.device)
        reference = self.reference.at(at) if self.reference is not None else None
        return Owed(self.where[index], self.base.at(at), reference, self.alpha[index])
