"""Models whose passes are compiled: fixed shapes, a cache that is allocated once, CUDA graphs on a GPU.

A pass is padded to one of a few widths, and attention reads the cache up to one of a few lengths, so that a handful
of graphs serves a whole run. Padding goes to a slot of its own that nobody attends to. Long prompts are read in chunks.
"""

from __future__ import annotations

import functools
import itertools
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._inductor.exc import InductorError
from transformers.cache_utils import Cache

from ..errors import said
from ..transfers import upload
from .huggingface import HuggingFaceModel, cache_name, seen_slots
from .masks import Masks, nothing_of
from .static import IDLE, borrowed, give_back
from .wrappers import forward_of, kept_for

CHUNK = 256  # tokens of a prompt that are read at once
SHORTEST = 128  # slots of the shortest cache that attention reads; the next ones double
GRAPHS = 64  # shapes that may be compiled before torch gives up: widths times lengths stay far below


def up(n: int, least: int = 1) -> int:
    """The smallest power of two that is ≥ n and ≥ least.

    >>> up(1), up(5), up(3, least=128)
    (1, 8, 128)
    """
    return max(least, 1 << (n - 1).bit_length())


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
        self.step = compiled(model, self.attends, options)
        self.shapes: set[tuple[int, int]] = set()
        self.rows = rows

    @functools.cached_property
    def static(self) -> Cache:
        """The cache, which a model has from its first pass on: under some targets the proxy is never asked.

        Its memory outlives the run, because CUDA graphs are bound to where it lies; two runs never share one.
        """
        memory = borrowed(self.model, self.rows, self.capacity, self.device)
        weakref.finalize(self, give_back, kept_for(self.model)[IDLE], memory).atexit = False
        return memory.cache(self.rows, self.capacity, self.attends.unmasked)

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
        if self.attends.unmasked:  # which is told how many slots count, so that one graph serves every length
            seen = self.static.layers[0].size
        if left:
            positions, valid, tokens = (torch.nn.functional.pad(x, (left, 0)) for x in (positions, valid, tokens))
        slots = upload(torch.where(valid, positions, self.capacity), self.device)
        positions = upload(positions, self.device)
        for layer in self.static.layers:
            layer.slots, layer.seen = slots, seen
        sees = upload(count.int(), self.device) if self.attends.unmasked else None
        self.shapes.add((width, seen))
        extra = {"logits_to_keep": min(up(keep), width)} if self.keeps else {}
        with self.observer(self.name, tokens.numel()), self.way.during():
            out: Tensor = self.step(tokens, positions, sees, self.static, extra)
        return out[:, -keep:]

    def adopt(self, layers: Sequence[tuple[Tensor, Tensor]]) -> None:
        for layer, (keys, values) in zip(self.static.layers, layers, strict=True):
            layer.keys[:, :, : keys.shape[2]] = keys
            layer.values[:, :, : values.shape[2]] = values

    def select(self, index: Tensor) -> None:
        raise RuntimeError("a compiled model keeps its rows")


def compiled(model: Any, masks: Masks, options: dict[str, Any]) -> Any:
    """The model's pass with its masks, compiled once per model and options: graphs outlive a call of ``generate``.

    The logits that it returns lie in the graph's own memory: the next pass overwrites them.

    Raises:
        RuntimeError: torch.compile cannot run here; one sentence.
    """
    store, key, name = kept_for(model), repr((masks, sorted(options.items()))), cache_name(forward_of(model))
    if key in store:
        return store[key]

    def step(tokens: Tensor, positions: Tensor, sees: Tensor | None, cache: Any, extra: dict[str, int]) -> Tensor:
        if sees is not None:
            mask = masks.counted(sees)
        else:
            slots = torch.arange(cache.layers[0].seen, device=positions.device)
            mask = masks.causal(positions, slots, nothing_of(model.dtype, positions.device))
        out = model(
            input_ids=tokens, position_ids=positions, attention_mask=mask, use_cache=True, **{name: cache}, **extra
        )
        logits: Tensor = out.logits
        return logits

    chosen: dict[str, Any] = {"dynamic": False, "fullgraph": True}
    if next(model.parameters()).device.type == "cuda" and "options" not in options:  # torch takes one of the two
        chosen["mode"] = "reduce-overhead"
    step.__code__ = step.__code__.replace()  # torch keeps graphs with a function's code, which is then this model's own
    with failures(model):
        fast = torch.compile(step, **(chosen | options))

    def call(*arguments: Any) -> Tensor:
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        with torch._dynamo.config.patch(recompile_limit=GRAPHS), failures(model):
            out: Tensor = fast(*arguments)
        return out

    # The graphs go when the pass goes.
    weakref.finalize(call, torch._dynamo.eval_frame.remove_from_cache, step.__code__).atexit = False
    store[key] = call
    return call


@contextmanager
def failures(model: Any) -> Iterator[None]:
    """The compiler's errors as one sentence."""
    try:
        yield
    except (torch._dynamo.exc.TorchDynamoException, torch._dynamo.exc.FailOnRecompileLimitHit, InductorError) as error:
        raise RuntimeError(
            f"{type(model).__name__} cannot be compiled here ({said(error)}); use compile=False."
        ) from error
