"""Streamers and stopping criteria, which expect all rows to grow in lockstep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import StoppingCriteria

from ..vocabulary import special_ids
from .journal import Journal


def reached(lengths: Tensor, done: Tensor) -> int:
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
        while self.shown < reached(lengths, journal.done | stopped):
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
    """Ends a row once the text of its continuation contains one of the strings.

    The text is read as it is shown, and without clean-up of spaces; both without special tokens, and with them written out.
    What the prompt ends with does not count, but stands in front: alone, a decoder would drop the first word's space.

    Hugging Face's own criterion matches against the spelling of every token of the vocabulary, which a word-level
    tokenizer does not have; decoding the last few tokens works for all.

    >>> import kad
    >>> tokenizer = kad.demo.load().tokenizer
    >>> ends = StopStrings(tokenizer, [" then"])
    >>> [bool(ends(torch.tensor([tokenizer("first 6 . then 7").input_ids[:n]]), None)) for n in (3, 4, 5)]
    [False, False, True]
    """

    def __init__(self, tokenizer: Any, strings: str | Sequence[str]) -> None:
        self.tokenizer, self.strings = tokenizer, [strings] if isinstance(strings, str) else list(strings)
        if not self.strings or not all(isinstance(string, str) and string for string in self.strings):
            raise ValueError("stop_strings must be non-empty strings.")
        # A character is at most four tokens (bytes); the string must have begun within this many that show something.
        self.reach = 4 * max(map(len, self.strings)) + 4
        self.special = special_ids(tokenizer)
        self.rows: list[Tail] | None = None
        self.width = 0

    def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
        if self.rows is None:
            self.width = input_ids.shape[1] - 1
            self.rows = [Tail(self.front(prompt)) for prompt in input_ids[:, : self.width].tolist()]
        new, self.width = input_ids[:, self.width :].tolist(), input_ids.shape[1]
        return torch.tensor([self.ends(row, ids) for row, ids in zip(self.rows, new, strict=True)])

    def front(self, prompt: list[int]) -> list[int]:
        """The last token of a prompt that shows something; none if there is none."""
        return next(([i] for i in reversed(prompt) if i not in self.special), [])

    def ends(self, row: Tail, ids: list[int]) -> bool:
        """Tell a row its next tokens; whether its text now contains one of the strings."""
        row.written += ids
        row.shown += [i for i in ids if i not in self.special]
        texts = []
        if ids[-1] not in self.special:  # else what is shown is as it was
            texts.append(self.text(row.shown, row.front, skip_special_tokens=True, clean_up_tokenization_spaces=False))
            if getattr(self.tokenizer, "clean_up_tokenization_spaces", False):
                texts.append(self.text(row.shown, row.front, skip_special_tokens=True))
        if not self.special.isdisjoint(row.written[-self.reach :]):  # else it is the same text
            texts.append(
                self.text(row.written, row.front, skip_special_tokens=False, clean_up_tokenization_spaces=False)
            )
        return any(stop in text for stop in self.strings for text in texts)

    def text(self, ids: list[int], front: int, **options: Any) -> str:
        """The text of the last tokens in reach, with the one before them in front and cut off again."""
        first = max(0, len(ids) - self.reach - 1)
        before = 1 if first else front
        whole = self.tokenizer.decode(ids[first:], **options)
        return cut(whole, self.tokenizer.decode(ids[first : first + before], **options) if before else "")


class Tail:
    """The tokens of a row's continuation: all of them, and those that show something, after one of the prompt's."""

    def __init__(self, front: list[int]) -> None:
        self.front, self.written, self.shown = len(front), list(front), list(front)


def in_common(one: str, other: str) -> int:
    """How many characters two texts begin with in common.

    >>> in_common("a word", "a work")
    5
    """
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def cut(whole: str, lead: str) -> str:
    """What follows a lead; a character that has begun in it belongs to it.

    >>> cut("a word", "a"), cut("é!", "\ufffd")
    (' word', '!')
    """
    if whole.startswith(lead):
        return whole[len(lead) :]
    return whole[in_common(whole, lead) + 1 :]
