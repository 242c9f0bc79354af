"""Everything beside ids and mask that a model would read: what kad cannot hand on is refused, never dropped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

# What only names, counts or asks for things; caches are taken over or refused where lanes are made.
NO_INPUT = {
    "input_ids", "attention_mask", "past_key_values", "cache", "cache_params", "cache_position", "use_cache", "labels",
    "return_dict", "logits_to_keep", "num_logits_to_keep", "special_tokens_mask", "offset_mapping", "length", "num_truncated_tokens",
    "overflowing_tokens", "overflow_to_sample_mapping",
}  # fmt: skip
TYPES = ("token_type_ids", "mm_token_type_ids", "moe_mm_token_type_ids")


def check_inputs(given: Mapping[str, Any], ids: Tensor, mask: Tensor | None, whose: str) -> None:
    """Look at what came with ``ids (B, L)``, from Hugging Face's ``generate`` or a tokenizer.

    Args:
        given: by name; Hugging Face's own positions and a text's token types, all zero, are no reason to refuse.
        ids: the prompts.
        mask: 1 where they are no padding.
        whose: for the message: "the base", "proxy_input_ids".

    Raises:
        ValueError: an input that kad does not hand on, such as images, embeddings, or positions of one's own.

    >>> check_inputs({"pixel_values": torch.zeros(1, 3, 2, 2)}, torch.tensor([[5]]), None, "the base")
    Traceback (most recent call last):
    ValueError: the base was given pixel_values, which kad does not hand on to a model: it reads text as token ids alone; drop it.
    """
    for name, value in given.items():
        if name in NO_INPUT or value is None or value is False or (isinstance(value, (Mapping, list)) and not value):
            continue
        if name in TYPES and not torch.as_tensor(value).any():
            continue
        if name == "position_ids":
            check_positions(value, ids, mask, whose)
            continue
        what = (
            f"{' and '.join(value)} inputs" if name == "mm_encoder_outputs" else name
        )  # encoded by Hugging Face already
        raise ValueError(
            f"{whose} was given {what}, which kad does not hand on to a model: it reads text as token ids alone; drop it."
        )


def check_positions(positions: Any, ids: Tensor, mask: Tensor | None, whose: str) -> None:
    """Raise a ValueError unless the positions, ``(..., B or 1, L)``, are those that follow from the mask."""
    known = torch.ones_like(ids) if mask is None else mask.to(ids.device).long()
    expected, given = known.cumsum(-1) - 1, torch.as_tensor(positions).to(ids.device)
    try:
        alike = bool(((given == expected) | (known == 0)).all())
    except RuntimeError:  # shapes that do not go together
        alike = False
    if not alike:
        raise ValueError(
            f"{whose} was given position_ids other than those that follow from the attention mask; kad places tokens by the "
            "mask, drop them."
        )
