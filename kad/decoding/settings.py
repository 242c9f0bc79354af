"""Settings as the loop takes them: the generation config, stop tokens, the window."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterable
from typing import Any

from torch import Tensor
from transformers import GenerationConfig, TopKLogitsWarper

from ..checks import forgotten_classvar, instance
from ..defaults import NEW_TOKENS, TEMPERATURE
from ..distributions import check_temperature
from ..target import Target, check_placement
from ..vocabulary_map import VocabularyMap
from .fields import check_fields
from .window import AutoWindow

logger = logging.getLogger(__name__)
CLASS_LEVEL_TOP_K = 50  # Hugging Face's default when nobody asked for one
NEUTRAL = {
    "temperature": TEMPERATURE, "top_k": 0, "top_p": 1.0, "typical_p": 1.0, "epsilon_cutoff": 0.0, "eta_cutoff": 0.0,
    "min_p": None, "top_h": None,
}  # fmt: skip


def settle_window(window: Any) -> int | AutoWindow:
    """The window as the loop takes it, or one sentence about what is wrong with it."""
    if window == "auto":
        return AutoWindow()
    if not isinstance(window, AutoWindow) and (isinstance(window, bool) or not isinstance(window, int) or window < 0):
        raise ValueError(f'window must be an integer ≥ 0 (the number of drafts a round) or "auto", got {window!r}.')
    return window


def settle_target(target: Any) -> Target:
    """The target as the loop takes it, or one sentence about what is wrong with it."""
    if isinstance(target, type):
        instance("target", target, Target)  # type: ignore[type-abstract]
    if not isinstance(target, Target):
        raise ValueError(f"target must be a kad.Target such as kad.dual(0.4), got {type(target).__name__}.")
    check_placement(target.placement)
    if sentence := forgotten_classvar(target, Target):
        raise ValueError(f"{sentence[:-1]}, and run kad.testing.check_target.")
    if getattr(target.made_of.get("solver"), "per_row", False):
        raise ValueError(
            f"{target.made_of['solver']} has a number for every row, and decoded rows come and go; give it one number, or decode the "
            "rows one by one."
        )
    return target


def settle_config(
    base: Any,
    proxy: Any,
    given: GenerationConfig | None,
    options: dict[str, Any],
    vocabulary_map: VocabularyMap | None = None,
) -> GenerationConfig:
    """The generation config: the aligned model's, the caller's options, and nothing of Hugging Face's class level."""
    config = copy.deepcopy(given if given is not None else proxy.generation_config)
    if vocabulary_map is not None and given is None:  # the aligned model's ids mean nothing to the base
        config.eos_token_id, config.pad_token_id, config.bos_token_id = None, base.generation_config.pad_token_id, None
    wanted = {**config.to_dict(), **options}
    if (wanted.get("num_return_sequences") or 1) > 1 and not wanted.get("do_sample"):
        raise ValueError("num_return_sequences > 1 would repeat one greedy answer; add do_sample=True.")
    unknown = config.update(
        **{**options, "return_dict_in_generate": True}
    )  # always, and scores alone would be warned of
    if unknown:
        raise ValueError(f"generate does not know the option {min(unknown)!r}; options are fields of GenerationConfig.")
    check_fields(config)
    if config.temperature is not None:
        check_temperature(config.temperature)
    if not config.do_sample:
        asked = [name for name in NEUTRAL if options.get(name) not in (None, NEUTRAL[name])]
        if asked:
            raise ValueError(f"{asked[0]}={options[asked[0]]} has no effect on greedy decoding; add do_sample=True.")
    for name, value in NEUTRAL.items():
        if not config.do_sample:  # inert, and at Hugging Face's own defaults, so that it does not warn
            setattr(config, name, CLASS_LEVEL_TOP_K if name == "top_k" else value)
        elif getattr(config, name) is None:
            setattr(config, name, value)
    if "max_length" in options and "max_new_tokens" not in options:
        config.max_new_tokens = None  # the caller's limit, not the aligned model's
    elif given is None:
        config.max_length = None
    if config.max_new_tokens is None and config.max_length is None:
        config.max_new_tokens = NEW_TOKENS
    stops = stop_tokens(config) | stop_tokens(base.generation_config) | proxy_stops(proxy, vocabulary_map)
    config.eos_token_id = sorted(stops) or None
    config.pad_token_id = pad_token(config, stops)
    return config


def without_unasked_top_k(processors: list[Any], models: Iterable[Any]) -> list[Any]:
    """The processors without the top-k of Hugging Face's class level, unless one of the models asks for just that."""
    if any(model.generation_config.top_k == CLASS_LEVEL_TOP_K for model in models):
        return processors
    unasked = [p for p in processors if isinstance(p, TopKLogitsWarper) and p.top_k == CLASS_LEVEL_TOP_K]
    if unasked:
        logger.info("dropped Hugging Face's class-level top_k=50; kad.decoder(..., keep_top_k=True) keeps it")
    return [p for p in processors if p not in unasked]


def stop_tokens(config: Any) -> set[int]:
    """The ids that end a sequence, whether the config has none, one, a list or a tensor of them."""
    eos = config.eos_token_id
    if eos is None:
        return set()
    return {
        int(i) for i in (eos.flatten().tolist() if isinstance(eos, Tensor) else eos if isinstance(eos, list) else [eos])
    }


def proxy_stops(proxy: Any, vocabulary_map: VocabularyMap | None) -> set[int]:
    """The aligned model's stop tokens, in the base's ids."""
    return set(vocabulary_map.stop_tokens) if vocabulary_map is not None else stop_tokens(proxy.generation_config)


def pad_token(config: Any, stops: set[int]) -> int:
    pad = config.pad_token_id
    return int(pad) if pad is not None else min(stops, default=0)


def describe(processor: Any) -> str:
    """A processor's name and its plain parameters, for the trace."""
    plain = {k: v for k, v in vars(processor).items() if isinstance(v, (int, float)) and not k.startswith("_")}
    return f"{type(processor).__name__}({', '.join(f'{k}={v}' for k, v in plain.items())})"
