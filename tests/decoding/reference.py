"""Greedy texts and log π by the plainest loop: a full pass of each model for every token, one row at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

import kad


def by_full_passes(
    base: Any, proxy: Any, target: kad.Target, prompt: Sequence[int], length: int, stops: Sequence[int] = (2,),
    processors: Sequence[Any] = (), row: int = 0, width: int | None = None, pad: int = 0,
) -> tuple[list[int], torch.Tensor]:  # fmt: skip
    """The continuation of ``prompt`` and log π at each of its places; ``processors`` as Hugging Face calls them on both models.

    The processors see the prompt padded to ``width`` on the left, in row ``row`` of a batch that holds this text alone.
    """
    text, scores = list(prompt), []
    lead = [pad] * ((width or len(prompt)) - len(prompt))
    while len(text) - len(prompt) < length and not (len(text) > len(prompt) and text[-1] in stops):
        ids, seen = torch.tensor([text]), torch.tensor([lead + text] * (row + 1))
        found = []
        for model in (base, proxy):
            with torch.no_grad():
                logits = model(ids).logits[:, -1].double()
            logits = logits.expand(row + 1, -1).clone()
            for processor in processors:
                logits = processor(seen, logits)
            found.append(torch.softmax(logits[row : row + 1], -1))
        pi = target(*found)[0]
        scores.append(pi.log())
        text.append(int(pi.argmax()))
    return text[len(prompt) :], torch.stack(scores)


def continuation(out: kad.Output) -> list[list[int]]:
    """The continuations of every row."""
    return [row[:n].tolist() for row, n in zip(out.trace.ids, out.trace.lengths, strict=True)]
