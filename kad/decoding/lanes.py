"""Lanes: what one language model has been told, what it has read, and what that cost; and which lane fits a model.

The loop appends tokens (drafts included), asks for logits and truncates; a lane feeds its model exactly the tokens
that it has been told and not yet read, in one pass. So nothing can be fed twice, and a rollback is a length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from ..transfers import upload
from ..vocabulary import output_size
from ..vocabulary_map import VocabularyMap
from .huggingface import HuggingFaceModel, RecurrentModel, is_recurrent
from .model import Model, Observer, unobserved
from .settings import stop_tokens


@dataclass
class SharedText:
    """What lanes over the same prompts have been told, ``(B, capacity + 1)``, prompt and continuation of every row from column 0."""

    tokens: Tensor


@final
class Lane:
    """One model over a batch of ragged rows. Bookkeeping is on the CPU, tokens on the model's device.

    Attributes:
        text: whose ``tokens`` are the lane's; the last column is never counted.
        told: whether another lane, which is told first, writes them.
        prompt: ``(B,)``, prompt lengths.
        known: ``(B,)``, how many tokens of ``tokens`` count.
        read: ``(B,)``, how many of them are in the model's memory.
        rows: ``(B,)``, their numbers in the original batch.
        passes, fed: model calls, and tokens fed per row ``(rows of the original batch,)``.
        coverage: the share of the model's mass that counts; None if all of it does.
    """

    coverage: float | None = None

    def __init__(self, model: Model, prompts: Sequence[Tensor], room: int) -> None:
        self.model, self.name, self.fixed_rows = model, model.name, model.fixed_rows
        self.prompt = torch.tensor([len(p) for p in prompts])
        capacity = int(self.prompt.max()) + room
        self.told = False
        self.text = SharedText(torch.zeros(len(prompts), capacity + 1, dtype=torch.long, device=model.device))
        for row, p in enumerate(prompts):
            self.tokens[row, : len(p)] = upload(p, model.device)
        self.known, self.read = self.prompt.clone(), torch.zeros_like(self.prompt)
        self.rows = torch.arange(len(prompts))
        self.passes, self.fed = 0, torch.zeros_like(self.prompt)

    @property
    def tokens(self) -> Tensor:
        return self.text.tokens

    def share(self, teller: Lane) -> None:
        """Keep one text with another lane over the same prompts, which is always told first; if their models are in one place."""
        if self.tokens.device == teller.tokens.device:
            self.text, self.told = teller.text, True

    def append(self, token: Tensor, where: Tensor) -> None:
        """Tell the lane one more token of the rows ``where`` (a CPU mask)."""
        if self.told:
            self.known = self.known + where
            return
        device, at = self.tokens.device, self.known
        told = upload(token, device)
        if len(at) == 1 or (device.type != "cpu" and bool((at == at[0]).all())):  # without an upload
            self.tokens[:, int(at[0])] = told
        else:  # a row that is told nothing gets it behind what counts
            self.tokens.scatter_(1, upload(at.unsqueeze(-1), device), told.unsqueeze(-1))
        self.known = self.known + where

    def truncate(self, continuation: Tensor) -> None:
        """Forget everything after the first ``continuation (B,)`` tokens of every row's continuation."""
        self.known = torch.minimum(self.known, self.prompt + continuation)
        self.read = torch.minimum(self.read, self.known)
        self.model.rollback(self.read)

    def logits(self, where: Tensor, keep: int) -> Tensor:
        """Feed what the rows ``where`` have not read; their last ``keep`` logits, ``(B, keep, V)``, right-aligned.

        Rows shorter than the widest stand at the right, so that one ``keep`` serves all of them.
        """
        widths = self.known - self.read
        if not bool(where.all()):
            widths = torch.where(where, widths, 0)
        width = int(widths.max())
        column = torch.arange(width).unsqueeze(0)
        positions = self.known.unsqueeze(-1) - width + column
        valid = column >= (width - widths).unsqueeze(-1)
        if not bool(valid.all()):
            positions = torch.where(valid, positions, 0)
        first = int(positions[0, 0])
        if self.tokens.device.type != "cpu" and bool(valid.all() & (positions[:, 0] == first).all()):  # likewise
            tokens = self.tokens[:, first : first + width]
        else:
            tokens = self.tokens.gather(1, upload(positions, self.tokens.device))
        out = self.model.run(tokens, positions, valid, min(keep, width))[..., : self.model.vocabulary]
        self.read = torch.where(where, self.known, self.read)
        self.passes += 1
        self.fed[self.rows] += widths
        return out

    def select(self, index: Tensor) -> None:
        """Keep only these rows; finished rows then cost nothing."""
        if not self.told:
            self.text.tokens = self.tokens[upload(index, self.tokens.device)]
        self.prompt, self.known, self.read = self.prompt[index], self.known[index], self.read[index]
        self.rows = self.rows[index]
        self.model.select(index)


def lane_for(
    name: str,
    model: Any,
    prompts: Sequence[Tensor],
    room: int,
    vocabulary: int,
    options: dict[str, Any] | None = None,
    observer: Observer = unobserved,
) -> Lane:
    """The lane that fits the model; ``options`` are those of ``torch.compile``, None is without it."""
    recurrent, capacity = is_recurrent(model), max(map(len, prompts)) + room
    runs: Model
    if options is None and recurrent:
        runs = RecurrentModel(name, model, len(prompts), vocabulary)
    elif options is None:
        runs = HuggingFaceModel(name, model, capacity, vocabulary)
    elif recurrent:
        raise ValueError(f"the {name} ({type(model).__name__}) has a recurrent state; use compile=False.")
    elif len(set((getattr(model, "hf_device_map", None) or {}).values())) > 1:
        raise ValueError(f"the {name} lies on several devices (device_map), which moves its layers; use compile=False.")
    else:
        from .compiled import CompiledModel  # the compiler is slow to import

        runs = CompiledModel(name, model, len(prompts), capacity, vocabulary, options)
    runs.observer = observer
    return Lane(runs, prompts, room)


def adopt(lane: Lane, cache: Any, width: int) -> None:
    """Let a lane begin with a user's cache of the first columns of its left-padded prompts, ``width`` wide; copies.

    The last token of a prompt is read in any case: its logits are wanted.

    Raises:
        ValueError: layers that do not hold every column, another number of rows, or a model without slots.
    """
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
    own = lane.model.layers
    if own and len(layers) != own:
        raise ValueError(f"the {lane.name}'s cache has {len(layers)} layers, the model {own}.")
    lane.model.adopt(layers)
    lane.read = torch.minimum((columns - pad).clamp_min(0), lane.prompt - 1)


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
