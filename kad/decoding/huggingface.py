"""Lanes over Hugging Face causal language models."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from .cache import SlotCache, Slots
from .lane import Lane
from .wrappers import check_mode, device_of, eagerly, forward_of, hides, is_compiled, unwrap

SHORT = 32  # passes up to this width get additive masks: every layer would else convert a boolean one for itself


def check_model(model: Any, name: str) -> None:
    """Raise a ValueError, in one sentence, if a lane cannot run this model, of which wrappers were taken off."""
    way = hides(model)
    if way is not None:
        raise ValueError(
            f"the {name} is a {type(model).__name__}, which hides what the language model inside takes; {way}."
        )
    if not hasattr(model, "config") or not callable(getattr(model, "forward", None)):
        raise ValueError(f"the {name} must be a Hugging Face causal language model, got {type(model).__name__}.")
    if getattr(model.config, "is_encoder_decoder", False):
        raise ValueError(f"the {name} is an encoder-decoder; kad decodes with causal language models.")


def inner_model(model: Any, name: str) -> Any:
    """The model that a lane calls for the one that was given, as it is now; a ValueError, in one sentence, if none can."""
    inner = unwrap(model, name)
    check_model(inner, name)
    check_mode(inner, name)
    return inner


def inner_models(base: Any, proxy: Any, reference: Any = None) -> dict[str, Any]:
    """`inner_model` of every model of a run, by its role; of the reference where there is one."""
    given = {"base": base, "proxy": proxy} | ({"reference": reference} if reference is not None else {})
    return {role: inner_model(model, role) for role, model in given.items()}


def cache_name(function: Callable[..., Any]) -> str:
    """What a model's pass, or another function that takes one, calls the cache: the name changes in transformers 5.24.

    >>> cache_name(lambda input_ids, past_key_values: None), cache_name(lambda input_ids, cache: None)
    ('past_key_values', 'cache')
    """
    parameters = inspect.signature(function).parameters
    return next((name for name in ("cache", "cache_params") if name in parameters), "past_key_values")


def is_recurrent(model: Any) -> bool:
    """Whether the model carries a recurrent state, which cannot be rolled back."""
    return bool(getattr(model, "_is_stateful", False))


def is_parallel(model: Any) -> bool:
    """Whether several processes hold parts of the model (Hugging Face's ``tp_plan``)."""
    return (getattr(model, "_tp_size", None) or 1) > 1


class HuggingFaceLane(Lane):
    """An attention model with the slot cache.

    Raises:
        ValueError: the model cannot take explicit positions or masks (flash attention, ALiBi, chunked attention).
    """

    def __init__(self, name: str, model: Any, prompts: Sequence[Tensor], room: int, vocabulary: int) -> None:
        super().__init__(name, prompts, room, device_of(model))
        self.model, self.vocabulary = model, vocabulary
        config = model.config.get_text_config()
        self.cache = SlotCache(config.num_hidden_layers)
        function = forward_of(model)
        parameters = inspect.signature(function).parameters
        if "position_ids" not in parameters:
            raise ValueError(
                f"the {name} ({type(model).__name__}) takes no position_ids, so kad cannot place its tokens."
            )
        self.keeps, self.cache_name = "logits_to_keep" in parameters, cache_name(function)
        implementation = getattr(config, "_attn_implementation", "eager")
        if implementation not in ("eager", "sdpa"):
            raise ValueError(
                f"the {name} uses {implementation!r} attention; load it with attn_implementation='sdpa', "
                "whose masks can describe ragged rows."
            )
        self.additive, self.compiled = implementation == "eager", is_compiled(model)
        self.kinds, self.window = mask_kinds(config, name)

    @torch.no_grad()
    def forward(self, tokens: Tensor, positions: Tensor, valid: Tensor, keep: int) -> Tensor:
        used = int(self.known.max())
        self.cache.start(Slots(positions, valid, used, self.tokens.shape[1], self.device))
        positions = positions.to(self.device)
        extra = {"logits_to_keep": keep} if self.keeps else {}
        with eagerly(self.compiled):
            out = self.model(
                input_ids=tokens,
                attention_mask=self.masks(positions, used),
                position_ids=positions,
                use_cache=True,
                **{self.cache_name: self.cache},
                **extra,
            )
        logits: Tensor = out.logits[:, -keep:]
        return logits

    def masks(self, positions: Tensor, used: int) -> Any:
        """``slot <= position`` (and ``slot > position - window`` where the layer slides), ``(B, 1, W, used)``."""
        slot = torch.arange(used, device=positions.device)
        query = positions[:, None, :, None]
        causal = slot <= query
        by_kind = {"full_attention": causal}
        if self.window is not None:
            by_kind["sliding_attention"] = causal & (slot > query - self.window)
        if self.additive or positions.shape[1] <= SHORT:
            dtype = self.model.dtype
            seen = torch.zeros((), dtype=dtype, device=positions.device)
            hidden = torch.full((), torch.finfo(dtype).min, dtype=dtype, device=positions.device)
            by_kind = {kind: torch.where(mask, seen, hidden) for kind, mask in by_kind.items()}
        return by_kind if len(self.kinds) > 1 else by_kind[self.kinds[0]]

    def adopt(self, layers: Sequence[tuple[Tensor, Tensor]], read: Tensor) -> None:
        """Begin with these keys and values in slots 0, 1, ... of every row, ``read (B,)`` of them meant."""
        for layer, (keys, values) in zip(self.cache.layers, layers, strict=True):
            layer.lazy_initialization(keys, values)
            layer.keys, layer.values = keys, values
        self.read = read

    def forget(self) -> None:
        pass

    def select_memory(self, index: Tensor) -> None:
        self.cache.select(index)


def begun(cache: Any, model: Any, given: bool) -> bool:
    """Whether a cache holds what a model has read: one of recurrent states, which cannot say so, if a user gave it."""
    if is_recurrent(model):
        return given or bool(getattr(cache, "_is_user_defined", False))
    return bool(cache.get_seq_length() > 0)


def adopt(lane: Lane, cache: Any, width: int) -> None:
    """Let a lane begin with a user's cache of the first columns of its left-padded prompts, ``width`` wide; copies.

    The last token of a prompt is read in any case: its logits are wanted.

    Raises:
        ValueError: layers that do not hold every column, another number of rows, or a lane without slots.
    """
    if not isinstance(lane, HuggingFaceLane):
        raise ValueError(f"the {lane.name} cannot continue from a cache; pass the whole prompt without it.")
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
    if len(layers) != lane.model.config.get_text_config().num_hidden_layers:
        raise ValueError(f"the {lane.name}'s cache has {len(layers)} layers, the model another number.")
    lane.adopt(layers, torch.minimum((columns - pad).clamp_min(0), lane.prompt - 1))


def mask_kinds(config: Any, name: str) -> tuple[list[str], int | None]:
    """Which masks the model's layers need, and the width of the sliding one."""
    window = getattr(config, "sliding_window", None)
    types = getattr(config, "layer_types", None)
    if types is None:
        # Families with one kind of layer: Mistral and its kin slide in all of them when the config has a window.
        sliding = window is not None and getattr(config, "use_sliding_window", True)
        return (["sliding_attention"], window) if sliding else (["full_attention"], None)
    kinds = sorted(set(types))
    unknown = [kind for kind in kinds if kind not in ("full_attention", "sliding_attention")]
    if unknown:
        raise ValueError(f"the {name} has layers of type {unknown[0]!r}, whose masks kad does not know.")
    return kinds, window if "sliding_attention" in kinds else None


class RecurrentLane(Lane):
    """A model with a recurrent state (Mamba and its kin): it reads forward only, a token at a time after the prompt.

    Every row has its own native cache, because rows cannot share a padded pass. It serves windows of 0 alone.
    """

    def __init__(self, name: str, model: Any, prompts: Sequence[Tensor], room: int, vocabulary: int) -> None:
        super().__init__(name, prompts, room, device_of(model))
        self.model, self.vocabulary = model, vocabulary
        self.key = cache_name(forward_of(model))
        self.memory: list[Any] = [None] * len(prompts)
        self.compiled = is_compiled(model)

    @torch.no_grad()
    def forward(self, tokens: Tensor, positions: Tensor, valid: Tensor, keep: int) -> Tensor:
        rows: list[Tensor | None] = []
        for row in range(tokens.shape[0]):
            new = tokens[row, valid[row].to(self.device)].unsqueeze(0)
            logits = None
            if new.shape[1]:
                for part in [new] if self.memory[row] is None else torch.split(new, 1, dim=1):
                    with eagerly(self.compiled):
                        out = self.model(input_ids=part, use_cache=True, **{self.key: self.memory[row]})
                    self.memory[row], logits = getattr(out, self.key, None), out.logits[:, -1:]
                    if self.memory[row] is None:
                        kind = type(self.model).__name__
                        raise ValueError(
                            f"the {self.name} ({kind}) returns no state, so kad cannot decode step by step."
                        )
            rows.append(logits)
        some = next(logits for logits in rows if logits is not None)  # nobody runs a pass in which no row has a token
        return torch.cat([torch.zeros_like(some) if logits is None else logits for logits in rows])

    def forget(self) -> None:
        if bool((self.read < self.fed[self.rows]).any()):
            raise ValueError(f"the {self.name} carries a recurrent state and cannot roll back; use window=0.")

    def select_memory(self, index: Tensor) -> None:
        self.memory = [self.memory[i] for i in index.tolist()]


def lane_for(
    name: str, model: Any, prompts: Sequence[Tensor], room: int, vocabulary: int, options: dict[str, Any] | None = None
) -> Lane:
    """The lane that fits the model; ``options`` are those of ``torch.compile``, None is without it."""
    if options is not None:
        if is_recurrent(model):
            raise ValueError(f"the {name} ({type(model).__name__}) has a recurrent state; use compile=False.")
        if len(set((getattr(model, "hf_device_map", None) or {}).values())) > 1:
            raise ValueError(
                f"the {name} lies on several devices (device_map), which moves its layers; use compile=False."
            )
        from .compiled import CompiledLane  # the compiler is slow to import

        return CompiledLane(name, model, prompts, room, vocabulary, options)
    kind = RecurrentLane if is_recurrent(model) else HuggingFaceLane
    return kind(name, model, prompts, room, vocabulary)
