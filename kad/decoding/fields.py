"""What becomes of every field of Hugging Face's ``GenerationConfig``: one table, which a test walks over.

A field is honoured, or it has no say in what a causal language model's text is, or it is refused in one sentence where it
is set to anything but what it is when nobody asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypedDict

import torch
from torch import Tensor
from transformers import GenerationConfig

from ..chances import Chance
from .model import Observer


class Fields(TypedDict, total=False):
    """The fields of ``GenerationConfig`` that are honoured, with their meaning there; what is left out is the aligned model's.

    ``max_new_tokens``, ``do_sample``, ``temperature``, ``top_k``, ``top_p``, ``min_p``, ``repetition_penalty``, ``stop_strings``,
    ``num_return_sequences`` and so on. Both models' logits are filtered, before the rule; ``output_scores`` gives log π at
    every position.
    """

    max_length: int | None
    max_new_tokens: int | None
    min_length: int | None
    min_new_tokens: int | None
    max_time: float | None
    stop_strings: str | Sequence[str] | None
    do_sample: bool
    temperature: float | None
    top_k: int | None
    top_p: float | None
    min_p: float | None
    top_h: float | None
    typical_p: float | None
    epsilon_cutoff: float | None
    eta_cutoff: float | None
    repetition_penalty: float | None
    encoder_repetition_penalty: float | None
    no_repeat_ngram_size: int | None
    encoder_no_repeat_ngram_size: int | None
    bad_words_ids: list[list[int]] | None
    renormalize_logits: bool
    forced_bos_token_id: int | None
    forced_eos_token_id: int | list[int] | None
    remove_invalid_values: bool
    exponential_decay_length_penalty: tuple[int, float] | None
    suppress_tokens: list[int] | None
    begin_suppress_tokens: list[int] | None
    sequence_bias: Any
    watermarking_config: Any
    num_return_sequences: int
    output_scores: bool
    return_dict_in_generate: bool
    pad_token_id: int | None
    eos_token_id: int | list[int] | None


class DecoderOptions(TypedDict, total=False):
    """What `kad.decoder` takes by name too.

    Attributes:
        proxy_input_ids: the proxy's own prompts as ids, padded on the left.
        proxy_attention_mask: 1 where they are no padding.
        proxy_past_key_values: a Hugging Face cache of the proxy with their first columns; copied.
        generator: the source of randomness, or a `Chance` of your own; otherwise torch's global generator.
        streamer: an object with ``put`` and ``end``, such as Hugging Face's ``TextStreamer``.
        observer: called before every pass with the model's role and the places of the pass (rows times width), it gives a
            context manager within which the pass runs.
    """

    proxy_input_ids: Any
    proxy_attention_mask: Any
    proxy_past_key_values: Any
    generator: torch.Generator | Chance | None
    streamer: Any
    observer: Observer


class Options(Fields, DecoderOptions, total=False):
    """What `kad.generate` and `kad.Pair.generate` take by name beside prompt, target and window, with `DecoderOptions` and `Fields`.

    Attributes:
        input_ids: the prompts' ids, ``(B, L)``, padded on the left, as tensor, array or lists, instead of a prompt.
        attention_mask: 1 where ``input_ids`` is no padding; inferred as Hugging Face does if it is left out.
        proxy_prompt: another prompt for the proxy (a system prompt or a chat template that the base cannot read); the
            continuation is shared.
        past_key_values: a Hugging Face cache of the base with the first columns of ``input_ids``; copied.
        template: variables that the chat template reads beside the messages, such as ``{"enable_thinking": False}``.
        seed: of a generator made for this call; or one seed per row, whose text is then the same in any batch, up to
            the rounding of the models' logits there.
        stopping_criteria: as in Hugging Face's ``generate``.
        logits_processor: as there; they act on each model's logits before the rule and see the base's ids. Each must be a
            function of the text and the scores alone (docs, "What goes in").
        prefix_allowed_tokens_fn: as there, asked about texts that go on, never about one that has ended.
        generation_config: instead of the aligned model's.
        token_type_ids: of a tokenizer's answer, all zero; so are the two kinds for several senses.
        position_ids: likewise, as they follow from the mask.
    """

    input_ids: Any
    attention_mask: Any
    proxy_prompt: Any
    past_key_values: Any
    template: Mapping[str, Any] | None
    seed: int | Sequence[int] | None
    stopping_criteria: Sequence[Any] | None
    logits_processor: Sequence[Any] | None
    prefix_allowed_tokens_fn: Callable[[int, Tensor], Iterable[int]] | None
    generation_config: GenerationConfig | None
    token_type_ids: Any
    mm_token_type_ids: Any
    moe_mm_token_type_ids: Any
    position_ids: Any


HONOURED = tuple(Fields.__annotations__)
BESIDE = frozenset(Options.__annotations__.keys() - Fields.__annotations__.keys())

# Memory and speed of Hugging Face's own loop, the ranking of beams, an encoder's companions, where a file came from.
IGNORED = (
    "use_cache", "cache_implementation", "cache_config", "max_cache_len", "prefill_chunk_size", "compile_config",
    "disable_compile", "continuous_batching_config", "low_memory", "num_assistant_tokens",
    "num_assistant_tokens_schedule", "assistant_confidence_threshold", "assistant_lookbehind", "target_lookbehind",
    "max_matching_ngram_size", "speculation_type", "early_stopping", "length_penalty", "bos_token_id",
    "decoder_start_token_id", "transformers_version", "_from_model_config", "_commit_hash",
)  # fmt: skip

NO_BEAMS = "kad samples or decodes greedily; use num_beams=1"
NO_MODE = "kad has no such way of decoding; drop {name} (what is decoded from is target=...)"
REFUSED: dict[str, tuple[tuple[object, ...], str]] = {  # values that ask for nothing, and the sentence about others
    "num_beams": ((1,), NO_BEAMS),
    "num_beam_groups": ((1,), NO_BEAMS),
    "diversity_penalty": ((0,), NO_BEAMS),
    "constraints": ((), NO_BEAMS),
    "force_words_ids": ((), NO_BEAMS),
    "penalty_alpha": ((0,), NO_MODE),
    "dola_layers": ((), NO_MODE),
    "use_mtp": ((False,), "kad drafts with the proxy; drop use_mtp, window=... is the number of drafts"),
    "prompt_lookup_num_tokens": ((), "kad drafts with the proxy; drop {name}, window=... is the number of drafts"),
    "assistant_early_exit": ((), "kad drafts with the proxy; drop {name}, window=... is the number of drafts"),
    "assistant_ensemble_weight": ((), "a constant mixture is target=kad.Ensemble(w); drop assistant_ensemble_weight"),
    "guidance_scale": (
        (1,), "guidance_scale keeps a second text beside the one that is decoded, which drafts cannot take back; drop it",
    ),
    "token_healing": ((False,), "kad does not rewrite prompts; drop token_healing"),
    "is_assistant": ((False,), "is_assistant ends drafts of Hugging Face's own assisted decoding early; drop it"),
    "output_attentions": ((False,), "kad does not return attentions; drop {name}=True (output_scores=True gives log π)"),
    "output_hidden_states": ((False,), "kad does not return hidden states; drop {name}=True (output_scores=True gives log π)"),
    "output_logits": ((False,), "kad does not return raw logits; drop {name}=True (output_scores=True gives log π)"),
}  # fmt: skip


def check_fields(config: GenerationConfig) -> None:
    """Raise a ValueError, in one sentence, if a field asks for what kad does not do, or is one that kad has never met.

    >>> check_fields(GenerationConfig(temperature=0.7, do_sample=True))
    """
    for name, (neutral, sentence) in REFUSED.items():
        value = getattr(config, name, None)
        if value is not None and not any(value is x or (not isinstance(x, bool) and value == x) for x in neutral):
            raise ValueError(sentence.format(name=name) + ".")
    defaults = {**vars(GenerationConfig()), **config._get_default_generation_params()}
    for name in defaults.keys() - {*HONOURED, *IGNORED, *REFUSED}:
        asked: Any = getattr(config, name, None)
        if asked is not None and asked is not False and asked != defaults[name]:
            raise ValueError(f"kad does not know the setting {name}, which this version of transformers has; drop it.")
