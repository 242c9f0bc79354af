"""Which lane fits a Hugging Face model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .huggingface import HuggingFaceModel, RecurrentModel, is_recurrent
from .lane import Lane
from .model import Model, Observer, unobserved


def lane_for(
    name: str,
    model: Any,
    prompts: Sequence[Tensor],
    room: int,
    vocabulary: int,
    options: dict[str, Any] | None = None,
    observer: Observer = unobserved,
) -> Lane:
    """The lane that fits the model; ``options`` are those of ``torch.compile``, None is without it."""
    recurrent, capacity = is_recurrent(model), max(map(len, prompts)) + room
    runs: Model
    if options is None and recurrent:
        runs = RecurrentModel(name, model, len(prompts), vocabulary)
    elif options is None:
        runs = HuggingFaceModel(name, model, capacity, vocabulary)
    elif recurrent:
        raise ValueError(f"the {name} ({type(model).__name__}) has a recurrent state; use compile=False.")
    elif len(set((getattr(model, "hf_device_map", None) or {}).values())) > 1:
        raise ValueError(f"the {name} lies on several devices (device_map), which moves its layers; use compile=False.")
    else:
        from .compiled import CompiledModel  # the compiler is slow to import

        runs = CompiledModel(name, model, len(prompts), capacity, vocabulary, options)
    runs.observer = observer
    return Lane(runs, prompts, room)


def adopt(lane: Lane, cache: Any, width: int) -> None:
    """Let a lane begin with a user's cache of the first columns of its left-padded prompts, ``width`` wide; copies.

    The last token of a prompt is read in any case: its logits are wanted.

    Raises:
        ValueError: layers that do not hold every column, another number of rows, or a model without slots.
    """
    columns, rows = cache.get_seq_length(), len(lane.prompt)
    layers = []
    pad = width - lane.prompt
    for layer in cache.layers:
        if getattr(layer, "is_sliding", False) or layer.keys.shape[2] != columns:
            raise ValueError(f"the {lane.name}'s cache has layers that forget; pass the whole prompt without it.")
        copies, rest = divmod(rows, layer.keys.shape[0])
        if rest:
            raise ValueError(f"the {lane.name}'s cache has {layer.keys.shape[0]} rows, the prompts have {rows}.")
        at = (torch.arange(columns) + pad.unsqueeze(-1)).clamp(max=columns - 1).to(layer.keys.device)
        layers.append(
            tuple(
                x.repeat_interleave(copies, 0).gather(2, at[:, None, :, None].expand(-1, x.shape[1], -1, x.shape[3]))
                for x in (layer.keys, layer.values)
            )
        )
    own = lane.model.layers
    if own and len(layers) != own:
        raise ValueError(f"the {lane.name}'s cache has {len(layers)} layers, the model {own}.")
    lane.model.adopt(layers)
    lane.read = torch.minimum((columns - pad).clamp_min(0), lane.prompt - 1)
