"""What a result is of: everything that makes its text, but for the question and the seed."""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from ..chances import seed_from
from ..defaults import EVALUATED_AT
from ..mixture import Placement
from .methods import Method
from .task import Part, Protocol

# Fields that format 2 has added, with what a result of format 1 says of them: nothing. They are left out of its hash, which
# so stays the one that its lines carry, and never is that of a newer result, whose law is recorded.
ADDED: dict[str, Any] = {
    "part": None, "prompt": "", "template": (), "engine": "", "law": 0, "code": "", "settings": (), "protocol": "kad",
}  # fmt: skip


@dataclass(frozen=True)
class Configuration:
    """Everything that a result depends on, but for the question and the seed.

    Attributes:
        task: its name.
        method, value: see `Method`.
        placement: where the temperature enters.
        window: speculative drafts a round.
        temperature: of sampling; None for greedy decoding.
        top_p, top_k, min_p: one common filter on every model's distribution, before the rule.
        new_tokens: the longest reply.
        shots: exemplary questions in the prompt.
        shuffle: seed of the options' order.
        models: fingerprints of the models that the method uses, by role.
        part: the questions' part of the data; None in results of format 1, which did not record it.
        prompt: a hash of what all prompts have in common, as it is rendered: system prompt, examples, template, tokenizers.
        template: variables that the chat template was given.
        engine: what decodes, and on what.
        law: `LAW_VERSION` of the kad that sampled; 0 in results of format 1.
        code: a hash of the files of a target, loss or solver of the user's own.
        settings: hashes of what the configurations of these models say beside the weights, by role.
        protocol: whose prompts, limits and order of options: ``"kad"`` (all results that do not say it), or ``"paper"``.

    >>> Configuration("gsm8k", "dual", 0.4).key == Configuration("gsm8k", "dual", 0.3).key
    False
    """

    task: str
    method: str
    value: float | None = None
    placement: Placement = "models"
    window: int = 0
    temperature: float | None = EVALUATED_AT
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    new_tokens: int = 512
    shots: int = 0
    shuffle: int = 0
    models: tuple[tuple[str, str], ...] = ()
    part: Part | None = None
    prompt: str = ""
    template: tuple[tuple[str, Any], ...] = ()
    engine: str = ""
    law: int = 0
    code: str = ""
    settings: tuple[tuple[str, str], ...] = ()
    protocol: Protocol = "kad"

    @property
    def of(self) -> Method:
        return Method(self.method, self.value)

    @property
    def recorded(self) -> bool:
        """Whether it says of which prompt, part and law it is; results of format 1 do not."""
        return self.law > 0

    @property
    def heat(self) -> str:
        """The temperature in words."""
        return "greedy" if self.temperature is None else f"T {self.temperature:g}"

    @property
    def filtered(self) -> str:
        """The common filter in words; empty without one.

        >>> Configuration("gsm8k", "dual", 0.4, min_p=0.3).filtered
        'min-p 0.3'
        """
        parts = (("top-p", self.top_p), ("top-k", self.top_k), ("min-p", self.min_p))
        return ", ".join(f"{name} {value:g}" for name, value in parts if value is not None)

    @property
    def options(self) -> str:
        """The chat template's variables in words; empty without any.

        >>> Configuration("gsm8k", "p", template=(("enable_thinking", False),)).options
        'enable_thinking=false'
        """
        return ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in self.template)

    @property
    def key(self) -> str:
        """A hash of all of it: results of different configurations never meet."""
        return hash_of(self, newer=True)


@functools.cache
def hash_of(configuration: Configuration, newer: bool) -> str:
    """A hash of what format 1 recorded, from which the draws follow, so that a text is what it was then; ``newer``: of all."""
    own = asdict(configuration).items()
    fields = {name: value for name, value in own if name not in ADDED or (newer and value != ADDED[name])}
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:16]


def seed_of(configuration: Configuration, item: str, seed: int) -> int:
    """The random seed of one row, from what it is alone: not from its batch, its order or a resumption."""
    return seed_from(f"{hash_of(configuration, newer=False)}/{item}/{seed}")
