"""From what `decoder` is given to lanes: models, stop tokens, prompts and caches, each checked."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationMixin

from ..chances import Chance
from ..target import Target
from ..vocabulary import output_size, shared_vocabulary
from ..vocabulary_map import VocabularyMap
from .agreement import TOKENS, check_agreement
from .capacity import check_capacity, check_rotation
from .huggingface import begun, cache_name, check_model, inner_models, is_recurrent
from .ids import Padding, check_inputs, padding_of, read_ids, unpad
from .lanes import Lane, MappedLane, adopt, lane_for
from .model import Observer, unobserved
from .settings import pad_token, proxy_stops, settle_target, settle_window, stop_tokens
from .wrappers import unwrap

CACHE = cache_name(GenerationMixin.prepare_inputs_for_generation)  # what Hugging Face's generate calls a user's


@dataclass(frozen=True)
class Request:
    """What `kad.decoder` is told.

    Raises:
        ValueError: a target, a window, compile options or a proxy that is none.
    """

    proxy: Any
    target: Target
    window: Any
    vocabulary: int | None = None
    compile: bool | dict[str, Any] = False
    keep_top_k: bool = False
    vocabulary_map: VocabularyMap | None = None
    proxy_input_ids: Any = None
    proxy_attention_mask: Any = None
    proxy_past_key_values: Any = None
    generator: torch.Generator | Chance | None = None
    streamer: Any = None
    observer: Observer = unobserved

    def __post_init__(self) -> None:
        if not isinstance(self.compile, (bool, dict)):
            raise ValueError(f"compile must be True, False or a dict of torch.compile's options, got {self.compile!r}.")
        check_model(unwrap(self.proxy, "proxy"), "proxy")
        object.__setattr__(self, "target", settle_target(self.target))
        object.__setattr__(self, "window", settle_window(self.window))

    @property
    def options(self) -> dict[str, Any] | None:
        """Of ``torch.compile``; None is without it."""
        return self.compile if isinstance(self.compile, dict) else {} if self.compile else None


@dataclass(frozen=True)
class Ready:
    """The models of a run, and what they agree on.

    Attributes:
        request: what was asked.
        base: as it was given.
        models: by role, as lanes run them.
        stops: the ids that end a row.
        size: how many ids the rule reads.
        forbidden: from this id on they are padding of the vocabulary; None if none is.
        pad: what prompts are padded with, as far as the generation config knows.
    """

    request: Request
    base: Any
    models: dict[str, Any]
    stops: set[int]
    size: int
    forbidden: int | None
    pad: int

    @classmethod
    def of(cls, base: Any, request: Request, config: Any) -> Ready:
        """Look at the models.

        Raises:
            ValueError: one of them cannot be run so, or they share no vocabulary.
        """
        mapping, target = request.vocabulary_map, request.target
        models = inner_models(base, request.proxy, target.reference)
        if request.window != 0:
            for name, one in models.items():
                if is_recurrent(one):
                    raise ValueError(
                        f"the {name} ({type(one).__name__}) has a recurrent state and cannot roll back; use window=0."
                    )
        sizes, vocabulary = {name: output_size(one) for name, one in models.items()}, request.vocabulary
        if mapping is not None:
            if target.reference is not None:
                raise ValueError("a target with a reference model needs a proxy with the base's own tokenizer.")
            if request.proxy_input_ids is None:
                raise ValueError("a proxy with another vocabulary needs proxy_input_ids, the prompt in its own ids.")
            sizes, vocabulary = {"base": sizes["base"]}, len(mapping.proxy_of)
        stops = stop_tokens(config) | proxy_stops(request.proxy, mapping)
        size, forbidden = shared_vocabulary(sizes, vocabulary, stops)
        if mapping is not None:
            size, forbidden = len(mapping.proxy_of), None  # neither model's padding is ever read
        return cls(request, base, models, stops, size, forbidden, pad_token(config, stops))

    def outputs(self, name: str) -> int:
        """How many of a model's logits count."""
        mapped = name == "proxy" and self.request.vocabulary_map is not None
        return output_size(self.models[name]) if mapped else self.size

    def room(self, name: str, limit: int) -> int:
        """Tokens of a model's own for so many of the base's, at most."""
        mapping = self.request.vocabulary_map
        return (
            limit * max([1, *map(len, mapping.pieces.values())]) if name == "proxy" and mapping is not None else limit
        )


