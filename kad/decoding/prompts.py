"""Prompts as text, chat messages or ids, brought to left-padded ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Number
from typing import Any

from torch import Tensor

from ..checks import whole
from .ids import Padding, read_ids, unpad
from .template import through_template


def is_message(thing: Any) -> bool:
    return isinstance(thing, Mapping) and "input_ids" not in thing


def is_encoding(thing: Any) -> bool:
    return isinstance(thing, Mapping) and "input_ids" in thing


def is_chat(prompt: Any) -> bool:
    return isinstance(prompt, Sequence) and bool(prompt) and is_message(prompt[0])


def is_text(prompt: Any) -> bool:
    """Whether this is text or chat, or a list of these, so that any tokenizer can read it."""
    if isinstance(prompt, str) or is_chat(prompt):
        return True
    return isinstance(prompt, Sequence) and bool(prompt) and all(isinstance(p, str) or is_chat(p) for p in prompt)


def is_row(prompt: Any) -> bool:
    """Whether this is one prompt, as ids: numbers, or tensors of one number each."""
    return bool(prompt) and (isinstance(prompt[0], Number) or getattr(prompt[0], "ndim", None) == 0)


def encode(
    prompt: Any, tokenizer: Any, padding: Padding, mask: Any = None, name: str = "prompt",
    variables: Mapping[str, Any] | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """``(ids, mask)``, each ``(B, L)``, of one prompt or a list of prompts.

    A prompt is a string, a list of chat messages ``{"role": ..., "content": ...}``, or ids; what a tokenizer returned for
    a batch is taken as it is. Chat messages go through the tokenizer's chat template, with the header of the assistant's
    turn at the end, and the ``variables`` that the template reads beside them.

    Raises:
        ValueError: an empty prompt, one of another kind, text without a tokenizer, or a chat template that fails or takes
            too long.
    """
    many = getattr(prompt, "ndim", 0) >= 2 and hasattr(prompt, "tolist")
    if is_encoding(prompt) or many:
        return read_ids(prompt, mask, name, padding)
    if mask is not None:
        raise ValueError("an attention mask belongs to ids: pass input_ids with it, or leave it to kad.")
    if is_message(prompt):
        raise ValueError("prompt is one mapping; a chat is a list of messages: put it in a list.")
    if hasattr(prompt, "tolist"):  # a tensor or an array
        prompt = prompt.tolist()
    if not isinstance(prompt, str) and (isinstance(prompt, bytes) or not isinstance(prompt, Sequence)):
        raise ValueError(
            "prompt must be text, a list of chat messages, token ids, what a tokenizer returns, or a list of these, got "
            f"{type(prompt).__name__}."
        )
    single = isinstance(prompt, str) or is_chat(prompt) or is_row(prompt)
    prompts = [prompt] if single else list(prompt)
    if not prompts:
        raise ValueError("prompt is empty; give at least one prompt.")
    rows = [encode_one(p, tokenizer, row, padding, variables) for row, p in enumerate(prompts)]
    return read_ids(rows, [[1] * len(row) for row in rows], name, padding)


def encode_one(
    prompt: Any, tokenizer: Any, row: int, padding: Padding, variables: Mapping[str, Any] | None
) -> list[int]:
    if isinstance(prompt, str) or is_chat(prompt):
        if tokenizer is None:
            raise ValueError("a text prompt needs tokenizer=... (the aligned model's); or pass input_ids.")
        if isinstance(prompt, str):
            ids = list(tokenizer(prompt)["input_ids"]) if prompt.strip() else []
        else:
            ids = list(tokenizer(through_template(tokenizer, prompt, variables), add_special_tokens=False)["input_ids"])
    elif is_encoding(prompt):
        rows = unpad(*read_ids(prompt, None, f"prompt {row}", padding), f"prompt {row}")
        if len(rows) > 1:
            raise ValueError(
                f"prompt {row} holds {len(rows)} texts; give what the tokenizer returned for a batch alone."
            )
        ids = rows[0].tolist()
    else:
        ids = prompt.tolist() if hasattr(prompt, "tolist") else prompt
        if isinstance(ids, (bytes, Mapping)) or not isinstance(ids, Sequence):
            raise ValueError(f"prompt {row} must be text, chat messages or token ids, got {type(prompt).__name__}.")
        ids = [whole("a token id", i.item() if hasattr(i, "item") else i, 0) for i in ids]
    if not ids:
        raise ValueError(f"prompt {row} is empty; a causal model needs at least one token.")
    return ids
