"""The places that a reading is about: which text stands before each, and which of them count."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .journal import Journal


@dataclass(frozen=True)
class Places:
    """Places of some rows of a journal.

    Attributes:
        journal: where the texts are.
        rows: ``(B,)``, numbers of the rows in the original batch.
        lengths: ``(B, n)``, the length of the text before each place, as Hugging Face lays it out.
        needed: ``(B, n)``, the places that count: not those of rows that are done or wait, nor after a drafted stop token.
    """

    journal: Journal
    rows: Tensor
    lengths: Tensor
    needed: Tensor

    def text(self, length: int) -> Tensor:
        """The first ids of every row, ``(B, length)``; a row that is not that long yet is shown as if it had ended."""
        journal, device = self.journal, self.journal.text.device
        ids = journal.text[self.rows.to(device), :length]
        emitted = journal.width + journal.length[self.rows]
        real = torch.where(self.needed, self.lengths, emitted.unsqueeze(-1)).amax(-1)
        if bool((real >= length).all()):
            return ids
        column, real = torch.arange(length, device=device), real.to(device).unsqueeze(-1)
        ids.masked_fill_(column >= real, journal.pad)
        if len(journal.stops):
            goes_on = ~journal.done[self.rows].to(device).unsqueeze(-1)
            ids.masked_fill_((column == real) & goes_on, int(journal.stops[0]))
        return ids

    def groups(self) -> list[tuple[int, Tensor, Tensor]]:
        """Per distinct length of what counts: the length, and the rows and columns of these places."""
        row, column = self.needed.nonzero(as_tuple=True)
        found, lengths = [], self.lengths[row, column]
        for length in sorted(set(lengths.tolist())):
            here = lengths == length
            found.append((length, row[here], column[here]))
        return found
