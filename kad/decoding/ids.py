"""Token ids and masks as they are given: tensors, arrays, lists, or a tokenizer's encoding of a batch.

Of everything else that a model would read, what kad cannot hand on is refused, never dropped.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..checks import whole
from .settings import stop_tokens

logger = logging.getLogger(__name__)
# What only names, counts or asks for things; caches are taken over or refused where lanes are made.
NO_INPUT = {
    "input_ids", "attention_mask", "past_key_values", "cache", "cache_params", "cache_position", "use_cache", "labels",
    "return_dict", "logits_to_keep", "num_logits_to_keep", "special_tokens_mask", "offset_mapping", "length", "num_truncated_tokens",
    "overflowing_tokens", "overflow_to_sample_mapping",
}  # fmt: skip
TYPES = ("token_type_ids", "mm_token_type_ids", "moe_mm_token_type_ids")


@dataclass(frozen=True)
class Padding:
    """How padding is told from text where no mask tells: as Hugging Face does.

    Attributes:
        token: what rows are filled with.
        stops: the tokens that end a text; if padding is one of them, it may be meant.
    """

    token: int
    stops: frozenset[int] = frozenset()

    def mask(self, ids: Tensor) -> Tensor:
        """1 where ``ids (B, L)`` are no padding."""
        if self.token not in self.stops:
            return (ids != self.token).long()
        if bool((ids[:, :2] == self.token).all(-1).any()) and ids.shape[1] > 1:
            logger.warning(
                "a prompt begins with the token %d twice, which fills and ends texts; pass attention_mask if it is padding",
                self.token,
            )
        return torch.ones_like(ids)


def padding_of(model: Any, otherwise: Padding) -> Padding:
    """What padding looks like to a model's own generation config; without a padding token there, ``otherwise``."""
    config = model.generation_config
    if config.pad_token_id is None:
        return otherwise
    return Padding(int(config.pad_token_id), frozenset(stop_tokens(config)))


def read_ids(ids: Any, mask: Any, name: str, padding: Padding) -> tuple[Tensor, Tensor]:
    """``(ids, mask)``, each ``(B, L)``: prompts that are padded on the left, in the layout in which they were given.

    Args:
        ids: ``(B, L)`` in any form, rows of different lengths, or what a tokenizer returns for a batch (it has a mask).
        mask: 1 where they are no padding; None to infer it.
        name: for messages.
        padding: what padding looks like.

    Raises:
        ValueError: ids that are none, an encoding with more than text in it, wrong shapes, or an empty row.

    >>> read_ids([[5, 6], [7]], None, "input_ids", Padding(0))
    (tensor([[5, 6],
            [0, 7]]), tensor([[1, 1],
            [0, 1]]))
    """
    companions: Mapping[str, Any] = {}
    if isinstance(ids, Mapping):
        if "input_ids" not in ids:
            raise ValueError(f"{name} is a mapping without input_ids; it has {', '.join(map(str, ids)) or 'nothing'}.")
        companions, ids, mask = ids, ids["input_ids"], ids.get("attention_mask") if mask is None else mask
    if isinstance(ids, (list, tuple)) and any(isinstance(row, (list, tuple)) for row in ids):
        ids, mask = padded(ids, mask, name, padding.token)
    ids = as_tensor(ids, name)
    if companions and ids.ndim == 1:  # a tokenizer's answer about one text
        ids, mask = ids.unsqueeze(0), None if mask is None else torch.as_tensor(mask).reshape(1, -1)
    check_ids(ids, name)
    inferred = mask is None
    mask = padding.mask(ids) if inferred else as_mask(mask, name)
    if inferred and bool((mask[:, :-1] > mask[:, 1:]).any()):
        raise ValueError(
            f"{name} holds the padding token {padding.token} after the beginning of a text; pass attention_mask to say which of "
            "them are meant."
        )
    unpad(ids, mask, name)
    check_inputs(companions, ids, mask, name)
    return ids.long(), mask


