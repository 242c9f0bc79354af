"""Static caches: memory that is allocated once, and lent to one run after another.

A model keeps one memory that no run has, the largest so far. A run lays its rows and slots out in it from the first number on,
so a run of the same shape finds its keys and values where an earlier one had them: CUDA graphs are bound to that place.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache

from .attention import own_way
from .cache import SlotLayer
from .huggingface import cache_name
from .wrappers import eagerly, forward_of, is_compiled, kept_for

IDLE = "idle"  # in what is kept for a model: its static memories that no run has, one at most


class StaticLayer(SlotLayer):
    """A layer that never grows; the last slot takes the padding.

    Args:
        keys: where the keys lie, ``(B, heads, capacity + 1, head_dim)``.
        values: the same of the values.

    Attributes:
        slots: where the pass in progress writes, ``(B, W)``.
    """

    is_compileable = True
    slots: Tensor | None = None

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()
        self.keys, self.values, self.is_initialized, self.size = keys, values, True, keys.shape[2]
        torch._dynamo.mark_static_address(keys)  # CUDA graphs then write to it in place
        torch._dynamo.mark_static_address(values)

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        assert self.slots is not None, "the lane says where a pass goes before it begins"
        at = self.slots[:, None, :, None]
        self.keys.scatter_(2, at.expand_as(key_states), key_states)
        self.values.scatter_(2, at.expand_as(value_states), value_states)
        return self.keys[:, :, : self.seen], self.values[:, :, : self.seen]

    def get_max_length(self) -> int:
        return self.size - 1


class StaticMemory:
    """Numbers for the keys and values of every layer, and the caches that have been laid out in them.

    Args:
        shown: keys and values of every layer for one token, ``(1, heads, 1, head_dim)`` each.
        places: rows times slots.
    """

    def __init__(self, shown: Sequence[tuple[Tensor, Tensor]], places: int) -> None:
        self.places = places
        self.layers = [[(x.shape[1], x.shape[3], x.new_empty(places * x.numel())) for x in pair] for pair in shown]
        self.made: dict[
            tuple[int, int, bool], Cache
        ] = {}  # with their views: marked once, and the same tensors in every run

    @torch.inference_mode(False)
    def cache(self, rows: int, capacity: int, tokens_first: bool = False) -> Cache:
        """The cache of so many rows and tokens a row, with a slot more for the padding; all zeros.

        The mask hides what an earlier run has left, but 0 times NaN is NaN.

        Args:
            rows: B.
            capacity: tokens that a row can have.
            tokens_first: in memory a token's heads lie beside each other, as attention without masks reads them.
        """
        made, slots = (rows, capacity, tokens_first), capacity + 1

        def view(heads: int, width: int, x: Tensor) -> Tensor:
            own = x[: rows * heads * slots * width]
            return (
                own.view(rows, slots, heads, width).transpose(1, 2)
                if tokens_first
                else own.view(rows, heads, slots, width)
            )

        if made not in self.made:
            self.made[made] = Cache([StaticLayer(*(view(*one) for one in pair)) for pair in self.layers])
        cache = self.made[made]
        for layer in cache.layers:
            layer.keys.zero_()
            layer.values.zero_()
        return cache


@torch.inference_mode(False)  # whose tensors no other run could write to
def borrowed(model: Any, rows: int, capacity: int, device: torch.device) -> StaticMemory:
    """A memory with room for so many rows and tokens a row, which no other run has until it is given back.

    The model's idle one is taken if it is large enough, and freed before another is allocated if not.
    """
    idle: list[StaticMemory] = kept_for(model).setdefault(IDLE, [])
    places = rows * (capacity + 1)
    if idle and idle[-1].places >= places:
        return idle.pop()
    if idle:
        idle.clear()
        gc.collect()  # what the compiler looked at lies in circles of its own for a while
    return StaticMemory(shown_by(model, device), places)


def give_back(idle: list[StaticMemory], memory: StaticMemory) -> None:
    """Keep it for the next run, unless an idle one is as large."""
    idle[:] = [max([*idle, memory], key=lambda one: one.places)]


@torch.no_grad()
def shown_by(model: Any, device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """Keys and values of every layer, as a throw-away pass over one token shows them."""
    shown = DynamicCache()
    one = torch.zeros(1, 1, dtype=torch.long, device=device)
    with eagerly(is_compiled(model)), own_way(model).during():
        model(input_ids=one, position_ids=one, use_cache=True, **{cache_name(forward_of(model)): shown})
    return [(layer.keys, layer.values) for layer in shown.layers]
