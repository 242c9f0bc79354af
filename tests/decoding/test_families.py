"""Many architectures: greedy output with nothing deferred is Hugging Face's own, with and without speculation."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable

import pytest
import torch
import transformers
from transformers import AutoModelForCausalLM, PreTrainedModel

import kad
from kad.decoding.huggingface import cache_name

from ..models import SMALL, ragged, tiny

FOUR = {**SMALL, "num_hidden_layers": 4}
EXPERTS = {"num_experts_per_tok": 2}
FAMILIES: dict[str, Callable[[], transformers.PreTrainedConfig]] = {
    "absolute positions (GPT-2)": lambda: transformers.GPT2Config(
        vocab_size=32, n_embd=32, n_layer=2, n_head=4, n_positions=256, bos_token_id=1, eos_token_id=2, pad_token_id=0
    ),
    "absolute positions with an offset (OPT)": lambda: transformers.OPTConfig(
        vocab_size=32, hidden_size=32, num_hidden_layers=2, ffn_dim=48, num_attention_heads=4, word_embed_proj_dim=32,
        bos_token_id=1, eos_token_id=2, pad_token_id=0, max_position_embeddings=256,
    ),
    "parallel residual (GPT-NeoX)": lambda: transformers.GPTNeoXConfig(
        **{k: v for k, v in SMALL.items() if k != "num_key_value_heads"}
    ),
    "every layer slides (Phi-3)": lambda: transformers.Phi3Config(**SMALL, sliding_window=5),
    "soft caps, mixed windows (Gemma 2)": lambda: transformers.Gemma2Config(**SMALL, head_dim=8, sliding_window=5),
    "mixed windows (Qwen 2)": lambda: transformers.Qwen2Config(
        **SMALL, use_sliding_window=True, sliding_window=5, max_window_layers=1
    ),
    "mixed windows (OLMo 3)": lambda: transformers.Olmo3Config(**FOUR, sliding_window=5),
    "no positions in some layers (Cohere 2)": lambda: transformers.Cohere2Config(**FOUR, sliding_window=5),
    "experts (Mixtral)": lambda: transformers.MixtralConfig(**SMALL, num_local_experts=4, sliding_window=5),
    "experts (Qwen 3 MoE)": lambda: transformers.Qwen3MoeConfig(
        **SMALL, **EXPERTS, num_experts=4, moe_intermediate_size=16, head_dim=8
    ),
    "sinks and experts (GPT-OSS)": lambda: transformers.GptOssConfig(
        **SMALL, **EXPERTS, head_dim=8, num_local_experts=4, sliding_window=5
    ),
    "latent attention (DeepSeek V3)": lambda: transformers.DeepseekV3Config(
        **{**SMALL, "num_key_value_heads": 4}, **EXPERTS, moe_intermediate_size=16, n_routed_experts=4, n_group=1,
        topk_group=1, kv_lora_rank=16, q_lora_rank=16, qk_rope_head_dim=8, v_head_dim=8, qk_nope_head_dim=8,
        first_k_dense_replace=1,
    ),
}  # fmt: skip


def random_model(config: transformers.PreTrainedConfig) -> PreTrainedModel:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=1.0 if "embed" in name or "wte" in name else 0.4)
    model.generation_config.eos_token_id = 2
    model.generation_config.pad_token_id = 0
    return model


@pytest.mark.parametrize("family", FAMILIES)
def test_family(family: str) -> None:
    model, proxy = random_model(FAMILIES[family]()), tiny("llama", 2)
    ids, mask = ragged(4, seed=3)
    want = []
    for row, m in zip(ids, mask, strict=True):  # one row at a time: no padding on Hugging Face's side
        prompt = row[m.bool()].unsqueeze(0)
        out = model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=12, do_sample=False)
        want.append(out[0, prompt.shape[1] :].tolist())
    for window in (0, 3):
        ours = kad.generate(
            model, proxy, input_ids=ids, attention_mask=mask, target=kad.primal(0.0), window=window, max_new_tokens=12
        )
        assert [[t.id for t in ours.trace.tokens(row)] for row in range(4)] == want


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (lambda: transformers.BloomConfig(vocab_size=32, hidden_size=32, n_layer=2, n_head=4), "no position_ids"),
        (
            lambda: transformers.Llama4TextConfig(
                **SMALL, head_dim=8, num_local_experts=2, attention_chunk_size=8, intermediate_size_mlp=48
            ),
            "chunked_attention",
        ),
        (lambda: transformers.T5Config(vocab_size=32, d_model=16, num_layers=1), "encoder-decoder"),
    ],
    ids=["alibi", "chunked", "encoder-decoder"],
)
def test_what_cannot_work_is_refused_in_one_sentence(config, words: str) -> None:
    config = config()
    auto = transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    model = auto.from_config(config)
    model.generation_config.pad_token_id = 0
    with pytest.raises(ValueError, match=words) as caught:
        kad.generate(model, tiny("llama", 2), [[3, 4]], target=kad.dual(0.4), max_new_tokens=3)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["past_key_values", "cache"])
def test_either_name_of_the_cache(name: str) -> None:
    """What transformers calls it until 5.23 and from 5.24 on, whichever is installed: chosen by the signature."""
    base, proxy = tiny("llama", 1), tiny("qwen3", 2)
    options = {"target": kad.dual(0.3), "max_new_tokens": 8}
    for window in (0, 3):
        want = kad.generate(base, proxy, [[3, 4, 5]], window=window, **options).sequences
        got = kad.generate(renamed(base, name), renamed(proxy, name), [[3, 4, 5]], window=window, **options).sequences
        assert torch.equal(got, want)


def renamed(model, name: str):
    """The same model, whose pass takes its cache by this name alone."""
    model = copy.deepcopy(model)
    right, own = model.forward, cache_name(model.forward)

    def forward(input_ids=None, attention_mask=None, position_ids=None, use_cache=None, logits_to_keep=0, **more):
        cache = more.pop(name)
        assert not more, "the other name was used"
        return right(input_ids=input_ids, attention_mask=attention_mask, position_ids=position_ids, use_cache=use_cache,
                     logits_to_keep=logits_to_keep, **{own: cache})  # fmt: skip

    parameters = [p for n, p in inspect.signature(forward).parameters.items() if n != "more"]
    parameters.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None))
    forward.__signature__ = inspect.Signature(parameters)
    model.forward = forward
    return model
