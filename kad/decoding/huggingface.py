"""Hugging Face's causal language models: what can be run, and how."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ..transfers import upload
from .cache import SlotCache, Slots
from .model import Model
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


def inner_models(base: Any, proxy: Any, reference: Any = None) -> dict[str, Any]:
    """The models that lanes call for those that were given, as they are now, by role; of the reference where there is one.

    Raises:
        ValueError: one sentence, if none can be called.
    """
    given = {"base": base, "proxy": proxy} | ({"reference": reference} if reference is not None else {})
    inner = {}
    for role, model in given.items():
        inner[role] = unwrap(model, role)
        check_model(inner[role], role)
        check_mode(inner[role], role)
    return inner


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


class HuggingFaceModel(Model):
    """An attention model with the slot cache.

    Args:
        name: its role.
        model: as `inner_models` gives it.
        capacity: tokens that a row can ever have.
        vocabulary: logits that count.

    Raises:
        ValueError: the model cannot take explicit positions or masks (flash attention, ALiBi, chunked attention).
    """

    def __init__(self, name: str, model: Any, capacity: int, vocabulary: int) -> None:
        super().__init__(name, device_of(model), vocabulary)
        self.model, self.capacity = model, capacity
        config = model.config.get_text_config()
        self.layers = config.num_hidden_layers
        self.cache = SlotCache(self.layers)
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
        # What every mask is made of lies on the device once.
        self.slots = torch.arange(capacity, device=self.device)
        self.visible = torch.zeros(capacity, dtype=model.dtype, device=self.device)
        self.hidden = torch.full((), torch.finfo(model.dtype).min, dtype=model.dtype, device=self.device)

    @torch.no_grad()
    def run(self, tokens: Tensor, positions: Tensor, valid: Tensor, keep: int) -> Tensor:
        used = used_slots(positions, valid)
        step = Slots(positions, valid, used, self.capacity, self.device)
        self.cache.start(step)
        first, width = step.whole, tokens.shape[1]
        same = None if first is None else self.slots[first : first + width].expand_as(tokens)
        positions = upload(positions, self.device) if same is None else same
        options = {self.cache_name: self.cache} | ({"logits_to_keep": keep} if self.keeps else {})
        with eagerly(self.compiled), self.observer(self.name, tokens.numel()):
            mask = self.masks(positions, used, width == 1 and first is not None)
            out = self.model(input_ids=tokens, attention_mask=mask, position_ids=positions, use_cache=True, **options)
        logits: Tensor = out.logits[:, -keep:]
        return logits

    def masks(self, positions: Tensor, used: int, everything: bool = False) -> Any:
        """``slot <= position`` (and ``slot > position - window`` where the layer slides), ``(B, 1, W, used)``.

        ``everything``: all of the slots in use are the rows' own, before or at their one position.
        """
        if everything and self.window is None:
            return self.visible[:used].expand(len(positions), 1, 1, used)
        slot = self.slots[:used]
        query = positions[:, None, :, None]
        causal = slot <= query
        by_kind = {"full_attention": causal}
        if self.window is not None:
            by_kind["sliding_attention"] = causal & (slot > query - self.window)
        if self.additive or positions.shape[1] <= SHORT:
            by_kind = {kind: torch.where(mask, self.visible[0], self.hidden) for kind, mask in by_kind.items()}
        return by_kind if len(self.kinds) > 1 else by_kind[self.kinds[0]]

    def adopt(self, layers: Sequence[tuple[Tensor, Tensor]]) -> None:
        for layer, (keys, values) in zip(self.cache.layers, layers, strict=True):
            layer.lazy_initialization(keys, values)
            layer.keys, layer.values = keys, values

    def rollback(self, read: Tensor) -> None:
        pass  # what lies behind is hidden until it is overwritten

    def select(self, index: Tensor) -> None:
        self.cache.select(index)


def used_slots(positions: Tensor, valid: Tensor) -> int:
    """How many slots a pass can see."""
    return int(torch.where(valid, positions, 0).max()) + 1


def begun(cache: Any, model: Any, given: bool) -> bool:
    """Whether a cache holds what a model has read: one of recurrent states, which cannot say so, if a user gave it."""
    if is_recurrent(model):
        return given or bool(getattr(cache, "_is_user_defined", False))
    return bool(cache.get_seq_length() > 0)


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


class RecurrentModel(Model):
    """A model with a recurrent state (Mamba and its kin): it reads forward only, a token at a time after the prompt.

    Every row has its own native cache, because rows cannot share a padded pass. It serves windows of 0 alone.
    """

    def __init__(self, name: str, model: Any, rows: int, vocabulary: int) -> None:
        super().__init__(name, device_of(model), vocabulary)
        self.model, self.key, self.compiled = model, cache_name(forward_of(model)), is_compiled(model)
        self.memory: list[Any] = [None] * rows
        self.length = torch.zeros(rows, dtype=torch.long)

    @torch.no_grad()
    def run(self, tokens: Tensor, positions: Tensor, valid: Tensor, keep: int) -> Tensor:
        rows: list[Tensor | None] = []
        for row in range(tokens.shape[0]):
            new = tokens[row, tokens.shape[1] - int(valid[row].sum()) :].unsqueeze(0)  # what counts is at the right
            logits = None
            if new.shape[1]:
                for part in [new] if self.memory[row] is None else torch.split(new, 1, dim=1):
                    with eagerly(self.compiled), self.observer(self.name, part.numel()):
                        out = self.model(input_ids=part, use_cache=True, **{self.key: self.memory[row]})
                    self.memory[row], logits = getattr(out, self.key, None), out.logits[:, -1:]
                    if self.memory[row] is None:
                        kind = type(self.model).__name__
                        raise ValueError(
                            f"the {self.name} ({kind}) returns no state, so kad cannot decode step by step."
                        )
            rows.append(logits)
        self.length += valid.sum(-1)
        some = next(logits for logits in rows if logits is not None)  # nobody runs a pass in which no row has a token
        return torch.cat([torch.zeros_like(some) if logits is None else logits for logits in rows])

    def rollback(self, read: Tensor) -> None:
        if bool((read < self.length).any()):
            raise ValueError(f"the {self.name} carries a recurrent state and cannot roll back; use window=0.")

    def select(self, index: Tensor) -> None:
        self.memory, self.length = [self.memory[i] for i in index.tolist()], self.length[index]
