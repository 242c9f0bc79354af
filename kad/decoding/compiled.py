"""Models whose passes are compiled: fixed shapes, a cache that is allocated once, CUDA graphs on a GPU.

A pass is padded to one of a few widths, and attention reads the cache up to one of a few lengths, so that a handful
of graphs serves a whole run. Padding goes to a slot of its own that nobody attends to. Long prompts are read in chunks.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._inductor.exc import InductorError
from transformers.cache_utils import Cache, DynamicCache

from ..errors import said
from ..transfers import upload
from .attention import UNMASKED, own_way
from .cache import SlotLayer
from .huggingface import HuggingFaceModel, cache_name, seen_slots
from .wrappers import eagerly, forward_of, is_compiled, kept_for

CHUNK = 256  # tokens of a prompt that are read at once
SHORTEST = 128  # slots of the shortest cache that attention reads; the next ones double
GRAPHS = 64  # shapes that may be compiled before torch gives up: widths times lengths stay far below


def up(n: int, least: int = 1) -> int:
    """The smallest power of two that is ≥ n and ≥ least.

    >>> up(1), up(5), up(3, least=128)
    (1, 8, 128)
    """
    return max(least, 1 << (n - 1).bit_length())


class StaticLayer(SlotLayer):
    """A layer that is allocated once; the last slot takes the padding.

    Attributes:
        slots: where the pass in progress writes, ``(B, W)``.
    """

    is_compileable = True
    slots: Tensor | None = None

    def __init__(self, capacity: int, tokens_first: bool = False) -> None:
        super().__init__(tokens_first)
        self.size = capacity + 1

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        super().lazy_initialization(key_states, value_states)
        torch._dynamo.mark_static_address(self.keys)  # CUDA graphs then write to it in place
        torch._dynamo.mark_static_address(self.values)

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        assert self.slots is not None, "the lane says where a pass goes before it begins"
        at = self.slots[:, None, :, None]
        self.keys.scatter_(2, at.expand_as(key_states), key_states)
        self.values.scatter_(2, at.expand_as(value_states), value_states)
        return self.keys[:, :, : self.seen], self.values[:, :, : self.seen]

    def get_max_length(self) -> int:
        return self.size - 1


class CompiledModel(HuggingFaceModel):
    """A `HuggingFaceModel` with a static cache and compiled passes.

    Rows stay where they are until the run ends: another number of rows would be another graph.

    Attributes:
        shapes: the (width, length) pairs that were run, one graph each.
    """

    fixed_rows = True

    def __init__(
        self, name: str, model: Any, rows: int, capacity: int, vocabulary: int, options: dict[str, Any]
    ) -> None:
        super().__init__(name, model, up(capacity, SHORTEST), vocabulary)  # prompts of about one length share it
        self.step = compiled(model, options)
        self.shapes: set[tuple[int, int]] = set()
        # A cache outlives the run, because CUDA graphs are bound to where it lies; two runs never share one.
        pool: list[Cache] = kept_for(model).setdefault((rows, self.capacity), [])
        flat = self.way.name == UNMASKED
        self.static = pool.pop() if pool else allocated(model, rows, self.capacity, self.device, flat)
        weakref.finalize(self, pool.append, self.static)

    @torch.no_grad()
    def run(self, tokens: Tensor, positions: Tensor, valid: Tensor, keep: int) -> Tensor:
        whole, chunk = tokens.shape[1], max(CHUNK, keep)
        cuts = [0, *range(whole % chunk or chunk, whole, chunk)]  # the last chunk is full: it holds what is wanted
        for a, b in itertools.pairwise(cuts):
            self.chunk(tokens[:, a:b], positions[:, a:b], valid[:, a:b], 1)
        last = cuts[-1]
        return self.chunk(tokens[:, last:], positions[:, last:], valid[:, last:], keep)

    def chunk(self, tokens: Tensor, positions: Tensor, valid: Tensor, keep: int) -> Tensor:
        width = up(tokens.shape[1])
        left = width - tokens.shape[1]
        count = seen_slots(positions, valid)
        seen = min(up(int(count.max()), SHORTEST), self.capacity)
        if self.way.name == UNMASKED:  # which is told how many slots count, so that one graph serves every length
            seen = self.static.layers[0].size
        positions = torch.nn.functional.pad(positions, (left, 0))
        valid = torch.nn.functional.pad(valid, (left, 0))
        slots = upload(torch.where(valid, positions, self.capacity), self.device)
        positions = upload(positions, self.device)
        for layer in self.static.layers:
            layer.slots, layer.seen = slots, seen
        self.shapes.add((width, seen))
        tokens = torch.nn.functional.pad(tokens, (left, 0))
        extra = {"logits_to_keep": min(up(keep), width)} if self.keeps else {}
        with self.observer(self.name, tokens.numel()), self.way.during():
            out: Tensor = self.step(tokens, positions, self.masks(positions, count, seen), self.static, extra)
        return out[:, -keep:]

    def adopt(self, layers: Sequence[tuple[Tensor, Tensor]]) -> None:
        for layer, (keys, values) in zip(self.static.layers, layers, strict=True):
            layer.keys[:, :, : keys.shape[2]] = keys
            layer.values[:, :, : values.shape[2]] = values

    def select(self, index: Tensor) -> None:
        raise RuntimeError("a compiled model keeps its rows")


def allocated(model: Any, rows: int, capacity: int, device: torch.device, tokens_first: bool) -> Cache:
    """A static cache, made outside of any graph, of the shapes that one throw-away pass shows."""
    shown = DynamicCache()
    one = torch.zeros(1, 1, dtype=torch.long, device=device)
    with torch.no_grad(), eagerly(is_compiled(model)), own_way(model).during():
        model(input_ids=one, position_ids=one, use_cache=True, **{cache_name(forward_of(model)): shown})
    layers = [StaticLayer(capacity, tokens_first) for _ in shown.layers]
    for layer, seen in zip(layers, shown.layers, strict=True):
        layer.lazy_initialization(*(x.expand(rows, -1, -1, -1) for x in (seen.keys, seen.values)))
    return Cache(layers=layers)


def compiled(model: Any, options: dict[str, Any]) -> Any:
    """The model's pass, compiled once per model and options: graphs outlive a call of ``generate``.

    Raises:
        RuntimeError: torch.compile cannot run here; one sentence.
    """
    store, key, name = kept_for(model), repr(sorted(options.items())), cache_name(forward_of(model))
    if key in store:
        return store[key]

    def step(tokens: Tensor, positions: Tensor, mask: Any, cache: Cache, extra: dict[str, int]) -> Tensor:
        out = model(
            input_ids=tokens, position_ids=positions, attention_mask=mask, use_cache=True, **{name: cache}, **extra
        )
        logits: Tensor = out.logits
        return logits

    chosen: dict[str, Any] = {"dynamic": False, "fullgraph": True}
    if next(model.parameters()).device.type == "cuda" and "options" not in options:  # torch takes one of the two
        chosen["mode"] = "reduce-overhead"
    with failures(model):
        fast = torch.compile(step, **(chosen | options))

    def call(*arguments: Any) -> Tensor:
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        with torch._dynamo.config.patch(recompile_limit=GRAPHS), failures(model):
            out: Tensor = fast(*arguments)
        return out.clone()  # a graph's output is overwritten by its next run

    store[key] = call
    return call


@contextmanager
def failures(model: Any) -> Iterator[None]:
    """The compiler's errors as one sentence."""
    try:
        yield
    except (torch._dynamo.exc.TorchDynamoException, InductorError) as error:
        raise RuntimeError(
            f"{type(model).__name__} cannot be compiled here ({said(error)}); use compile=False."
        ) from error
