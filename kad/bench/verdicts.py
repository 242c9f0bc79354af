"""One sequence of verdicts for everybody: random weights say nothing about acceptance, and at equal verdicts runs compare."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from transformers.generation import utils

from ..chances import Sampled, passed
from ..transfers import upload


@dataclass(frozen=True)
class Prescribed:
    """What becomes of drafts and of a round's last token, whatever the models say; by row and by the place where a round begins.

    Attributes:
        accepted: ``(B, tokens)``, how many drafts stand, if so many are made.
        kept: ``(B, tokens)``, whether the base's draw of the last token is kept.
    """

    accepted: Tensor
    kept: Tensor

    @classmethod
    def drawn(cls, rows: int, tokens: int, acceptance: float, deferral: float, seed: int) -> Prescribed:
        """Every draft is accepted with the one chance, every last token deferred with the other.

        >>> Prescribed.drawn(1, 3, 1.0, 0.0, seed=0).accepted.tolist()
        [[3, 3, 3]]
        """
        generator = torch.Generator().manual_seed(seed)
        coins = torch.rand(rows, tokens, tokens, generator=generator) < acceptance
        return cls(passed(coins), torch.rand(rows, tokens, generator=generator) >= deferral)


class Synthetic(Sampled):
    """Draws that cost what they cost, and verdicts that were given beforehand."""

    def __init__(self, verdicts: Prescribed) -> None:
        super().__init__()
        self.verdicts = verdicts

    def about(self, rows: Tensor, place: Tensor, where: Tensor, what: str, step: int = 0) -> None:
        last = self.verdicts.kept.shape[1] - 1
        self.at = rows.cpu(), place.cpu().clamp(max=last)  # a row that has ended asks too

    def leading(self, probability: Tensor) -> Tensor:
        super().leading(probability)  # what it costs
        drafted = passed(probability > 0)  # 0 where a row has no draft
        return torch.minimum(upload(self.verdicts.accepted[self.at], probability.device), drafted)

    def coin(self, probability: Tensor) -> Tensor:
        """For the last token of a round: whether the base's draw is kept."""
        super().coin(probability)
        return upload(self.verdicts.kept[self.at], probability.device)


@contextmanager
def prescribing(verdicts: Prescribed | None, prompt: int) -> Iterator[None]:
    """Within it Hugging Face's speculation of one row takes these verdicts too; it computes all that it otherwise would.

    Args:
        verdicts: None leaves it as it is.
        prompt: the prompt's length.
    """
    if verdicts is None:
        yield
        return
    right, accepted = utils._speculative_sampling, verdicts.accepted[0]

    def told(ids: Tensor, candidate_logits: Tensor, length: int, logits: Tensor, **more: Any) -> tuple[Tensor, Any]:
        right(ids, candidate_logits, length, logits, **more)
        matches = accepted[ids.shape[1] - length - prompt].clamp(max=length)
        token = ids[:, -1:]  # any token: the next one was drawn above
        return torch.cat([ids[:, ids.shape[1] - length :][:, : int(matches)], token], -1), matches

    with patch.object(utils, "_speculative_sampling", told):
        yield
