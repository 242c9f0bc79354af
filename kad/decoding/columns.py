"""Streamers and stopping criteria, which expect all rows to grow in lockstep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .loop import State


class Columns:
    """Shows the columns that every running row has reached, one at a time and always the full batch.

    Rows of one batch are at different places, but a stateful criterion must see each column of each row once, in
    order. A row that a criterion ends is cut right there; what it had decoded beyond is dropped.
    """

    def __init__(self, criteria: Sequence[Any], streamer: Any, pad: int) -> None:
        self.criteria, self.streamer, self.pad, self.shown = criteria, streamer, pad, 0

    def __call__(self, state: State) -> Tensor | None:
        lengths, stopped = state.length.clone(), torch.zeros_like(state.done)
        while self.shown < int(lengths[~(state.done | stopped)].min() if not (state.done | stopped).all() else lengths.max()):
            column, alive = state.width + self.shown, lengths > self.shown
            state.text[(~alive).nonzero().squeeze(-1).to(state.text.device), column] = self.pad
            self.shown += 1
            if self.streamer is not None:
                self.streamer.put(state.text[:, column].cpu())
            ids = state.text[:, : column + 1]
            for criterion in self.criteria:
                done = criterion(ids, None)
                done = done.cpu() if isinstance(done, Tensor) else torch.full_like(alive, bool(done))
                stopped |= done & alive
                lengths = torch.where(done & alive, self.shown, lengths)
        return torch.where(stopped, lengths, torch.iinfo(torch.long).max) if bool(stopped.any()) else None
