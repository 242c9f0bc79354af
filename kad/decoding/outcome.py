"""What a round decides: computed where the models are, known to the host in one copy."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..transfers import fetch


@dataclass(frozen=True)
class Settled:
    """The tokens that had been owed, drawn now.

    Attributes:
        where: ``(B,)``, the rows; on the CPU.
        token, origin, alpha: ``(B,)``, and whose it is, and the deferred mass there.
    """

    where: Tensor
    token: Tensor
    origin: Tensor
    alpha: Tensor


@dataclass(frozen=True)
class Outcome:
    """What became of the drafts, and the token behind those that stand, whatever a row makes of it.

    Attributes:
        tokens, chances, ratio: ``(B, n)``, the drafts, q* of each, and the chance with which each stands.
        alpha: ``(B, n + 1)``, the deferred mass.
        accepted: ``(B,)``, how many stand.
        token: ``(B,)``, the replacement of the first that falls, or the last token.
        keep: ``(B,)``, whether a last token stands without q*.
        origin: ``(B,)``, whose a replacement is; a last token that stands is the base's.
    """

    tokens: Tensor
    chances: Tensor
    ratio: Tensor
    alpha: Tensor
    accepted: Tensor
    token: Tensor
    keep: Tensor
    origin: Tensor


@dataclass(frozen=True)
class Read:
    """One probability of every reading: a NaN spreads over the softmax, so one token tells.

    Attributes:
        name: the model's role.
        first: ``(B, n)``.
        needed: ``(B, n)``, the places that count; on the CPU.
    """

    name: str
    first: Tensor
    needed: Tensor

    def check(self, first: Tensor, rows: Tensor) -> None:
        """Raise a ValueError if one that counts is NaN; ``first`` on the CPU, ``rows`` the rows' numbers."""
        bad = (torch.isnan(first) & self.needed).any(-1)
        if bool(bad.any()):
            raise ValueError(
                f"the {self.name} model returned NaN or infinite logits for row {int(rows[bad][0])}; check its "
                "weights and dtype, and that no logits processor forbids every token."
            )


def learned(
    outcome: Outcome | None, settled: Settled | None, reads: list[Read], rows: Tensor
) -> tuple[Outcome | None, Settled | None]:
    """The same on the CPU, by one copy, once the readings have been checked.

    Raises:
        ValueError: a reading is NaN.
    """
    first, second = ([] if x is None else list(vars(x).values()) for x in (outcome, settled))
    found = fetch(*first, *second, *(read.first for read in reads))
    for read, seen in zip(reads, found[len(first) + len(second) :], strict=True):
        read.check(seen, rows)
    there = found[: len(first)], found[len(first) : len(first) + len(second)]
    return (Outcome(*there[0]) if first else None), (Settled(*there[1]) if second else None)


def before_stop(stop: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """How many drafts of each row there are up to a stop token, and whether the last of them is one; ``(B,)``.

    ``stop (B, n)`` says which are stop tokens, of which the first ``count (B,)`` count. Nothing follows a stop token, so what was
    drafted behind one never was.
    """
    if not bool(stop.any()):
        return count, torch.zeros_like(count, dtype=torch.bool)
    real = stop & (torch.arange(stop.shape[1]) < count.unsqueeze(-1))
    some = real.any(-1)
    return torch.where(some, real.int().argmax(-1) + 1, count), some
