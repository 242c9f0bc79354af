"""What a round of the loop costs on a simulated device, at a vocabulary of Qwen's size."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch
from transformers import LlamaConfig, LlamaForCausalLM

import kad
from kad.decoding.loop import Decoder

from .device import Simulated

VOCABULARY = 151_936
LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"  # `make test-long` takes every case, other runs some of each


def peaked(vocabulary: int = VOCABULARY, layers: int = 1, spread: float = 9.0) -> Any:
    """A model that is a few numbers wide and sure of some tokens."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=16, intermediate_size=32, num_hidden_layers=layers, num_attention_heads=4,
        num_key_value_heads=2, bos_token_id=None, eos_token_id=None, pad_token_id=0, initializer_range=0.3,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    head = model.lm_head.weight.data
    head.mul_(spread / head.std() / 4)
    return model


def near(model: Any, noise: float, seed: int = 1) -> Any:
    """A copy whose head is another."""
    other = LlamaForCausalLM(model.config).eval().to(model.dtype)
    other.load_state_dict(model.state_dict())
    head = other.lm_head.weight.data
    drawn = torch.randn(head.shape, generator=torch.Generator().manual_seed(seed), dtype=head.dtype)
    head.add_(noise * head.std() * drawn)
    return other


def prompts(rows: int, vocabulary: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Prompts of 3 to 9 tokens, padded on the left, and their mask."""
    g = torch.Generator().manual_seed(0)
    lengths = [3 + 5 * row % 7 for row in range(rows)]
    ids, mask = (torch.zeros(rows, max(lengths), dtype=torch.long) for _ in range(2))
    for row, n in enumerate(lengths):
        ids[row, -n:] = torch.randint(1, vocabulary, (n,), generator=g)
        mask[row, -n:] = 1
    return ids, mask


@dataclass(frozen=True)
class Cost:
    """Of a round, on average over those between the first and the last.

    Attributes:
        waits: of the host for the device.
        launches: outside the models.
        down: bytes to the host, per row.
        peak: device memory above what was there before, in units of rows · (γ + 1) · V · 4 bytes; of the dearest round.
        at_peak: the line that reached it.
        lines: waits and launches, by line.
    """

    waits: float
    launches: float
    down: float
    peak: float
    at_peak: str
    lines: dict[str, float]


def cost(gpu: Simulated, base: Any, proxy: Any, target: kad.Target, *, rows: int, window: int, **options: Any) -> Cost:
    """Decode, and count."""
    ledger, seen, whole = gpu.ledger, list[tuple[int, int, int, int, str]](), Decoder.round
    lines: dict[str, float] = {}

    def counted(self: Decoder) -> None:
        ledger.clear()
        ledger.mark()
        whole(self)
        waits, launches = ledger.waits.total(), ledger.outside.total()
        seen.append((waits, launches, ledger.down, ledger.above, ledger.at_peak))
        if len(seen) > 1:
            for counter in (ledger.waits, ledger.outside):
                for (line, why), n in counter.items():
                    lines[f"{line} {why}"] = lines.get(f"{line} {why}", 0) + n

    with gpu, mock.patch.object(Decoder, "round", counted):
        ids, mask = prompts(rows, base.config.vocab_size)
        named = {"target": target, "window": window, "max_new_tokens": 4 * (window + 1)} | options
        kad.generate(base, proxy, input_ids=ids, attention_mask=mask, **named)
    middle = seen[1:-1]
    waits, launches, down = (sum(x) / len(middle) for x in list(zip(*middle, strict=True))[:3])
    unit = rows * (window + 1) * base.config.vocab_size * 4
    by_line = {line: n / (len(seen) - 1) for line, n in lines.items()}
    peak, at_peak = max((x[3], x[4]) for x in middle)
    return Cost(waits, launches, down / rows, peak / unit, at_peak, by_line)
