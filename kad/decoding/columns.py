"""Streamers and stopping criteria, which expect all rows to grow in lockstep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import StoppingCriteria

from .journal import Journal


def frontier(lengths: Tensor, done: Tensor) -> int:
    """How many columns every running row has reached; when none is running, all columns."""
    return int(lengths.max() if bool(done.all()) else lengths[~done].min())


class Columns:
    """Shows the columns that every running row has reached, one at a time and always the full batch.

    Rows of one batch are at different places, but a stateful criterion must see each column of each row once, in
    order. A row that a criterion ends is cut right there; what it had decoded beyond is dropped.
    """

    def __init__(self, criteria: Sequence[Any], streamer: Any, pad: int) -> None:
        self.criteria, self.streamer, self.pad, self.shown = criteria, streamer, pad, 0

    def __call__(self, journal: Journal) -> Tensor | None:
        lengths, stopped = journal.length.clone(), torch.zeros_like(journal.done)
        while self.shown < frontier(lengths, journal.done | stopped):
            column, alive = journal.width + self.shown, lengths > self.shown
            journal.text[(~alive).nonzero().squeeze(-1).to(journal.text.device), column] = self.pad
            self.shown += 1
            if self.streamer is not None:
                if hasattr(self.streamer, "put_origin"):
                    self.streamer.put_origin(journal.origins[:, self.shown - 1])
                self.streamer.put(journal.text[:, column].cpu())
            ids = journal.text[:, : column + 1]
            for criterion in self.criteria:
                done = criterion(ids, None)
                done = done.cpu() if isinstance(done, Tensor) else torch.full_like(alive, bool(done))
                stopped |= done & alive
                lengths = torch.where(done & alive, self.shown, lengths)
        return torch.where(stopped, lengths, torch.iinfo(torch.long).max) if bool(stopped.any()) else None


class StopStrings(StoppingCriteria):
    """Ends a row once its decoded continuation contains one of the strings.

    Hugging Face's own criterion matches against the spelling of every token of the vocabulary, which a word-level
    tokenizer does not have; decoding the last few tokens works for all.
    """

    def __init__(self, tokenizer: Any, strings: str | Sequence[str]) -> None:
        self.tokenizer, self.strings = tokenizer, [strings] if isinstance(strings, str) else list(strings)
        if not self.strings or not all(self.strings):
            raise ValueError("stop_strings must be non-empty strings.")
        # A character is at most four tokens (bytes); the string must have begun within this many.
        self.reach = 4 * max(map(len, self.strings)) + 4
        self.start: int | None = None

    def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
        if self.start is None:
            self.start = input_ids.shape[1] - 1
        tail = input_ids[:, max(self.start, input_ids.shape[1] - self.reach) :]
        texts = self.tokenizer.batch_decode(tail, skip_special_tokens=True)
        return torch.tensor([any(stop in text for stop in self.strings) for text in texts])
