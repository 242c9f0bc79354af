"""Every field of GenerationConfig is honoured (as a loop of full passes has it), neutral or refused; none of the base's counts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import GenerationConfig, WatermarkingConfig

import kad
from kad.decoding.fields import HONOURED, IGNORED, REFUSED

from ..models import ragged, tiny

TARGET, ROW = kad.dual(0.3), [3, 4, 5, 6, 3]
ASKED: dict[str, Any] = {  # something that each field can be set to and that is no default
    "min_length": 12, "min_new_tokens": 9, "temperature": 0.7, "top_k": 3, "top_p": 0.5, "min_p": 0.3, "top_h": 0.4,
    "typical_p": 0.5, "epsilon_cutoff": 0.1, "eta_cutoff": 0.1, "repetition_penalty": 1.9, "encoder_repetition_penalty": 1.9,
    "no_repeat_ngram_size": 2, "encoder_no_repeat_ngram_size": 2, "bad_words_ids": [[5], [6, 7]], "renormalize_logits": True,
    "forced_bos_token_id": 7, "forced_eos_token_id": 2, "remove_invalid_values": True,
    "exponential_decay_length_penalty": (2, 1.5), "suppress_tokens": [5, 9], "begin_suppress_tokens": [5, 9],
    "sequence_bias": [[[5], 3.0]], "watermarking_config": WatermarkingConfig(bias=3.0), "do_sample": True,
    "num_beams": 2, "num_beam_groups": 2, "diversity_penalty": 0.5, "constraints": [1], "force_words_ids": [[5]],
    "penalty_alpha": 0.6, "dola_layers": "high", "use_mtp": True, "prompt_lookup_num_tokens": 3, "assistant_early_exit": 1,
    "assistant_ensemble_weight": 0.5, "guidance_scale": 2.0, "token_healing": True, "output_attentions": True,
    "output_hidden_states": True, "output_logits": True,
    "use_cache": False, "cache_implementation": "static", "prefill_chunk_size": 2, "disable_compile": True,
    "num_assistant_tokens": 7, "num_assistant_tokens_schedule": "heuristic", "assistant_confidence_threshold": 0.9,
    "assistant_lookbehind": 3, "target_lookbehind": 3, "max_matching_ngram_size": 3, "length_penalty": 0.5,
    "early_stopping": True, "bos_token_id": 4, "decoder_start_token_id": 4, "is_assistant": True, "low_memory": True,
}  # fmt: skip
SHAPE = ("max_length", "max_new_tokens", "max_time", "stop_strings", "num_return_sequences", "output_scores",
         "return_dict_in_generate", "pad_token_id", "eos_token_id")  # fmt: skip
WARPS = ("temperature", "top_k", "top_p", "min_p", "top_h", "typical_p", "epsilon_cutoff", "eta_cutoff")
INERT = ("cache_config", "max_cache_len", "compile_config", "continuous_batching_config", "speculation_type",
         "transformers_version", "_from_model_config", "_commit_hash")  # fmt: skip


@pytest.fixture(scope="module")
def pair() -> tuple[Any, Any]:
    return tiny("llama", 1, torch.float64), tiny("qwen3", 2, torch.float64)


def test_the_table_knows_every_field() -> None:
    installed = set(vars(GenerationConfig()))
    assert installed <= {*HONOURED, *IGNORED, *REFUSED}
    assert len({*HONOURED, *IGNORED, *REFUSED}) == len(HONOURED) + len(IGNORED) + len(REFUSED)
    assert installed <= {*ASKED, *SHAPE, *INERT}, "the tests below leave a field out"


def reference(pair: tuple[Any, Any], text: list[int], prompt: int, name: str, length: int) -> torch.Tensor:
    """log π after every prefix of a text: full passes of both models, and Hugging Face's own processors on both."""
    base, proxy = pair
    config = GenerationConfig(
        **{"eos_token_id": 2, "pad_token_id": 0, "top_k": 0, "max_length": length, name: ASKED[name]}
    )
    config.do_sample = name in WARPS
    config._eos_token_tensor = torch.tensor([2])
    first = torch.tensor([text[:prompt]])
    processors = base._get_logits_processor(
        config, input_ids_seq_length=prompt, encoder_input_ids=first, logits_processor=[], device="cpu"
    )
    rows = []
    for end in range(prompt, len(text)):
        ids = torch.tensor([text[:end]])
        with torch.no_grad():
            p, q = (torch.softmax(processors(ids, m(ids).logits[:, -1].clone()), -1) for m in (base, proxy))
        rows.append(kad.mixture.mix(p, q, (p < 0.3).to(p))[0].log())
    return torch.stack(rows)


