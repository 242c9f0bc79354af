"""What is measured: one call decodes a batch of prompts by exactly so many tokens, and kad's also says what it fed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache
from transformers.generation import utils

from ..chances import Sampled, passed
from ..checkpoints import Checkpoints
from ..decoding.huggingface import cache_name
from ..decoding.model import Observer, unobserved
from ..decoding.trace import Trace
from ..engines import HuggingFace, Settings
from ..mixture import Base
from ..target import Target
from .pairs import Models


@dataclass(frozen=True)
class Race:
    """One setting, the same for every contender."""

    models: Models
    prompts: Tensor
    tokens: int
    sample: bool
    target: Target
    acceptance: float | None = None
    deferral: float = 0.2
    compile: bool = False
    observer: Observer = unobserved

    @property
    def options(self) -> dict[str, Any]:
        """For Hugging Face's ``generate``: no filter, no stop token, a fixed number of tokens."""
        options: dict[str, Any] = {"max_new_tokens": self.tokens, "do_sample": self.sample}
        return options | ({"top_k": 0, "temperature": 1.0, "top_p": 1.0} if self.sample else {})


Emitted = tuple[Tensor, Trace | None]


@dataclass(frozen=True)
class Contender:
    """A name, its window where it has one, and the call: from a race to the emitted ids and kad's trace, if any."""

    name: str
    window: int | str | None
    run: Callable[[Race], Emitted]
    only_single: bool = False


class Synthetic(Sampled):
    """Draws that cost what they cost, and verdicts at a given rate: random weights say nothing about acceptance."""

    def __init__(self, acceptance: float, deferral: float) -> None:
        super().__init__()
        self.acceptance, self.deferral = acceptance, deferral

    def leading(self, probability: Tensor) -> Tensor:
        given = torch.where(probability > 0, self.acceptance, probability)  # 0 where a row has no draft
        return passed(super().coin(given))

    def coin(self, probability: Tensor) -> Tensor:
        """For the last token of a round: whether the base's draw is kept."""
        return super().coin(torch.full_like(probability, 1 - self.deferral))


def kad_with(window: int | str, target: Target | None, race: Race) -> Emitted:
    chance = None if race.acceptance is None or not race.sample else Synthetic(race.acceptance, race.deferral)
    models = {"base": race.models.base, "proxy": race.models.proxy}
    engine = HuggingFace(Checkpoints(models, None), race.compile, chance, race.observer)
    settings = Settings(race.tokens, 1.0 if race.sample else None, window="auto" if window == "auto" else int(window))
    out = engine.generate(race.prompts.tolist(), target or race.target, settings)
    return torch.tensor([text.ids for text in out.texts]), out.trace


def base_alone(race: Race, **more: Any) -> Emitted:
    out = race.models.base.generate(race.prompts, attention_mask=torch.ones_like(race.prompts), **race.options, **more)
    return out[:, race.prompts.shape[1] :], None


def assisted(window: int, race: Race) -> Emitted:
    """Hugging Face's assisted decoding: the base, with the proxy as its assistant and a constant window."""
    config = race.models.proxy.generation_config
    config.num_assistant_tokens, config.num_assistant_tokens_schedule = window, "constant"
    config.assistant_confidence_threshold = 0.0
    with verdicts(race.acceptance if race.sample else None):
        return base_alone(race, assistant_model=race.models.proxy)


@contextmanager
def verdicts(acceptance: float | None) -> Iterator[None]:
    """Within it Hugging Face accepts drafts at a given rate too; it computes all that it otherwise would."""
    if acceptance is None:
        yield
        return
    right = utils._speculative_sampling

    def at_a_rate(
        ids: Tensor, candidate_logits: Tensor, length: int, logits: Tensor, **more: Any
    ) -> tuple[Tensor, Any]:
        _, _ = right(ids, candidate_logits, length, logits, **more)
        matches = passed(torch.rand(length, device=ids.device) < acceptance)
        token = ids[:, -1:]  # any token: the next one was drawn above
        return torch.cat([ids[:, ids.shape[1] - length :][:, : int(matches)], token], -1), matches

    with patch.object(utils, "_speculative_sampling", at_a_rate):
        yield


@torch.no_grad()
def two_models(race: Race) -> Emitted:
    """The textbook loop: both models at every step, π over the vocabulary, one draw."""
    ids, pair, emitted = race.prompts, (race.models.base, race.models.proxy), []
    caches = [{cache_name(model.forward): DynamicCache()} for model in pair]
    for _ in range(race.tokens):
        p, q = (
            torch.softmax(model(input_ids=ids, use_cache=True, logits_to_keep=1, **cache).logits[:, -1].float(), -1)
            for model, cache in zip(pair, caches, strict=True)
        )
        pi = race.target.unchecked(p, q)  # without the checks of a call by hand
        ids = torch.multinomial(pi, 1) if race.sample else pi.argmax(-1, keepdim=True)
        emitted.append(ids)
    return torch.cat(emitted, 1), None


def contenders(windows: list[int | str]) -> list[Contender]:
    """Everybody, peers first."""
    drafting = [int(w) for w in windows if w != "auto" and int(w) > 0]
    found = [Contender("HF generate", None, base_alone)]
    found += [Contender("HF assisted", w, partial(assisted, w), only_single=True) for w in drafting]
    found += [Contender("two-model loop", None, two_models)]
    found += [Contender("kad, π = p", w, partial(kad_with, w, Base())) for w in drafting]
    return found + [Contender("kad", w, partial(kad_with, w, None)) for w in windows]
