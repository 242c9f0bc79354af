"""A lane whose model has another vocabulary: to the loop it speaks the base's."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..vocabulary import output_size
from ..vocabulary_map import VocabularyMap
from .lane import Lane
from .settings import stop_tokens


def map_of(base: Any, proxy: Any, tokenizer: Any, proxy_tokenizer: Any) -> VocabularyMap:
    """The map of two models' tokenizers, over what the models have outputs for."""
    return VocabularyMap.between(
        tokenizer, proxy_tokenizer, stop_tokens(proxy.generation_config), outputs=output_size(base),
        proxy_outputs=output_size(proxy), base_stops=stop_tokens(base.generation_config),
    )  # fmt: skip


class MappedLane:
    """A lane around a lane: tokens go in and logits come out in the base's ids; the one inside counts and reads the proxy's own.

    A token of the base may be several of the proxy's, so how long a continuation is in the proxy's tokens is kept
    for every one of its lengths, and a rollback is looked up.

    Attributes:
        mass: the sum of the proxy's mass on mapped tokens over ``draws`` readings.

    Raises:
        ValueError: a map with tokens that the proxy has no output for.
    """

    def __init__(self, inner: Lane, vocabulary_map: VocabularyMap, room: int) -> None:
        largest = max([int(vocabulary_map.proxy_of.max()), *vocabulary_map.stops])
        if largest >= inner.model.vocabulary:
            raise ValueError(
                f"the vocabulary map has the proxy's token {largest}, but the proxy only {inner.model.vocabulary} outputs; build it "
                "with VocabularyMap.between(..., proxy_outputs=...)."
            )
        self.inner, self.map = inner, vocabulary_map
        self.name, self.fixed_rows, self.fed = inner.name, inner.fixed_rows, inner.fed
        self.told = torch.zeros(len(inner.rows), dtype=torch.long)
        self.ends = torch.zeros(len(inner.rows), room + 1, dtype=torch.long)
        self.mass, self.draws = 0.0, 0

    @property
    def passes(self) -> int:
        return self.inner.passes

    @property
    def coverage(self) -> float:
        """The mean mass of q* on mapped tokens, over all readings so far."""
        return self.mass / self.draws if self.draws else float("nan")

    def append(self, token: Tensor, where: Tensor) -> None:
        pieces = [self.map.read(t) if w else [] for t, w in zip(token.tolist(), where.tolist(), strict=True)]
        for i in range(max(len(p) for p in pieces)):
            here = torch.tensor([len(p) > i for p in pieces])
            self.inner.append(torch.tensor([p[i] if len(p) > i else 0 for p in pieces]), here)
        self.told += where
        lengths = self.inner.known - self.inner.prompt
        self.ends.scatter_(1, self.told.unsqueeze(-1), lengths.unsqueeze(-1))

    def truncate(self, continuation: Tensor) -> None:
        self.told = torch.minimum(self.told, continuation)
        self.inner.truncate(self.ends.gather(1, self.told.unsqueeze(-1)).squeeze(-1))

    def logits(self, where: Tensor, keep: int) -> Tensor:
        raw = self.inner.logits(where, keep)
        mapped = self.map.to_base(raw)
        mass = self.map.mapped_mass(raw[:, -1], mapped[:, -1])[where.to(raw.device)]
        self.mass, self.draws = self.mass + float(mass.sum()), self.draws + mass.numel()
        return mapped

    def select(self, index: Tensor) -> None:
        self.inner.select(index)
        self.told, self.ends = self.told[index], self.ends[index]
