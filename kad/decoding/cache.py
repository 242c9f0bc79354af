"""The slot cache: the keys and values of row b's token i live in slot i.

With that layout the mask is ``slot <= position``, rolling a row back is a smaller length, and rows of one batch may
be at different places without copies. What lies in a slot past a row's length is never seen: the mask hides it
until the token that belongs there has overwritten it. Sliding windows are exact, because positions are.
"""

from __future__ import annotations

from collections.abc import Sequence
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

    Args:
        tokens_first: in memory slots lie outside of heads, as attention without masks wants it.

    Attributes:
        step: where the pass in progress writes.
        seen: how many slots it sees.
        size: how many there have to be.
    """

    is_sliding = False
    step: Slots | None = None
    seen = size = 0

    def __init__(self, tokens_first: bool = False) -> None:
        super().__init__()
        self.tokens_first = tokens_first

    def empty(self, like: Tensor) -> Tensor:
        """``size`` slots for states such as these, nothing in them."""
        rows, heads, _, width = like.shape
        if self.tokens_first:
            return like.new_zeros(rows, self.size, heads, width).transpose(1, 2)
        return like.new_zeros(rows, heads, self.size, width)

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        self.keys, self.values = self.empty(key_states), self.empty(value_states)
        self.is_initialized = True

    def grown(self, store: Tensor) -> Tensor:
        """The same states in a store of ``size`` slots."""
        more = self.empty(store)
        more[:, :, : store.shape[2]] = store
        return more

    def adopt(self, keys: Tensor, values: Tensor) -> None:
        """Begin with these, ``size`` slots each."""
        self.lazy_initialization(keys[:, :, :0], values[:, :, :0])
        self.keys.copy_(keys)
        self.values.copy_(values)

    def select(self, index: Tensor) -> None:
        """Keep only these rows."""
        at = upload(index, self.keys.device)
        if self.tokens_first:  # indexing would lay the axes out anew
            self.keys, self.values = (x.transpose(1, 2)[at].transpose(1, 2) for x in (self.keys, self.values))
        else:
            self.keys, self.values = self.keys[at], self.values[at]

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        step = self.step
        assert step is not None, "SlotCache.start must be called before every pass"
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        if self.size > self.keys.shape[2]:
            self.keys = self.grown(self.keys)
            self.values = self.grown(self.values)
        write_states(self.keys, key_states, step)
        write_states(self.values, value_states, step)
        return self.keys[:, :, : self.seen], self.values[:, :, : self.seen]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.seen, 0

    def get_seq_length(self) -> int:
        return self.seen

    def get_max_length(self) -> int:
        return -1


def write_states(store: Tensor, new: Tensor, step: Slots) -> None:
    """Write a pass's states into their slots."""
    if step.whole is not None:
        store[:, :, step.whole : step.whole + new.shape[2]] = new
    else:
        rows, columns = step.rows.to(new.device), step.columns.to(new.device)
        store[rows, :, step.slots.to(new.device)] = new[rows, :, columns]


class SlotCache(Cache):
    """The cache that a `HuggingFaceModel` gives its model.

    Args:
        layers: how many.
        tokens_first: how they lie in memory; a pass then sees all slots that there are, and is told how many count.

    Attributes:
        size: slots of every layer.
    """

    def __init__(self, layers: int, tokens_first: bool = False) -> None:
        super().__init__(layers=[SlotLayer(tokens_first) for _ in range(layers)])
        self.tokens_first, self.size = tokens_first, 0

    def start(self, step: Slots) -> None:
        """Announce where the tokens of the next pass go."""
        if step.used > self.size:
            self.size = min(step.used + max(GROWTH, step.used // 2), step.capacity)
        for layer in self.layers:
            layer.step, layer.size, layer.seen = step, self.size, self.size if self.tokens_first else step.used

    def adopt(self, layers: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Begin with these keys and values, ``(B, heads, n, head_dim)`` each."""
        self.size = layers[0][0].shape[2]
        for layer, states in zip(self.layers, layers, strict=True):
            layer.size = self.size
            layer.adopt(*states)

    def select(self, index: Tensor) -> None:
        for layer in self.layers:
            if layer.is_initialized:
                layer.select(index)
