"""A lane: what one language model has been told, what it has read, and what that cost.

The loop appends tokens (drafts included), asks for logits and truncates; a lane feeds its model exactly the tokens
that it has been told and not yet read, in one pass. So nothing can be fed twice, and a rollback is a length.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from .model import Model


@final
class Lane:
    """One model over a batch of ragged rows. Bookkeeping is on the CPU, tokens on the model's device.

    Attributes:
        tokens: ``(B, capacity)``, prompt and continuation of every row, from column 0.
        prompt: ``(B,)``, prompt lengths.
        known: ``(B,)``, how many tokens of ``tokens`` count.
        read: ``(B,)``, how many of them are in the model's memory.
        rows: ``(B,)``, their numbers in the original batch.
        passes, fed: model calls, and tokens fed per row ``(rows of the original batch,)``.
        coverage: the share of the model's mass that counts; None if all of it does.
    """

    coverage: float | None = None

    def __init__(self, model: Model, prompts: Sequence[Tensor], room: int) -> None:
        self.model, self.name, self.fixed_rows = model, model.name, model.fixed_rows
        self.prompt = torch.tensor([len(p) for p in prompts])
        capacity = int(self.prompt.max()) + room
        self.tokens = torch.zeros(len(prompts), capacity, dtype=torch.long, device=model.device)
        for row, p in enumerate(prompts):
            self.tokens[row, : len(p)] = p.to(model.device)
        self.known, self.read = self.prompt.clone(), torch.zeros_like(self.prompt)
        self.rows = torch.arange(len(prompts))
        self.passes, self.fed = 0, torch.zeros_like(self.prompt)

    def append(self, token: Tensor, where: Tensor) -> None:
        """Tell the lane one more token of the rows ``where`` (a CPU mask)."""
        device = self.tokens.device
        at = self.known.clamp(max=self.tokens.shape[1] - 1).unsqueeze(-1).to(device)
        told = token.to(device).unsqueeze(-1)
        if not bool(where.all()):
            told = torch.where(where.to(device).unsqueeze(-1), told, self.tokens.gather(1, at))
        self.tokens.scatter_(1, at, told)
        self.known += where

    def truncate(self, continuation: Tensor) -> None:
        """Forget everything after the first ``continuation (B,)`` tokens of every row's continuation."""
        self.known = torch.minimum(self.known, self.prompt + continuation)
        self.read = torch.minimum(self.read, self.known)
        self.model.rollback(self.read)

    def logits(self, where: Tensor, keep: int) -> Tensor:
        """Feed what the rows ``where`` have not read; their last ``keep`` logits, ``(B, keep, V)``, right-aligned.

        Rows shorter than the widest stand at the right, so that one ``keep`` serves all of them.
        """
        widths = self.known - self.read
        if not bool(where.all()):
            widths = torch.where(where, widths, 0)
        width = int(widths.max())
        column = torch.arange(width).unsqueeze(0)
        positions = self.known.unsqueeze(-1) - width + column
        valid = column >= (width - widths).unsqueeze(-1)
        if not bool(valid.all()):
            positions = torch.where(valid, positions, 0)
        tokens = self.tokens.gather(1, positions.to(self.tokens.device))
        out = self.model.run(tokens, positions, valid, min(keep, width))[..., : self.model.vocabulary]
        self.read = torch.where(where, self.known, self.read)
        self.passes += 1
        self.fed[self.rows] += widths
        return out

    def select(self, index: Tensor) -> None:
        """Keep only these rows; finished rows then cost nothing."""
        self.tokens = self.tokens[index.to(self.tokens.device)]
        self.prompt, self.known, self.read = self.prompt[index], self.known[index], self.read[index]
        self.rows = self.rows[index]
        self.model.select(index)
