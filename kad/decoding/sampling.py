"""From a lane's logits to the distributions that rules and draws read: processors, temperature, forbidden ids."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import LogitsProcessor, TemperatureLogitsWarper

from ..arithmetic import TORCH, Arithmetic
from ..decisions import Reading
from .journal import Places
from .processors import PREFIX_FREE, ask

# Where a distribution is put, "plain" or "tempered", from logits of its shape and dtype; None where that is all the same.
Room = Callable[[str, Tensor], Tensor | None]


def anywhere(which: str, logits: Tensor) -> None:
    return None


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn.

    Attributes:
        sample: False for greedy decoding.
        processors: Hugging Face logits processors in their order, temperature included; they see the base's ids.
        forbidden: from this id on tokens are padding of the vocabulary, masked in both models before the rule.
        both: read the distributions without the temperature too (placements other than "models").
        arithmetic: the machine's.
        known: processors that have answered the first question twice, and alike.
    """

    sample: bool = True
    processors: Sequence[LogitsProcessor] = ()
    forbidden: int | None = None
    both: bool = False
    arithmetic: Arithmetic = TORCH
    known: set[int] = field(default_factory=set, compare=False)

    @property
    def temperature(self) -> float:
        heats = (float(p.temperature) for p in self.processors if isinstance(p, TemperatureLogitsWarper))
        return math.prod(heats, start=1.0) if self.sample else 1.0

    @property
    def reads_prefix(self) -> bool:
        """Whether a processor looks at the ids, and may keep state per row."""
        return any(type(p) not in PREFIX_FREE for p in self.processors)

    def read(
        self, logits: Tensor, places: Places | None = None, filtered: bool = True, room: Room = anywhere
    ) -> Reading:
        """The reading of ``logits (B, n, V)``.

        Args:
            logits: raw, any float dtype.
            places: what they are about; processors that read no text do without.
            filtered: False for a reference model: temperature, but no truncation.
            room: where the distributions are put, if that is not all the same.
        """
        if logits.dtype in (torch.float16, torch.bfloat16):
            logits = logits.float()
        if self.forbidden is not None and self.forbidden < logits.shape[-1]:
            logits = logits.clone()
            logits[..., self.forbidden :] = -torch.inf
        warm = [p for p in self.processors if not isinstance(p, TemperatureLogitsWarper)] if filtered else []
        heated = self.temperature != 1.0
        if heated and not warm:
            tempered = self.arithmetic.softmax(logits, self.temperature, room("tempered", logits))
        else:
            active = self.processors if heated else warm  # in their own order: HF truncates after the temperature
            hot = self.apply(active, logits, places)
            tempered = self.arithmetic.softmax(hot, 1.0, room("tempered", hot))
        if not (self.both and heated):
            return Reading(tempered, tempered)
        cold = self.apply(warm, logits, places)
        return Reading(self.arithmetic.softmax(cold, 1.0, room("plain", cold)), tempered)

    def apply(self, processors: Sequence[LogitsProcessor], logits: Tensor, places: Places | None) -> Tensor:
        """Run the processors over ``logits (B, n, V)``, with the right text for every place.

        One that reads the text is called once per distinct length, always with the full batch, because rows may mean
        something to it. What it says of places that do not count is left out.
        """
        for processor in processors:
            if type(processor) in PREFIX_FREE:
                flat = logits.reshape(-1, logits.shape[-1])
                ids = torch.zeros(flat.shape[0], 1, dtype=torch.long, device=logits.device)
                logits = processor(ids, flat).reshape(logits.shape)
                continue
            assert places is not None
            out, device = logits.clone(), logits.device
            for length, row, column in places.groups():
                at = torch.zeros(len(logits), dtype=torch.long).scatter_(0, row, column).to(device)
                scores = logits[torch.arange(len(logits), device=device), at]
                twice = id(processor) not in self.known
                done = ask(processor, places.text(length), scores, row.tolist(), twice)
                self.known.add(id(processor))
                row, column = row.to(device), column.to(device)
                out[row, column] = done[row]
            logits = out
        return logits
