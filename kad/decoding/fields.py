"""What becomes of every field of Hugging Face's ``GenerationConfig``: one table, which a test walks over.

A field is honoured, or it has no say in what a causal language model's text is, or it is refused in one sentence where it
is set to anything but what it is when nobody asks.
"""

from __future__ import annotations

from typing import Any

from transformers import GenerationConfig

HONOURED = (
    "max_length", "max_new_tokens", "min_length", "min_new_tokens", "max_time", "stop_strings", "do_sample", "temperature",
    "top_k", "top_p", "min_p", "top_h", "typical_p", "epsilon_cutoff", "eta_cutoff", "repetition_penalty",
    "encoder_repetition_penalty", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "bad_words_ids",
    "renormalize_logits", "forced_bos_token_id", "forced_eos_token_id", "remove_invalid_values",
    "exponential_decay_length_penalty", "suppress_tokens", "begin_suppress_tokens", "sequence_bias", "watermarking_config",
    "num_return_sequences", "output_scores", "return_dict_in_generate", "pad_token_id", "eos_token_id",
)  # fmt: skip

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
