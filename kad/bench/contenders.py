"""What is measured: one call decodes a batch of prompts by exactly so many tokens, and kad's also says what it fed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers import CompileConfig
from transformers.cache_utils import DynamicCache, StaticCache

from ..checkpoints import Checkpoints
from ..decoding.huggingface import cache_name
from ..decoding.model import Observer, unobserved
from ..decoding.trace import Trace
from ..engines import HuggingFace, Settings
from ..mixture import Base
from ..target import Target, at_one_position
from .pairs import Models
from .verdicts import Prescribed, Synthetic, prescribing


@dataclass(frozen=True)
class Race:
    """One setting, the same for every contender.

    Attributes:
        models: the pair.
        prompts: ``(B, L)``.
        tokens: to emit per row.
        sample: or greedy.
        target: kad's.
        compile: whoever can compiles its passes; a dict of ``torch.compile``'s options.
        verdicts: whether drafts stand, where the models do not decide it.
        observer: within which passes run, of contenders that say so.
    """

    models: Models
    prompts: Tensor
    tokens: int
    sample: bool
    target: Target
    compile: bool | dict[str, Any] = False
    verdicts: Prescribed | None = None
    observer: Observer = unobserved

    @property
    def options(self) -> dict[str, Any]:
        """For Hugging Face's ``generate``: no filter, no stop token, a fixed number of tokens."""
        options: dict[str, Any] = {"max_new_tokens": self.tokens, "do_sample": self.sample}
        return options | ({"top_k": 0, "temperature": 1.0, "top_p": 1.0} if self.sample else {})

    @property
    def compilation(self) -> CompileConfig:
        """The same options for Hugging Face's own compilation."""
        config = CompileConfig(**(self.compile if isinstance(self.compile, dict) else {}))
        config._compile_all_devices = True  # type: ignore[assignment]  # on a CPU it would be left out in silence
        return config


Emitted = tuple[Tensor, Trace | None]


@dataclass(frozen=True)
class Contender:
    """Somebody who decodes.

    Attributes:
        name: what it is called.
        window: γ, where it has one.
        run: from a race to the emitted ids, and kad's trace; or to the seconds that another program says it took.
        only_single: it takes one row at a time.
        observed: it runs its passes within the race's observer; else hooks on the models see them.
        compiles: a race's ``compile`` makes a difference to it.
        outside: another program, whose passes nobody here sees.
    """

    name: str
    window: int | str | None
    run: Callable[[Race], Emitted | float]
    only_single: bool = False
    observed: bool = False
    compiles: bool = True
    outside: bool = False


def kad_with(window: int | str, target: Target | None, race: Race) -> Emitted:
    verdicts, chance = race.verdicts, None
    if race.sample and verdicts is not None:  # with π = p there is nothing to defer
        chance = Synthetic(verdicts if target is None else replace(verdicts, kept=torch.ones_like(verdicts.kept)))
    models = {"base": race.models.base, "proxy": race.models.proxy}
    engine = HuggingFace(Checkpoints(models, None), race.compile, chance, race.observer)
    settings = Settings(race.tokens, 1.0 if race.sample else None, window="auto" if window == "auto" else int(window))
    out = engine.generate(race.prompts.tolist(), target or race.target, settings)
    return torch.tensor([text.ids for text in out.texts]), out.trace


def base_alone(race: Race, **more: Any) -> Emitted:
    mask = torch.ones_like(race.prompts)
    out = race.models.base.generate(race.prompts, attention_mask=mask, **race.options, **more)
    return out[:, race.prompts.shape[1] :], None


def alone(race: Race) -> Emitted:
    """Hugging Face's generate; compiled, with the static cache that this asks for."""
    if race.compile is False:
        return base_alone(race)
    return base_alone(race, cache_implementation="static", compile_config=race.compilation)


def assisted(window: int, race: Race) -> Emitted:
    """Hugging Face's assisted decoding: the base, with the proxy as its assistant and a constant window."""
    config = race.models.proxy.generation_config
    config.num_assistant_tokens, config.num_assistant_tokens_schedule = window, "constant"
    config.assistant_confidence_threshold = 0.0
    with prescribing(race.verdicts if race.sample else None, race.prompts.shape[1]):
        return base_alone(race, assistant_model=race.models.proxy)


def looked_up(window: int, race: Race) -> Emitted:
    """Hugging Face's prompt lookup: drafts from the text itself, judged by the base alone."""
    return base_alone(race, prompt_lookup_num_tokens=window)


def stepper(race: Race, role: str) -> Callable[[Tensor], Tensor]:
    """A model with a cache of its own: from the ids that follow to the last logits ``(B, V)``."""
    model, calls = getattr(race.models, role), 0
    length = race.prompts.shape[1] + race.tokens
    cache = DynamicCache() if race.compile is False else StaticCache(config=model.config, max_cache_len=length)
    later = model if race.compile is False else model.get_compiled_call(race.compilation)

    def step(ids: Tensor) -> Tensor:
        nonlocal calls
        run, calls = later if calls else model, calls + 1
        with race.observer(role, ids.numel()):
            out = run(input_ids=ids, use_cache=True, logits_to_keep=1, **{cache_name(model.forward): cache})
        logits: Tensor = out.logits[:, -1]
        return logits

    return step


@torch.no_grad()
def two_models(race: Race) -> Emitted:
    """The textbook loop: both models at every step, π over the vocabulary, one draw."""
    at_one_position(race.target, "the two-model loop")
    ids, emitted, steps = race.prompts, [], (stepper(race, "base"), stepper(race, "proxy"))
    for _ in range(race.tokens):
        p, q = (torch.softmax(step(ids).float(), -1) for step in steps)
        pi = race.target.unchecked(p, q)  # without the checks of a call by hand
        ids = torch.multinomial(pi, 1) if race.sample else pi.argmax(-1, keepdim=True)
        emitted.append(ids)
    return torch.cat(emitted, 1), None


def contenders(windows: Sequence[int | str], names: Sequence[str] = ()) -> list[Contender]:
    """Everybody, peers first; or those of these names.

    >>> [(c.name, c.window) for c in contenders([0, 3], ["assisted", "kad"])]
    [('HF assisted', 3), ('kad', 0), ('kad', 3)]
    """
    drafting = [int(w) for w in windows if w != "auto" and int(w) > 0]
    found = {
        "hf": [Contender("HF generate", None, alone)],
        "assisted": [Contender("HF assisted", w, partial(assisted, w), True, compiles=False) for w in drafting],
        "lookup": [Contender("HF prompt lookup", w, partial(looked_up, w), True, compiles=False) for w in drafting],
        "two-model": [Contender("two-model loop", None, two_models, observed=True)],
        "kad-base": [Contender("kad, π = p", w, partial(kad_with, w, Base()), observed=True) for w in drafting],
        "kad": [Contender("kad", w, partial(kad_with, w, None), observed=True) for w in windows],
    }
    return [c for name, some in found.items() if not names or name in names for c in some]