def padded(rows: Sequence[Any], mask: Any, name: str, pad: int) -> tuple[Any, Any]:
    """Rows of ids as one list of lists, with padding on the left where they are of different lengths."""
    found = [[whole(f"a token id of {name}", i, 0) for i in row] for row in rows]
    width = max(map(len, found))
    if all(len(row) == width for row in found):
        return found, mask
    if mask is None:
        marks = [[1] * len(row) for row in found]
    else:
        marks = [list(row) for row in mask]
        if [len(row) for row in marks] != [len(row) for row in found]:
            raise ValueError(f"the attention mask of {name} has rows of other lengths than the ids.")
    return (
        [[pad] * (width - len(row)) + row for row in found],
        [[0] * (width - len(row)) + row for row in marks],
    )


def as_tensor(ids: Any, name: str) -> Tensor:
    if isinstance(ids, Tensor):
        return ids
    if isinstance(ids, (list, tuple)) and not any(hasattr(row, "__len__") for row in ids):
        return torch.tensor([whole(f"a token id of {name}", i, 0) for i in ids], dtype=torch.long)
    try:
        array = np.asarray([row.tolist() if hasattr(row, "tolist") else row for row in ids])
    except (TypeError, ValueError):
        array = np.asarray(None)
    if array.dtype.kind not in "iu":
        kind = array.dtype if array.dtype.kind in "fcb" else type(ids).__name__
        raise ValueError(f"{name} must be token ids, whole numbers, of shape (batch, length), got {kind}.")
    return torch.from_numpy(array.astype(np.int64))


def as_mask(mask: Any, name: str) -> Tensor:
    found = mask if isinstance(mask, Tensor) else torch.as_tensor(np.asarray(mask))
    if found.is_complex() or not bool(((found == 0) | (found == 1)).all()):
        raise ValueError(f"the attention mask of {name} must hold zeros (padding) and ones alone.")
    return found.long()


def check_ids(ids: Any, name: str) -> None:
    """Raise a ValueError unless these are whole numbers of shape ``(B, L)``."""
    if not isinstance(ids, Tensor) or ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
        kind = ids.dtype if isinstance(ids, Tensor) else type(ids).__name__
        raise ValueError(f"{name} must be a tensor of token ids, whole numbers, got {kind}.")
    if ids.ndim != 2 or ids.shape[1] == 0 or ids.shape[0] == 0:
        remark = " (embeddings alone are no prompt)" if ids.ndim == 2 and ids.shape[0] else ""
        raise ValueError(f"{name} must be token ids of shape (batch, length ≥ 1), got {tuple(ids.shape)}{remark}.")


def unpad(ids: Tensor, mask: Tensor | None, name: str) -> list[Tensor]:
    """The rows of left-padded ``ids (B, L)`` without their padding.

    Raises:
        ValueError: ids that are no whole numbers or negative, wrong shapes, padding elsewhere than at the left, or a row
            with no token.
    """
    check_ids(ids, name)
    rows = list(ids.long())
    if mask is not None:
        if mask.shape != ids.shape:
            raise ValueError(f"the attention mask of {name} has shape {tuple(mask.shape)}, the ids {tuple(ids.shape)}.")
        mask = mask.bool().cpu()
        empty = (~mask).all(-1)
        if bool(empty.any()):
            raise ValueError(f"row {int(empty.int().argmax())} of {name} is empty (all padding).")
        if bool((mask[:, :-1] & ~mask[:, 1:]).any()):
            raise ValueError(f"{name} must be padded on the left; set tokenizer.padding_side = 'left'.")
        rows = [row[len(row) - n :] for row, n in zip(rows, mask.sum(-1).tolist(), strict=True)]
    if (smallest := min(int(row.min()) for row in rows)) < 0:
        raise ValueError(f"{name} holds the id {smallest}, which is no token; labels mark places so, prompts do not.")
    return rows


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
        encoded = name == "mm_encoder_outputs"  # by Hugging Face already
        what = f"{' and '.join(value)} inputs" if encoded else name
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
