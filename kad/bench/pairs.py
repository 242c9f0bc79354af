"""Pairs of models with random weights at real shapes: speed does not depend on what the weights say."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Any

import torch
from transformers import Olmo2Config, Qwen3Config

from ..loading import model_of, skeleton_of

SHAPE = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
# Of a base and a proxy, from the checkpoints' published configs: allenai/OLMo-2-1124-13B, OLMo-2-0425-1B, Qwen/Qwen3-14B,
# Qwen3-1.7B; and the proportions of OLMo 2, small enough for a CPU: 134 M and 13 M parameters.
PAIRS = {
    "olmo2": [(5120, 13824, 40, 40), (2048, 8192, 16, 16)],
    "qwen3": [(5120, 17408, 40, 40), (2048, 6144, 28, 16)],
    "small": [(832, 2240, 13, 13), (256, 1024, 4, 4)],
}
COMMON = {"max_position_embeddings": 4096, "bos_token_id": None, "eos_token_id": None, "pad_token_id": 0}


@dataclass(frozen=True)
class Models:
    """What is measured: two models and how to speak of them."""

    name: str
    base: Any
    proxy: Any

    @property
    def vocabulary(self) -> int:
        return min(int(m.get_output_embeddings().weight.shape[0]) for m in (self.base, self.proxy))

    @property
    def device(self) -> torch.device:
        return torch.device(self.base.get_input_embeddings().weight.device)


def configs(name: str) -> list[Any]:
    base, proxy = ({**COMMON, **dict(zip(SHAPE, shape, strict=True))} for shape in PAIRS[name])
    if name == "qwen3":
        more = {"vocab_size": 151936, "num_key_value_heads": 8, "head_dim": 128}
        return [
            Qwen3Config(**base, **more, tie_word_embeddings=False),
            Qwen3Config(**proxy, **more, tie_word_embeddings=True),
        ]
    more = {"vocab_size": 100352 if name == "olmo2" else 32000, "tie_word_embeddings": name == "small"}
    return [Olmo2Config(**shape, **more, num_key_value_heads=shape["num_attention_heads"]) for shape in (base, proxy)]


def numbers_of(name: str) -> int:
    """Of both models of a pair; nothing is allocated.

    >>> f"{numbers_of('olmo2') / 1e9:.1f} billion"
    '15.2 billion'
    """
    return sum(p.numel() for config in configs(name) for p in skeleton_of(config).parameters())


def room(device: torch.device) -> int:
    """Bytes of memory: on a card those that are free, of a computer all, as far as it tells."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError):
        return sys.maxsize


def build(name: str, device: str, dtype: torch.dtype, seed: int = 0) -> Models:
    """A pair by name: "small", "olmo2" or "qwen3".

    Raises:
        ValueError: an unknown name, or one that does not fit in the memory.

    >>> [config.num_hidden_layers for config in configs("olmo2")]
    [40, 16]
    """
    if name not in PAIRS:
        raise ValueError(f"the pair must be small, olmo2 or qwen3, got {name!r}; or give --base and --proxy.")
    needed, free = numbers_of(name) * dtype.itemsize, room(torch.device(device))
    if needed > free:
        raise ValueError(
            f"the pair {name} takes {needed / 2**30:.0f} GiB in {str(dtype).removeprefix('torch.')}, and {device} has "
            f"{free / 2**30:.0f} GiB; use --pair small, or another --device."
        )
    models = []
    for config in configs(name):
        torch.manual_seed(seed)
        with torch.device(device):
            models.append(model_of(config, dtype).eval())
    return Models(name, *models)


def weight_bytes(model: Any) -> int:
    """What one pass must read: every weight once, of the input embedding only the rows looked up."""
    head, table = model.get_output_embeddings(), model.get_input_embeddings()
    unread = 0 if head is not None and head.weight is table.weight else table.weight.numel() * table.weight.itemsize
    return int(sum(p.numel() * p.itemsize for p in model.parameters()) - unread)