@pytest.mark.parametrize("name", [name for name in HONOURED if name in ASKED and name != "do_sample"])
def test_honoured(pair, name: str) -> None:
    """log π at every place of the text is the reference's, at every window; and the setting shows."""
    prompt = ROW[:1] if name == "forced_bos_token_id" else ROW
    options: dict[str, Any] = {"target": TARGET, "max_new_tokens": 12, "do_sample": name in WARPS, "seed": 3}
    plain = kad.generate(*pair, [prompt], output_scores=True, window=0, **options)
    shows = False
    for window in (0, 1, 3, 7):
        out = kad.generate(*pair, [prompt], output_scores=True, window=window, **options, **{name: ASKED[name]})
        text = out.sequences[0].tolist()
        want = reference(pair, text, len(prompt), name, len(prompt) + 12)
        got = torch.stack(out.scores)[:, 0]
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)
        n = min(len(plain.scores), len(got))
        shows |= text != plain.sequences[0].tolist() or not torch.allclose(got[:n], torch.stack(plain.scores)[:n, 0])
    assert shows or name in ("remove_invalid_values", "renormalize_logits", "min_length", "min_new_tokens")


@pytest.mark.parametrize("name", [name for name in REFUSED if name in vars(GenerationConfig())])
def test_refused(pair, name: str) -> None:
    ids = torch.tensor([ROW])
    for window in (0, 3):
        with pytest.raises(ValueError, match=r"kad|drafts") as caught:
            kad.generate(*pair, input_ids=ids, target=TARGET, window=window, max_new_tokens=3, **{name: ASKED[name]})
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["dola_layers", "penalty_alpha", "guidance_scale", "num_beam_groups"])
def test_refused_inside_hugging_face(pair, name: str) -> None:
    base, proxy = pair
    with pytest.raises(ValueError, match=name if name != "num_beam_groups" else "num_beams=1"):
        base.generate(
            torch.tensor([ROW]), custom_generate=kad.decoder(proxy, TARGET), max_new_tokens=3, **{name: ASKED[name]}
        )


@pytest.mark.parametrize("window", [0, 3])
def test_neutral(pair, window: int) -> None:
    options: dict[str, Any] = {"target": TARGET, "window": window, "max_new_tokens": 12}
    want = kad.generate(*pair, [ROW], **options).sequences
    for name in IGNORED:
        if name in ASKED:
            got = kad.generate(*pair, [ROW], **options, **{name: ASKED[name]}).sequences
            assert torch.equal(got, want), name


