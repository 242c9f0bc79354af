"""Hugging Face's causal language models: what can be run, and how."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ..transfers import upload
from .attention import way_of
from .cache import SlotCache, Slots
from .masks import Masks, nothing_of
from .model import Model
from .wrappers import check_mode, device_of, eagerly, forward_of, hides, is_compiled, unwrap

MULTIPLE = 16  # a mask's last axis is a multiple of this off the CPU, or every layer would pad it for itself


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
        ValueError: the model cannot take explicit positions or masks (ALiBi, chunked attention, attention of its own).
    """

    def __init__(self, name: str, model: Any, capacity: int, vocabulary: int) -> None:
        super().__init__(name, device_of(model), vocabulary)
        self.model, self.capacity = model, self.rounded(capacity)
        config = model.config.get_text_config()
        function = forward_of(model)
        parameters = inspect.signature(function).parameters
        if "position_ids" not in parameters:
            raise ValueError(
                f"the {name} ({type(model).__name__}) takes no position_ids, so kad cannot place its tokens."
            )
        self.keeps, self.cache_name = "logits_to_keep" in parameters, cache_name(function)
        self.way, self.compiled = way_of(name, model, self.device), is_compiled(model)
        self.layers = config.num_hidden_layers
        self.attends = Masks.of(config, name, self.way)
        self.cache = SlotCache(self.layers, tokens_first=self.attends.unmasked)
        # What every mask is made of lies on the device once.
        self.slots = torch.arange(self.capacity, device=self.device)
        self.hidden = nothing_of(model.dtype, self.device)
        self.edge = torch.zeros(self.capacity + MULTIPLE, dtype=model.dtype, device=self.device)
        self.edge[self.capacity :] = self.hidden

    def rounded(self, slots: int) -> int:
        """So many slots or a few more, where masks have to be aligned."""
        return slots if self.device.type == "cpu" else -(-slots // MULTIPLE) * MULTIPLE

    @torch.no_grad()
    def run(self, tokens: Tensor, positions: Tensor, valid: Tensor, keep: int) -> Tensor:
        seen = seen_slots(positions, valid)
        used = self.rounded(int(seen.max()))
        step = Slots(positions, valid, used, self.capacity, self.device)
        self.cache.start(step)
        first, width = step.whole, tokens.shape[1]
        same = None if first is None else self.slots[first : first + width].expand_as(tokens)
        positions = upload(positions, self.device) if same is None else same
        options = {self.cache_name: self.cache} | ({"logits_to_keep": keep} if self.keeps else {})
        with eagerly(self.compiled), self.observer(self.name, tokens.numel()), self.way.during():
            mask = self.masks(positions, seen, used, first if width == 1 else None)
            out = self.model(input_ids=tokens, attention_mask=mask, position_ids=positions, use_cache=True, **options)
        logits: Tensor = out.logits[:, -keep:]
        return logits

    def masks(self, positions: Tensor, seen: Tensor, used: int, only: int | None = None) -> Any:
        """What the layers are given for a mask, by kind if there are several; see `Masks`.

        Args:
            positions, seen: where the pass's tokens are, and how many slots each row sees, ``(B,)``; on the CPU.
            used: slots that are read.
            only: the one position that all rows are at, if the pass has no other.
        """
        if self.attends.unmasked:
            return self.attends.counted(upload(seen.int(), self.device))
        if only is None or self.attends.window is not None:
            return self.attends.causal(positions, self.slots[:used], self.hidden)
        begin = self.capacity - only - 1
        mask = self.edge[begin : begin + used]
        mask = mask if self.device.type == "cpu" else mask.clone()  # memory has to be aligned too
        return mask.expand(len(positions), 1, 1, used)

    def adopt(self, layers: Sequence[tuple[Tensor, Tensor]]) -> None:
        self.cache.adopt(layers)

    def rollback(self, read: Tensor) -> None:
        pass  # what lies behind is hidden until it is overwritten

    def select(self, index: Tensor) -> None:
        self.cache.select(index)


def seen_slots(positions: Tensor, valid: Tensor) -> Tensor:
    """How many slots each row of a pass can see, ``(B,)``; one if it has no token in it."""
    return torch.where(valid, positions, 0).amax(-1) + 1


def begun(cache: Any, model: Any, given: bool) -> bool:
    """Whether a cache holds what a model has read: one of recurrent states, which cannot say so, if a user gave it."""
    if is_recurrent(model):
        return given or bool(getattr(cache, "_is_user_defined", False))
    return bool(cache.get_seq_length() > 0)


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
