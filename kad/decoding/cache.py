"""The slot cache: the keys and values of row b's token i live in slot i.

With that layout the mask is ``slot <= position``, rolling a row back is a smaller length, and rows of one batch may
be at different places without copies. What lies in a slot past a row's length is never seen: the mask hides it
until the token that belongs there has overwritten it. Sliding windows are exact, because positions are.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

from ..transfers import upload

GROWTH = 128  # slots by which a layer grows, at least; beyond that by half of its size


class Slots:
    """Where the tokens of the pass in progress go; shared by all layers of a cache.

    Attributes:
        used: how many slots the pass can see.
        whole: the first slot, when every row writes the same run of slots; else None.
        rows, slots, columns: otherwise, the valid tokens of the pass, one entry each; on the device.
        capacity: how many slots a row can ever use; layers never grow beyond it.
    """

    def __init__(self, positions: Tensor, valid: Tensor, used: int, capacity: int, device: torch.device) -> None:
        self.used, self.capacity = used, capacity
        same = bool(valid.all()) and bool((positions == positions[:1]).all())
        self.whole = int(positions[0, 0]) if same else None
        if not same:
            rows, columns = valid.nonzero(as_tuple=True)
            self.rows, self.columns, self.slots = upload(torch.stack([rows, columns, positions[rows, columns]]), device)


class SlotLayer(CacheLayerMixin):
    """Keys and values of one layer, ``(B, heads, slots, head_dim)``, growing by amortised reallocation.

    Attributes:
        step: where the pass in progress writes.
        seen: how many slots it sees.
        size: how many there are before the first.
    """

    is_sliding = False
    step: Slots | None = None
    seen = size = 0

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        states = key_states, value_states
        self.keys, self.values = (x.new_zeros(*x.shape[:2], self.size, x.shape[-1]) for x in states)
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        step = self.step
        assert step is not None, "SlotCache.start must be called before every pass"
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        self.keys, self.values = placed(self.keys, key_states, step), placed(self.values, value_states, step)
        return self.keys[:, :, : self.seen], self.values[:, :, : self.seen]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.seen, 0

    def get_seq_length(self) -> int:
        return self.seen

    def get_max_length(self) -> int:
        return -1


def placed(store: Tensor, new: Tensor, step: Slots) -> Tensor:
    """``store`` with the pass's states in their slots, in place unless it had to grow."""
    if step.used > store.shape[2]:
        slots = min(step.used + max(GROWTH, step.used // 2), step.capacity)
        grown = store.new_zeros(store.shape[0], store.shape[1], slots, store.shape[3])
        grown[:, :, : store.shape[2]] = store
        store = grown
    if step.whole is not None:
        store[:, :, step.whole : step.whole + new.shape[2]] = new
    else:
        rows, columns = step.rows.to(new.device), step.columns.to(new.device)
        store[rows, :, step.slots.to(new.device)] = new[rows, :, columns]
    return store


class SlotCache(Cache):
    """The cache that a `HuggingFaceModel` gives its model."""

    def __init__(self, layers: int) -> None:
        super().__init__(layers=[SlotLayer() for _ in range(layers)])

    def start(self, step: Slots) -> None:
        """Announce where the tokens of the next pass go."""
        for layer in self.layers:
            layer.step, layer.seen = step, step.used

    def select(self, index: Tensor) -> None:
        for layer in self.layers:
            if layer.is_initialized:
                at = upload(index, layer.keys.device)
                layer.keys, layer.values = layer.keys[at], layer.values[at]
