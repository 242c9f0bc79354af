"""kad's own loop over Hugging Face models: the engine that can tell everything."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor
from transformers import MinPLogitsWarper, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from ..chances import Chance
from ..checkpoints import Checkpoints
from ..decoding.model import Observer, unobserved
from ..decoding.pair import Pair
from ..decoding.trace import Trace
from ..decoding.wrappers import release
from ..target import Target
from .engine import CAPABILITIES, Engine, Generated, Generations, Scores, Settings
from .full_pass import full_pass

DECIMALS = 5  # of α in the results
PLAIN: dict[str, Any] = {
    "repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
}  # against what a checkpoint's own settings may add


@dataclass
class HuggingFace(Engine):
    """Models from checkpoints, on one machine.

    Attributes:
        checkpoints: the models by role, and their tokenizers.
        compile: see `kad.Pair`.
        chance: the source of draws where no seeds are given; None is torch's own.
        observer: within which every pass runs; see `kad.Options`.

    >>> from kad.checkpoints import load_checkpoints
    >>> import kad
    >>> engine = HuggingFace(load_checkpoints({}))
    >>> prompt = "q : tom has 6 apples . he loses 2 . he finds 9 more . how many apples does tom have now ? a :"
    >>> ids = [engine.tokenizer(prompt)["input_ids"]]
    >>> engine.generate(ids, kad.dual(0.4), Settings(new_tokens=40)).texts[0].text
    'first 6 - 2 = 4 . then 4 + 9 = 13 . #### 13'
    """

    checkpoints: Checkpoints
    compile: bool | dict[str, Any] = False
    chance: Chance | None = None
    observer: Observer = unobserved
    pairs: dict[tuple[str, bool], Pair] = field(default_factory=dict, init=False, repr=False)  # with their maps
    capabilities = frozenset(CAPABILITIES)

    @property
    def name(self) -> str:  # type: ignore[override]
        device = self.checkpoints.device.partition(":")[0]
        return f"torch on {device}{', compiled' if self.compile else ''}"

    @property
    def tokenizer(self) -> Any:  # type: ignore[override]
        return self.checkpoints.tokenizer

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        target: Target,
        settings: Settings,
        seeds: Sequence[int] | None = None,
        *,
        base: str = "base",
        proxy_prompts: Sequence[Sequence[int]] | None = None,
    ) -> Generations:
        models, start = self.checkpoints.held(), time.perf_counter()
        tokenizer = self.checkpoints.tokenizer_of(base)
        other = None if proxy_prompts is None else self.checkpoints.proxy_tokenizer
        options = PLAIN | {"max_new_tokens": settings.new_tokens, "do_sample": settings.temperature is not None}
        if settings.temperature is not None:
            options |= {"temperature": settings.temperature, "top_k": settings.top_k or 0, "min_p": settings.min_p}
            options |= {"top_p": settings.top_p or 1.0, "seed": seeds, "generator": self.chance}
        place = (base, other is not None)
        if place not in self.pairs:
            self.pairs[place] = Pair(models[base], models["proxy"], tokenizer, other, compile=self.compile)
        out = self.pairs[place].generate(
            prompts, target, window=settings.window, proxy_prompt=proxy_prompts, observer=self.observer,
            stop_strings=settings.stop_strings or None, **options,  # type: ignore[typeddict-item]
        )  # fmt: skip
        seconds = time.perf_counter() - start
        emitted = out.trace.emitted
        texts = [""] * len(emitted) if tokenizer is None else tokenizer.batch_decode(emitted, skip_special_tokens=True)
        return Generations([text_of_row(out.trace, i, text) for i, text in enumerate(texts)], seconds, out.trace)

    def release(self) -> None:
        for model in self.checkpoints.models.values():
            release(model)

    def score(self, ids: Tensor, target: Target, settings: Settings, *, start: int = 0, base: str = "base") -> Scores:
        models = self.checkpoints.held()
        models = models | {"base": models[base]}
        tokenizer, sample = self.checkpoints.tokenizer_of(base), settings.temperature is not None
        read, proxy, pi = full_pass(models, target, ids, tokenizer, start, sample, processors_of(settings))
        return Scores(pi, read, proxy)


def text_of_row(trace: Trace, row: int, text: str) -> Generated:
    """What a trace says of one row."""
    length = int(trace.lengths[row])
    drafted = [int(r.drafted[row]) for r in trace.rounds if r.drafted[row] >= 0]
    accepted = [int(r.accepted[row]) for r in trace.rounds if r.drafted[row] >= 0]
    counts = {
        "rounds": len(drafted), "base_fed": int(trace.base_fed[row]), "proxy_fed": int(trace.proxy_fed[row]),
        "drafted": sum(drafted), "accepted": sum(accepted),
    }  # fmt: skip
    origins = "".join("bqt"[o] for o in trace.origins[row, :length].tolist())
    alphas = tuple(None if a != a else round(a, DECIMALS) for a in trace.alphas[row, :length].tolist())
    return Generated(tuple(trace.ids[row, :length].tolist()), text, origins, alphas, counts)


def processors_of(settings: Settings) -> list[Any]:
    """Temperature and filters, in Hugging Face's order."""
    found: list[Any] = []
    if settings.temperature not in (None, 1.0):
        found.append(TemperatureLogitsWarper(settings.temperature))
    for value, make in (
        (settings.top_k, TopKLogitsWarper), (settings.top_p, TopPLogitsWarper), (settings.min_p, MinPLogitsWarper),
    ):  # fmt: skip
        if value is not None:
            found.append(make(value))  # type: ignore[operator]
    return found
