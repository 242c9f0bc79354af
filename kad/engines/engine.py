"""The interface: whatever can write texts of a target, and say how likely they are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor

from ..decisions import Reading
from ..decoding.trace import Trace
from ..defaults import NEW_TOKENS
from ..target import Target

CAPABILITIES = ("origins", "alphas", "counts", "trace", "score", "windows", "placements", "two vocabularies")


@dataclass(frozen=True)
class Settings:
    """How texts are drawn. What a checkpoint's own generation config would add is not in it, so it is not in the run.

    Attributes:
        new_tokens: the longest text.
        temperature: None is greedy decoding; the filters then have no effect.
        top_k, top_p, min_p: of both models, before the rule; None is none.
        window: γ, speculative drafts a round.
        stop_strings: a text ends at the first of them.
    """

    new_tokens: int = NEW_TOKENS
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    window: int | Literal["auto"] = 0
    stop_strings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Generated:
    """One text. An engine leaves out what it cannot tell.

    Attributes:
        ids: its tokens, with the one that ended it.
        text: the same without special tokens.
        origins: of every token b (the base), q (the proxy) or t (π, which does not tell); None if it is not known.
        alphas: the deferred mass at every token, None where there is none; None as a whole if it is not known.
        counts: rounds, drafted, accepted, base_fed, proxy_fed; empty if they are not known.
    """

    ids: tuple[int, ...]
    text: str
    origins: str | None = None
    alphas: tuple[float | None, ...] | None = None
    counts: dict[str, int] = field(default_factory=dict)

    def line(self) -> dict[str, Any]:
        """For a line of results: what is known."""
        known = {"origins": self.origins, "alphas": None if self.alphas is None else list(self.alphas)}
        told = {name: value for name, value in known.items() if value is not None}
        return {"text": self.text, "tokens": len(self.ids), "ids": list(self.ids), **told, **self.counts}


@dataclass(frozen=True)
class Generations:
    """The texts of one call, in the order of its prompts, and how long it took; the trace, if there is one."""

    texts: list[Generated]
    seconds: float
    trace: Trace | None = None


@dataclass(frozen=True)
class Scores:
    """π after every prefix of given texts, ``(B, n, V)``, and what it is made of."""

    pi: Tensor
    base: Reading
    proxy: Reading


class Engine(ABC):
    """Models and tokenizers behind two questions: write, and score. `kad.testing.check_engine` tests it.

    Attributes:
        name: what decodes, for the key of results: rounding and times are its own.
        capabilities: of `CAPABILITIES`, what it can.
        tokenizer: of the ids that go in and come out.
    """

    name: str
    capabilities: frozenset[str] = frozenset()
    tokenizer: Any

    @abstractmethod
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
        """One text per prompt.

        Args:
            prompts: ids, special tokens included.
            target: what is sampled.
            settings: how.
            seeds: one per prompt, whose text it then is in whatever batch; None only where nothing is drawn.
            base: the role of the model that stands in the base's place.
            proxy_prompts: the same in the proxy's own ids, if its vocabulary is another.

        Raises:
            ValueError: something that the engine cannot, in one sentence.
        """

    def accepts(self, target: Target, settings: Settings, base: str = "base") -> None:
        """Raise a ValueError, in one sentence, if this engine cannot do that; asked before anything runs."""

    def release(self) -> None:
        """Let go of what is kept between calls beside the models; asked when the memory is exhausted. By default that is nothing."""

    def score(self, ids: Tensor, target: Target, settings: Settings, *, start: int = 0, base: str = "base") -> Scores:
        """π after every token of ``ids (B, L)`` from ``start`` on, under the settings."""
        raise ValueError(f"the engine {self.name} cannot score texts; use one that has the capability 'score'.")
