"""Tiny random models of real families."""

from __future__ import annotations

import copy
import os
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    MambaConfig,
    MistralConfig,
    Olmo2Config,
    PreTrainedModel,
    Qwen3Config,
)

VOCABULARY = 32
# Under this limit torch's own compiler writes kernels for vectors that its headers then do not declare, and stops.
NO_COMPILER = pytest.mark.skipif(
    os.environ.get("ATEN_CPU_CAPABILITY") == "default",
    reason="torch.compile does not build under ATEN_CPU_CAPABILITY=default",
)
SMALL = {
    "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256, "bos_token_id": 1,
    "eos_token_id": 2, "pad_token_id": 0, "tie_word_embeddings": False,
}  # fmt: skip
CONFIGS: dict[str, Any] = {
    "llama": LlamaConfig(**SMALL),
    "qwen3": Qwen3Config(**SMALL, head_dim=8),
    "olmo2": Olmo2Config(**SMALL),
    "mistral": MistralConfig(**SMALL, sliding_window=5),  # every layer slides
    "gemma3": Gemma3TextConfig(  # sliding and full layers in one model
        **{**SMALL, "num_hidden_layers": 4},
        head_dim=8,
        sliding_window=5,
        layer_types=["sliding_attention", "full_attention"] * 2,
    ),
}


def tiny(family: str, seed: int, dtype: torch.dtype = torch.float32, vocabulary: int = VOCABULARY) -> PreTrainedModel:
    """A model whose distributions are neither flat nor one-hot."""
    torch.manual_seed(seed)
    config = copy.deepcopy(CONFIGS[family])
    config.vocab_size = vocabulary
    model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").to(dtype).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.4 if "embed" not in name else 1.0)
    model.generation_config.eos_token_id = 2
    model.generation_config.pad_token_id = 0
    return model


def tiny_mamba(seed: int) -> PreTrainedModel:
    torch.manual_seed(seed)
    config = MambaConfig(
        vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=2, state_size=4, bos_token_id=1, eos_token_id=2,
        pad_token_id=0,
    )  # fmt: skip
    return AutoModelForCausalLM.from_config(config).eval()


def ragged(rows: int, seed: int, longest: int = 9) -> tuple[torch.Tensor, torch.Tensor]:
    """Left-padded prompts of different lengths, without special tokens."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(3, VOCABULARY, (rows, longest), generator=generator)
    lengths = torch.randint(1, longest + 1, (rows,), generator=generator)
    lengths[0] = longest
    mask = (torch.arange(longest) >= (longest - lengths).unsqueeze(-1)).long()
    return ids * mask, mask


def chain(follows: dict[int, int], vocabulary: int, more: int = 0) -> PreTrainedModel:
    """A model that says one token after another, each by the one before it alone; ``more`` outputs beyond."""
    torch.manual_seed(0)
    config = copy.deepcopy(CONFIGS["llama"])
    config.vocab_size, config.hidden_size, config.num_hidden_layers = vocabulary + more, 128, 1
    config.eos_token_id = None
    model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        layer, table, head = model.model.layers[0], model.get_input_embeddings().weight, model.lm_head.weight
        torch.nn.init.normal_(table)
        for weight in (layer.self_attn.o_proj.weight, layer.mlp.down_proj.weight, head):
            weight.zero_()
        for token, successor in follows.items():
            head[successor] += table[token]
    model.generation_config.eos_token_id, model.generation_config.pad_token_id = None, 0
    return model
