"""From a lane's logits to the distributions that rules and draws read: processors, temperature, forbidden ids."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import LogitsProcessor, TemperatureLogitsWarper

from ..decisions import Reading
from .kernels import PLAIN, Kernels

# Processors that look at the scores alone: they take all positions of all rows in one call.
PREFIX_FREE = (
    "TemperatureLogitsWarper", "TopKLogitsWarper", "TopPLogitsWarper", "MinPLogitsWarper", "TypicalLogitsWarper",
    "EpsilonLogitsWarper", "EtaLogitsWarper", "TopHLogitsWarper", "InfNanRemoveLogitsProcessor",
    "SuppressTokensLogitsProcessor",
)  # fmt: skip


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn.

    Attributes:
        sample: False for greedy decoding.
        processors: Hugging Face logits processors in their order, temperature included; they see the base's ids.
        forbidden: from this id on tokens are padding of the vocabulary, masked in both models before the rule.
        both: read the distributions without the temperature too (placements other than "models").
        kernels: whose softmax to use.
    """

    sample: bool = True
    processors: Sequence[LogitsProcessor] = ()
    forbidden: int | None = None
    both: bool = False
    kernels: Kernels = PLAIN

    @property
    def temperature(self) -> float:
        value = 1.0
        for processor in self.processors:
            if isinstance(processor, TemperatureLogitsWarper):
                value *= float(processor.temperature)
        return value if self.sample else 1.0

    @property
    def reads_prefix(self) -> bool:
        """Whether a processor looks at the ids, and may keep state per row."""
        return any(type(p).__name__ not in PREFIX_FREE for p in self.processors)

    def read(self, logits: Tensor, prefix: Callable[[int], Tensor], lengths: Tensor, filtered: bool = True) -> Reading:
        """The reading of ``logits (B, n, V)``.

        Args:
            logits: raw, any float dtype.
            prefix: ``prefix(l)`` gives the first l ids of every row as Hugging Face lays them out, ``(B, l)``.
            lengths: ``(B, n)``, the length of the prefix before each position.
            filtered: False for a reference model: temperature, but no truncation.
        """
        if logits.dtype in (torch.float16, torch.bfloat16):
            logits = logits.float()
        if self.forbidden is not None and self.forbidden < logits.shape[-1]:
            logits = logits.clone()
            logits[..., self.forbidden :] = -torch.inf
        warm = [p for p in self.processors if not isinstance(p, TemperatureLogitsWarper)] if filtered else []
        heated = self.temperature != 1.0
        if heated and not warm:
            tempered = self.kernels.softmax(logits, self.temperature)
        else:
            active = self.processors if heated else warm  # in their own order: HF truncates after the temperature
            tempered = self.kernels.softmax(apply(active, logits, prefix, lengths), 1.0)
        if not (self.both and heated):
            return Reading(tempered, tempered)
        return Reading(self.kernels.softmax(apply(warm, logits, prefix, lengths), 1.0), tempered)


def apply(
    processors: Sequence[LogitsProcessor], logits: Tensor, prefix: Callable[[int], Tensor], lengths: Tensor
) -> Tensor:
    """Run the processors over ``logits (B, n, V)``, with the right prefix for every row and position.

    A processor that reads the prefix is called once per distinct length, always with the full batch, because it may
    keep state per row.
    """
    rows, positions, vocabulary = logits.shape
    for processor in processors:
        if type(processor).__name__ in PREFIX_FREE:
            flat = logits.reshape(rows * positions, vocabulary)
            ids = lengths.new_zeros(flat.shape[0], 1).to(logits.device)
            logits = processor(ids, flat).reshape(rows, positions, vocabulary)
            continue
        out = logits.clone()
        for length in sorted(set(lengths.flatten().tolist())):
            here = lengths == length
            column = here.int().argmax(-1).to(logits.device)
            scores = logits[torch.arange(rows, device=logits.device), column]
            done = processor(prefix(length), scores)
            row, position = (x.to(logits.device) for x in here.nonzero(as_tuple=True))
            out[row, position] = done[row]
        logits = out
    return logits
