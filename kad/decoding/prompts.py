"""Prompts as text, chat messages or ids, brought to left-padded ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Number
from typing import Any

import torch
from torch import Tensor

from ..checks import whole
from .template import through_template


def is_chat(prompt: Any) -> bool:
    return isinstance(prompt, Sequence) and bool(prompt) and isinstance(prompt[0], Mapping)


def encode(prompt: Any, tokenizer: Any, pad: int) -> tuple[Tensor, Tensor]:
    """``(ids, mask)``, each ``(B, L)``, of one prompt or a list of prompts.

    A prompt is a string, a list of chat messages ``{"role": ..., "content": ...}``, or a list of ids. Chat messages
    go through the tokenizer's chat template, with the header of the assistant's turn at the end.

    Raises:
        ValueError: an empty prompt, text without a tokenizer, or a chat template that fails or takes too long.
    """
    if hasattr(prompt, "tolist"):  # a tensor or an array
        prompt = prompt.tolist()
    single = isinstance(prompt, str) or is_chat(prompt) or (bool(prompt) and isinstance(prompt[0], Number))
    prompts = [prompt] if single else list(prompt)
    if not prompts:
        raise ValueError("prompt is empty; give at least one prompt.")
    rows = [encode_one(p, tokenizer, row) for row, p in enumerate(prompts)]
    width = max(len(row) for row in rows)
    ids = torch.full((len(rows), width), pad, dtype=torch.long)
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, width - len(row) :] = torch.tensor(row)
        mask[i, width - len(row) :] = 1
    return ids, mask


def encode_one(prompt: Any, tokenizer: Any, row: int) -> list[int]:
    if isinstance(prompt, str) or is_chat(prompt):
        if tokenizer is None:
            raise ValueError("a text prompt needs tokenizer=... (the aligned model's); or pass input_ids.")
        if isinstance(prompt, str):
            ids = list(tokenizer(prompt)["input_ids"]) if prompt.strip() else []
        else:
            ids = list(tokenizer(through_template(tokenizer, prompt), add_special_tokens=False)["input_ids"])
    else:
        ids = [whole("a token id", i, 0) for i in (prompt.tolist() if hasattr(prompt, "tolist") else prompt)]
    if not ids:
        raise ValueError(f"prompt {row} is empty; a causal model needs at least one token.")
    return ids


def unpad(ids: Tensor, mask: Tensor | None, name: str) -> list[Tensor]:
    """The rows of left-padded ``ids (B, L)`` without their padding.

    Raises:
        ValueError: ids that are no whole numbers or negative, wrong shapes, padding elsewhere than at the left, or a row
            with no token.
    """
    if not isinstance(ids, Tensor) or ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
        kind = ids.dtype if isinstance(ids, Tensor) else type(ids).__name__
        raise ValueError(f"{name} must be a tensor of token ids, whole numbers, got {kind}.")
    if ids.ndim != 2 or ids.shape[1] == 0 or ids.shape[0] == 0:
        raise ValueError(f"{name} must be token ids of shape (batch, length ≥ 1), got {tuple(ids.shape)}.")
    rows = real_rows(ids, mask, name)
    if (smallest := min(int(row.min()) for row in rows)) < 0:
        raise ValueError(f"{name} holds the id {smallest}, which is no token; labels mark places so, prompts do not.")
    return rows


def real_rows(ids: Tensor, mask: Tensor | None, name: str) -> list[Tensor]:
    """`unpad`, of ids of the right kind and shape."""
    ids = ids.long()
    if mask is None:
        return list(ids)
    if mask.shape != ids.shape:
        raise ValueError(f"the attention mask of {name} has shape {tuple(mask.shape)}, the ids {tuple(ids.shape)}.")
    mask = mask.bool().cpu()
    empty = (~mask).all(-1)
    if bool(empty.any()):
        raise ValueError(f"row {int(empty.int().argmax())} of {name} is empty (all padding).")
    if bool((mask[:, :-1] & ~mask[:, 1:]).any()):
        raise ValueError(f"{name} must be padded on the left; set tokenizer.padding_side = 'left'.")
    lengths = mask.sum(-1).tolist()
    return [row[len(row) - n :] for row, n in zip(ids, lengths, strict=True)]
