"""A lane: one language model, what it has been told and what it has in its memory.

The loop appends tokens (drafts included), asks for logits and truncates; a lane feeds its model exactly the tokens
that it has been told and not yet read, in one pass. So nothing can be fed twice, and a rollback is a length.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor


class Lane(ABC):
    """One model over a batch of ragged rows. Bookkeeping is on the CPU, tokens on the model's device.

    Attributes:
        tokens: ``(B, capacity)``, prompt and continuation of every row, from column 0.
        prompt: ``(B,)``, prompt lengths.
        known: ``(B,)``, how many tokens of ``tokens`` count.
        read: ``(B,)``, how many of them are in the model's memory.
        passes, fed: model calls, and tokens fed per row ``(rows of the original batch,)``.
    """

    name: str
    vocabulary: int
    fixed_rows: bool = False  # rows cannot be dropped while it runs

    def __init__(self, name: str, prompts: Sequence[Tensor], room: int, device: torch.device) -> None:
        self.name, self.device = name, device
        self.prompt = torch.tensor([len(p) for p in prompts])
        self.tokens = torch.zeros(len(prompts), int(self.prompt.max()) + room, dtype=torch.long, device=device)
        for row, p in enumerate(prompts):
            self.tokens[row, : len(p)] = p.to(device)
        self.known, self.read = self.prompt.clone(), torch.zeros_like(self.prompt)
        self.rows = torch.arange(len(prompts))
        self.passes, self.fed = 0, torch.zeros_like(self.prompt)

    @abstractmethod
    def forward(self, tokens: Tensor, positions: Tensor, valid: Tensor, keep: int) -> Tensor:
        """Feed ``tokens (B, W)`` at ``positions (B, W)`` where ``valid``; the logits of the last ``keep`` columns."""

    @abstractmethod
    def forget(self) -> None:
        """Called when ``read`` has shrunk."""

    @abstractmethod
    def select_memory(self, index: Tensor) -> None:
        """Keep only these rows of the model's memory."""

    def append(self, token: Tensor, where: Tensor) -> None:
        """Tell the lane one more token of the rows ``where`` (a CPU mask)."""
        at = self.known.clamp(max=self.tokens.shape[1] - 1).unsqueeze(-1).to(self.device)
        told = token.to(self.device).unsqueeze(-1)
        if not bool(where.all()):
            told = torch.where(where.to(self.device).unsqueeze(-1), told, self.tokens.gather(1, at))
        self.tokens.scatter_(1, at, told)
        self.known += where

    def truncate(self, continuation: Tensor) -> None:
        """Forget everything after the first ``continuation (B,)`` tokens of every row's continuation."""
        self.known = torch.minimum(self.known, self.prompt + continuation)
        self.read = torch.minimum(self.read, self.known)
        self.forget()

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
        tokens = self.tokens.gather(1, positions.to(self.device))
        out = self.forward(tokens, positions, valid, min(keep, width))[..., : self.vocabulary]
        self.read = torch.where(where, self.known, self.read)
        self.passes += 1
        self.fed[self.rows] += widths
        return out

    def select(self, index: Tensor) -> None:
        """Keep only these rows; finished rows then cost nothing."""
        self.tokens = self.tokens[index.to(self.device)]
        self.prompt, self.known, self.read = self.prompt[index], self.known[index], self.read[index]
        self.rows = self.rows[index]
        self.select_memory(index)


class TableLane(Lane):
    """A tabular model: the next-token logits depend on the last ``order`` tokens. Its law can be enumerated.

    Attributes:
        table: ``(V,) * order + (V,)`` logits; contexts before the beginning count as token 0.
    """

    def __init__(self, name: str, table: Tensor, prompts: Sequence[Tensor], room: int) -> None:
        super().__init__(name, prompts, room, table.device)
        self.table, self.order, self.vocabulary = table, table.ndim - 1, table.shape[-1]

    def forward(self, tokens: Tensor, positions: Tensor, valid: Tensor, keep: int) -> Tensor:
        context = []
        for back in range(self.order):
            at = positions[:, -keep:] - back
            context.append(torch.where(at >= 0, self.tokens.gather(1, at.clamp_min(0)), 0))
        return self.table[tuple(reversed(context))]

    def forget(self) -> None:
        pass

    def select_memory(self, index: Tensor) -> None:
        pass
