"""What vLLM is to be told so that it serves a pair."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...checkpoints import attempt, check_place
from ...checks import whole
from ...decoding.settings import stop_tokens
from ...demo import MODELS
from ...loading import config_at, tokenizer_at
from ...target import Target, at_one_position
from ...vocabulary import shared_vocabulary, usable_ids
from ..spelling import spell

NAME = "KadForCausalLM"  # of the model, in vLLM's registry
HELD = ("base", "proxy", "reference")  # of the models, in this order
# For the embedded pair: vLLM would take nearly all memory, and not start where others use some; and compile for a minute.
EMBEDDED = {"dtype": "float32", "gpu_memory_utilization": 0.2, "enforce_eager": True}
STAGES = (
    "kad's models are not cut into pipeline stages; use tensor parallelism (--tensor-parallel, tensor_parallel_size)."
)


def arguments(
    base: str | Path | None, proxy: str | Path | None, target: Target, window: int = 0,
    reference: str | Path | None = None, **options: Any,
) -> dict[str, Any]:  # fmt: skip
    """Keyword arguments of ``vllm.LLM`` and ``vllm.AsyncEngineArgs`` that serve this pair. Nothing is loaded but configurations.

    The tokenizer with its chat template and the settings are the aligned model's, a text ends at either model's stop tokens, the
    context is the shorter one, and numbers are of the type that the base's configuration names (vLLM would make half of float32).
    Log-probabilities are of π (vLLM's raw ones would be of π^T).

    Args:
        base: a folder or a hub id; without base and proxy the embedded pair, with its reference.
        proxy: a folder or a hub id.
        reference: the small base model, for implicit reward.
        target: what is sampled where a request names no other.
        window: γ, drafts a round.
        options: more of vLLM's, which go before these.

    Raises:
        ValueError: models that cannot be served together, a target without its reference, or one that no other process can build.

    >>> import kad
    >>> made = arguments(None, None, kad.dual(0.4), window=3)
    >>> made["max_model_len"], made["speculative_config"]["num_speculative_tokens"]
    (256, 3)
    """
    if options.get("pipeline_parallel_size", 1) != 1:
        raise ValueError(STAGES)
    places = settled(base, proxy, reference)
    check_served(target, "reference" in places)
    configs = {role: text_config(role, place) for role, place in places.items()}
    sizes = {role: int(config.vocab_size) for role, config in configs.items()}
    tokens, stops = shared_tokens(places, sizes), sorted(ends(places))
    shared_vocabulary(sizes, tokens, stops)
    kad = {**places, "target": spell(target), "tokens": tokens, "stops": stops}
    made: dict[str, Any] = {
        "model": places["base"], "tokenizer": places["proxy"], "generation_config": places["proxy"],
        "override_generation_config": {"eos_token_id": stops} if stops else {},
        "hf_overrides": {"architectures": [NAME], "kad": kad}, "logprobs_mode": "processed_logprobs",
        **measures(configs, base is None),
    }  # fmt: skip
    if whole("the window", window, 0):
        made["speculative_config"] = drafts(places["proxy"], window, sizes)
    return made | options


def measures(configs: dict[str, Any], embedded: bool) -> dict[str, Any]:
    """The shorter context, and the type of numbers, as `kad.checkpoints` would have it; what nothing is said of is left to vLLM."""
    contexts = [c.max_position_embeddings for c in configs.values() if getattr(c, "max_position_embeddings", None)]
    found: dict[str, Any] = {"max_model_len": min(contexts)} if contexts else {}
    if embedded:
        return found | EMBEDDED
    dtype = configs["base"].dtype
    return found | ({} if dtype is None else {"dtype": str(dtype).removeprefix("torch.")})


def drafts(proxy: str, window: int, sizes: dict[str, int]) -> dict[str, Any]:
    """The proxy as vLLM's draft model."""
    if sizes["base"] != sizes["proxy"]:
        raise ValueError(
            f"vLLM takes drafts only from a model with as many outputs as the base, got {sizes['base']} and {sizes['proxy']}; use window=0."
        )
    # Its default drafts greedily, of which fewer stand.
    return {
        "method": "draft_model",
        "model": proxy,
        "num_speculative_tokens": window,
        "draft_sample_method": "probabilistic",
    }


def settled(base: Any, proxy: Any, reference: Any) -> dict[str, str]:
    """Where the models are, by role."""
    if (base is None) != (proxy is None):
        raise ValueError("give both the base and the proxy, or neither for the embedded pair.")
    if base is None:
        base, proxy, reference = MODELS / "base", MODELS / "proxy", reference or MODELS / "proxy-base"
    found = {"base": str(base), "proxy": str(proxy)} | ({} if reference is None else {"reference": str(reference)})
    for role, place in found.items():
        check_place(role, place)
    return found


def text_config(role: str, place: str) -> Any:
    """A model's configuration, if it is one that can be served.

    Raises:
        ValueError: it cannot be read, is quantised, or is of more than text.
    """
    with attempt(f"the {role}", place):
        config = config_at(place)
    if getattr(config, "quantization_config", None) is not None:
        raise ValueError(
            f"the {role} at {place} is quantised; vLLM would read every model of a pair by one scheme, so give its weights as they were."
        )
    if config.get_text_config() is not config:
        raise ValueError(f"the {role} at {place} reads more than text; give its language model alone.")
    return config


def shared_tokens(places: dict[str, str], sizes: dict[str, int]) -> int:
    """How many ids the one tokenizer of all models has.

    Raises:
        ValueError: they have several.
    """
    tokenizers = {}
    for role, place in places.items():
        with attempt(f"the {role}'s tokenizer", place):
            tokenizers[role] = tokenizer_at(place)
    for role, tokenizer in tokenizers.items():
        if tokenizer.get_vocab() != tokenizers["base"].get_vocab():
            raise ValueError(
                f"the {role} has another tokenizer than the base: vLLM feeds every model the same ids; kad.generate maps between two vocabularies."
            )
    return usable_ids(tokenizers["proxy"], sizes)


def ends(places: dict[str, str]) -> set[int]:
    """The ids that end a text: both models' stop tokens."""
    from transformers import GenerationConfig

    found = set[int]()
    for role in ("base", "proxy"):
        try:
            settings = GenerationConfig.from_pretrained(places[role])
        except OSError:  # without a file of its own; what its configuration says
            settings = config_at(places[role])
        found |= stop_tokens(settings)
    return found


def check_served(target: Target, reference: bool) -> None:
    """Raise a ValueError, in one sentence, if vLLM cannot sample the target, with or without a reference."""
    at_one_position(target, "vLLM")
    if needs_reference(target) and not reference:
        raise ValueError(f"{type(target).__name__} needs the small base model q: give its place as the reference.")


def needs_reference(target: Target) -> bool:
    """Whether its π is made of three models."""
    return "reference" in getattr(type(target), "__dataclass_fields__", {}) or target.reference is not None