@dataclass(frozen=True)
class Prompts:
    """The prompts of all rows.

    Attributes:
        ids: ``(B, L)``, the base's as Hugging Face lays them out.
        base, proxy: one ``(n,)`` per row, without padding.
        proxy_width: of the proxy's own as they were given, or L.
    """

    ids: Tensor
    base: list[Tensor]
    proxy: list[Tensor]
    proxy_width: int

    def of(self, name: str) -> list[Tensor]:
        return self.proxy if name == "proxy" else self.base


def prompts_of(ready: Ready, input_ids: Tensor, given: Mapping[str, Any]) -> Prompts:
    """Take off the padding; the proxy's prompts are the base's unless it has its own.

    Raises:
        ValueError: inputs that kad does not hand on, other numbers of rows, or ids beyond a vocabulary.
    """
    request, mask = ready.request, given.get("attention_mask")
    rows = unpad(input_ids, mask, "input_ids")
    check_inputs(given, input_ids, mask, "the base")
    seeds = getattr(request.generator, "seeded_rows", None)
    if seeds not in (None, len(rows)):
        raise ValueError(f"there are {len(rows)} rows and {seeds} seeds; give one seed per row.")
    own, width = rows, input_ids.shape[1]
    if request.proxy_input_ids is not None:
        padding = padding_of(request.proxy, Padding(ready.pad))
        ids, mask = read_ids(request.proxy_input_ids, request.proxy_attention_mask, "proxy_input_ids", padding)
        own, width = unpad(ids, mask, "proxy_input_ids"), ids.shape[1]
        copies, rest = divmod(len(rows), len(own))
        if rest:
            raise ValueError(f"the base has {len(rows)} prompts, the proxy {len(own)}; give one for one.")
        own = [row for row in own for _ in range(copies)]  # num_return_sequences
    for prompts, size in ((rows, ready.size), (own, ready.outputs("proxy"))):
        largest = max(int(row.max()) for row in prompts)
        if largest >= size:
            raise ValueError(f"the prompt has token id {largest}, but the models share only {size} ids.")
    return Prompts(input_ids.long(), rows, own, width)


def lanes_of(
    ready: Ready, prompts: Prompts, limit: int, given: Mapping[str, Any]
) -> tuple[dict[str, Lane], Lane | MappedLane]:
    """The lanes by role, and the one that drafts.

    Raises:
        ValueError: a model that the texts do not fit in, or that computes something else in a lane than by itself.
    """
    request, lanes = ready.request, dict[str, Lane]()
    for name, one in ready.models.items():
        # With another vocabulary a token of the base's may be several of the proxy's, so there the limit is a lower bound.
        lengths = [len(row) for row in prompts.of(name)]
        check_capacity(name, one, max(lengths), limit)
        check_rotation(name, one, min(lengths), max(lengths), ready.room(name, limit))
    for name, one in ready.models.items():
        rows, room = prompts.of(name), ready.room(name, limit)
        plain = functools.partial(lane_for, name, one, room=TOKENS, vocabulary=output_size(one))
        check_agreement(name, one, rows[0], plain)  # which may find that the model's lanes need masks
        lanes[name] = lane_for(name, one, rows, room, ready.outputs(name), request.options, request.observer)
        if name != "base" and rows is prompts.base:
            lanes[name].share(lanes["base"])
    for name, cache, width in (
        ("base", given.get(CACHE), prompts.ids.shape[1]), ("proxy", request.proxy_past_key_values, prompts.proxy_width),
    ):  # fmt: skip
        if cache is not None and begun(cache, ready.models[name], name == "proxy"):
            adopt(lanes[name], cache, width)
    if request.vocabulary_map is None:
        return lanes, lanes["proxy"]
    return lanes, MappedLane(lanes["proxy"], request.vocabulary_map, limit)