@pytest.mark.parametrize("sample", [False, True])
def test_nothing_of_the_base_counts(sample: bool) -> None:
    """Defaults are the aligned model's; the base's config only adds its stop tokens."""
    base, proxy = tiny("llama", 1), tiny("qwen3", 2)
    ids, mask = ragged(3, seed=3)
    options: dict[str, Any] = {"input_ids": ids, "attention_mask": mask, "target": TARGET, "max_new_tokens": 12}
    options |= {"do_sample": sample, "seed": 3}
    want = kad.generate(base, proxy, **options).sequences
    own = base.generation_config
    for name in sorted(vars(GenerationConfig())):
        if name == "eos_token_id":
            continue
        base.generation_config = GenerationConfig(eos_token_id=2, pad_token_id=0)
        value = ASKED.get(name, {"max_time": 1e-9, "stop_strings": ["a"], "pad_token_id": 9, "output_scores": True,
                                 "num_return_sequences": 2}.get(name, 3))  # fmt: skip
        setattr(base.generation_config, name, value)
        assert torch.equal(kad.generate(base, proxy, **options).sequences, want), name
        assert getattr(base.generation_config, name) is value
    base.generation_config = own


def test_greedy_decoding_refuses_what_only_sampling_heeds(pair) -> None:
    for name in WARPS:
        with pytest.raises(ValueError, match="no effect on greedy decoding"):
            kad.generate(*pair, [ROW], target=TARGET, do_sample=False, max_new_tokens=2, **{name: ASKED[name]})


@pytest.mark.parametrize("eos", [2, None])
@pytest.mark.parametrize("window", [0, 1, 3, 7])
def test_the_proxys_stop_tokens_are_known_to_the_processors(eos, window: int) -> None:
    base, proxy = tiny("llama", 1), tiny("qwen3", 2)
    base.generation_config.eos_token_id, proxy.generation_config.eos_token_id = eos, 9
    ids = torch.tensor([[3, 4, 5], [6, 7, 8]])
    wishes: list[dict[str, Any]] = [{"min_new_tokens": 12}, {"min_length": 15}, {"bad_words_ids": [[9]]}]
    for wish in wishes + ([{"exponential_decay_length_penalty": (2, 1.5)}] if eos else []):
        decode = kad.decoder(proxy, TARGET, window=window)
        got = base.generate(ids, custom_generate=decode, max_new_tokens=20, do_sample=False, **wish)
        want = kad.generate(base, proxy, input_ids=ids, target=TARGET, window=0, max_new_tokens=20, **wish).sequences
        assert torch.equal(got, want)
        if "bad_words_ids" not in wish and "exponential_decay_length_penalty" not in wish:
            assert not bool(torch.isin(got[:, 3:14], torch.tensor([2, 9] if eos else [9])).any())


def test_stop_strings_of_a_config_and_scores_without_a_warning(caplog) -> None:
    pair = kad.demo.load()
    prompt = "q : tom has 6 apples . he loses 2 . he finds 9 more . how many apples does tom have now ? a :"
    config = GenerationConfig(
        stop_strings=["then"], eos_token_id=pair.proxy.generation_config.eos_token_id, max_new_tokens=40
    )
    out = kad.generate(
        pair.base, pair.proxy, prompt, target=kad.dual(0.4), tokenizer=pair.tokenizer, generation_config=config
    )
    assert pair.tokenizer.decode(out.trace.ids[0]).endswith("then")
    with caplog.at_level("WARNING"):
        kad.generate(pair.base, pair.proxy, prompt, target=kad.dual(0.4), tokenizer=pair.tokenizer, output_scores=True)
    assert "ignored" not in caplog.text


@pytest.mark.parametrize("window", [0, 1, 3, 7])
@pytest.mark.parametrize("make", [kad.dual, kad.primal, kad.fractional, kad.nudging, kad.confidence_bet])
def test_numbers_of_single_rows_are_refused(pair, make, window: int) -> None:
    """Rows of a decoded batch come and go, and three numbers would also fit three drafted places."""
    for numbers in (torch.tensor([0.1, 0.2]), torch.tensor([0.1, 0.2, 0.3])):
        target = make(numbers)
        with pytest.raises(ValueError, match="one number, or decode the rows one by one"):
            kad.generate(*pair, [ROW, ROW], target=target, window=window, max_new_tokens=5)
        with pytest.raises(ValueError, match="one number, or decode the rows one by one"):
            kad.decoder(pair[1], target, window=window)
