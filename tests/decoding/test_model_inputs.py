"""What a model reads beside its ids, looks ahead at, or turns by the length of a text: right, or refused before decoding."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import transformers
from transformers import AutoModelForCausalLM, LlamaForCausalLM

import kad
from kad.decoding import decoder as door

from ..models import CONFIGS, SMALL, ragged, tiny
from .reference import by_full_passes, continuation
from .test_families import random_model

TARGET, WINDOWS = kad.dual(0.3), (0, 1, 3, 7)
IDS, MASK = ragged(3, seed=4)
ROWS = [row[m.bool()].tolist() for row, m in zip(IDS, MASK, strict=True)]


@pytest.fixture
def nothing_decoded(monkeypatch) -> None:
    monkeypatch.setattr(door.Decoder, "run", lambda self: pytest.fail("something was decoded"))


@pytest.fixture(scope="module")
def proxy() -> Any:
    return tiny("qwen3", 2, torch.float64)


def llava() -> Any:
    torch.manual_seed(0)
    vision = transformers.CLIPVisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=8, patch_size=4
    )
    config = transformers.LlavaConfig(text_config=CONFIGS["llama"], vision_config=vision, image_token_index=31)
    model = transformers.LlavaForConditionalGeneration(config).double().eval()
    model.generation_config.eos_token_id, model.generation_config.pad_token_id = 2, 0
    return model


# -- other inputs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("window", WINDOWS)
def test_images_are_refused_and_text_is_right(proxy, window: int, monkeypatch) -> None:
    base = llava()
    decode = kad.decoder(proxy, TARGET, window=window)
    out = kad.generate(base, proxy, input_ids=IDS, attention_mask=MASK, target=TARGET, window=window, max_new_tokens=8)
    assert continuation(out) == [by_full_passes(base, proxy, TARGET, row, 8)[0] for row in ROWS]
    theirs = base.generate(
        IDS, attention_mask=MASK, custom_generate=decode, max_new_tokens=8, return_dict_in_generate=True
    )
    assert continuation(theirs) == continuation(out)
    monkeypatch.setattr(door.Decoder, "run", lambda self: pytest.fail("something was decoded"))
    with pytest.raises(ValueError, match="the base was given image inputs, which kad does not hand on"):
        base.generate(
            IDS, attention_mask=MASK, pixel_values=torch.zeros(3, 3, 8, 8), custom_generate=decode, max_new_tokens=8
        )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"inputs_embeds": torch.zeros(3, 9, 32, dtype=torch.float64)}, "inputs_embeds"),
        ({"position_ids": torch.arange(9).repeat(3, 1) + 7}, "position_ids other than"),
        ({"position_ids": torch.zeros(3, 9, dtype=torch.long)}, "position_ids other than"),
        ({"output_router_logits": True}, "output_router_logits"),
    ],
    ids=["embeddings", "shifted", "zero", "flag"],
)
def test_inputs_that_cannot_be_honoured(nothing_decoded, proxy, given: dict[str, Any], words: str) -> None:
    base = random_model(transformers.MixtralConfig(**SMALL, num_local_experts=4)).double()
    for window in (0, 3):
        with pytest.raises(ValueError, match=words) as caught:
            base.generate(
                IDS,
                attention_mask=MASK,
                custom_generate=kad.decoder(proxy, TARGET, window=window),
                max_new_tokens=3,
                **given,
            )
        assert "\n" not in str(caught.value)


def test_embeddings_alone_are_no_prompt(proxy) -> None:
    base = tiny("llama", 1, torch.float64)
    with pytest.raises(ValueError, match="embeddings alone are no prompt"):
        base.generate(inputs_embeds=torch.zeros(1, 4, 32, dtype=torch.float64), max_new_tokens=3,
                      custom_generate=kad.decoder(proxy, TARGET))  # fmt: skip


@pytest.mark.parametrize("window", WINDOWS)
def test_positions_that_follow_from_the_mask_are_no_reason_to_refuse(proxy, window: int) -> None:
    base = tiny("llama", 1, torch.float64)
    decode = kad.decoder(proxy, TARGET, window=window)
    want = base.generate(IDS, attention_mask=MASK, custom_generate=decode, max_new_tokens=8)
    for padding in (0, 1, -1):
        positions = (MASK.cumsum(-1) - 1).masked_fill(MASK == 0, padding)
        got = base.generate(
            IDS,
            attention_mask=MASK,
            position_ids=positions,
            token_type_ids=None,
            custom_generate=decode,
            max_new_tokens=8,
        )
        assert torch.equal(got, want)


# -- other computations ----------------------------------------------------------------------------------------------


class Prefixed(LlamaForCausalLM):
    """Puts a virtual token in front, as prompt tuning does."""

    def prepare_inputs_for_generation(self, input_ids: torch.Tensor, **kwargs: Any) -> dict[str, Any]:
        inputs: dict[str, Any] = super().prepare_inputs_for_generation(input_ids, **kwargs)
        ids = inputs.pop("input_ids")
        embedded = self.get_input_embeddings()(ids)
        inputs["inputs_embeds"] = torch.cat([torch.ones_like(embedded[:, :1]), embedded], 1)
        return inputs | {"attention_mask": None, "position_ids": None}


class Shifted(LlamaForCausalLM):
    """Says something else about the same ids."""

    def prepare_inputs_for_generation(self, input_ids: torch.Tensor, **kwargs: Any) -> dict[str, Any]:
        inputs: dict[str, Any] = super().prepare_inputs_for_generation(input_ids, **kwargs)
        return inputs | {"input_ids": (inputs["input_ids"] + 1).clamp(max=31)}


def made(kind: type, config: Any) -> Any:
    torch.manual_seed(3)
    model = kind(copy.deepcopy(config)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.4)
    model.generation_config.eos_token_id, model.generation_config.pad_token_id = 2, 0
    return model


BERT = {"vocab_size": 32, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
OTHERS = {
    "virtual tokens": (lambda: made(Prefixed, CONFIGS["llama"]), "reads or adds more than that"),
    "other ids": (lambda: made(Shifted, CONFIGS["llama"]), "reads or adds more than that"),
    "bidirectional (Gemma 3)": (
        lambda: made(
            transformers.Gemma3ForCausalLM,
            transformers.Gemma3TextConfig(**SMALL, head_dim=8, use_bidirectional_attention=True, sliding_window=8),
        ),
        "looks ahead in a prompt",
    ),
    "no decoder (BERT)": (
        lambda: made(transformers.BertLMHeadModel, transformers.BertConfig(**BERT, is_decoder=False)),
        "looks ahead in a prompt",
    ),
    "no decoder (RoBERTa)": (
        lambda: made(transformers.RobertaForCausalLM, transformers.RobertaConfig(**BERT, is_decoder=False)),
        "looks ahead in a prompt",
    ),
    "no decoder (ELECTRA)": (
        lambda: made(
            transformers.ElectraForCausalLM, transformers.ElectraConfig(**BERT, embedding_size=32, is_decoder=False)
        ),
        "looks ahead in a prompt",
    ),
    "permutations (XLM)": (
        lambda: made(
            transformers.XLMWithLMHeadModel, transformers.XLMConfig(vocab_size=32, emb_dim=32, n_layers=1, n_heads=2)
        ),
        "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_models_that_compute_something_else(nothing_decoded, proxy, name: str) -> None:
    make, words = OTHERS[name]
    model, good = make(), tiny("llama", 1)
    for window in (0, 3):
        for base, other, reference, role in (
            (model, good, None, "base"), (good, model, None, "proxy"), (good, good, model, "reference"),
        ):  # fmt: skip
            target = TARGET if reference is None else kad.implicit_reward(reference)
            with pytest.raises(ValueError, match=f"the {role} .*{words}") as caught:
                kad.generate(base, other, [[3, 4, 5]], target=target, window=window, max_new_tokens=3)
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize("is_decoder", [True])
def test_a_decoder_of_the_same_family_is_right(is_decoder: bool) -> None:
    base = made(transformers.BertLMHeadModel, transformers.BertConfig(**BERT, is_decoder=is_decoder))
    good = tiny("llama", 1)
    for window in WINDOWS:
        out = kad.generate(base, good, ROWS, target=TARGET, window=window, max_new_tokens=8)
        assert continuation(out) == [by_full_passes(base, good, TARGET, row, 8)[0] for row in ROWS]


# -- positions that depend on the length -----------------------------------------------------------------------------

LONG = {"short_factor": [1.0] * 4, "long_factor": [4.0] * 4, "original_max_position_embeddings": 16}
ROTATIONS = {
    "dynamic": lambda: AutoModelForCausalLM.from_config(
        transformers.LlamaConfig(
            **{**SMALL, "max_position_embeddings": 16},
            rope_parameters={"rope_type": "dynamic", "factor": 4.0, "rope_theta": 10000.0},
        )
    ),
    "longrope": lambda: AutoModelForCausalLM.from_config(
        transformers.Phi3Config(
            **{**SMALL, "max_position_embeddings": 64}, original_max_position_embeddings=16,
            rope_parameters={"rope_type": "longrope", "rope_theta": 10000.0, **LONG},
        )
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=ROTATIONS)
def turning(request) -> tuple[str, Any]:
    model = ROTATIONS[request.param]().double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.4, generator=torch.Generator().manual_seed(1))
    model.generation_config.eos_token_id, model.generation_config.pad_token_id = None, 0
    return request.param, model


@pytest.fixture(scope="module")
def endless() -> Any:
    model = tiny("qwen3", 2, torch.float64)
    model.generation_config.eos_token_id = None
    return model


@pytest.mark.parametrize("window", WINDOWS)
def test_below_the_switch(turning, endless, window: int) -> None:
    """Prompts of up to 9 tokens and 8 new ones: the last of them is never read, so 16 positions are enough."""
    for pair in ((turning[1], endless), (endless, turning[1])):
        out = kad.generate(
            *pair,
            input_ids=IDS,
            attention_mask=MASK,
            target=TARGET,
            window=window,
            max_new_tokens=8,
            output_scores=True,
        )
        for row, prompt in enumerate(ROWS):
            text, scores = by_full_passes(*pair, TARGET, prompt, 8, stops=())
            assert continuation(out)[row] == text
            torch.testing.assert_close(torch.stack([s[row] for s in out.scores]), scores, atol=1e-6, rtol=0)


@pytest.mark.parametrize("window", WINDOWS)
def test_beyond_the_switch(turning, endless, window: int) -> None:
    name, model = turning
    long = [row * 9 for row in ([3, 4], [5, 6, 7], [8, 9])]  # 18, 27 and 18 tokens
    for pair in ((model, endless), (endless, model)):
        role = "base" if pair[0] is model else "proxy"
        crossing = [ROWS[0] + [3] * 4, [4] * 5]
        for prompts, limit in ((crossing, 5), ([ROWS[0]], 9), ([long[0], [3, 4]], 3)) + (
            ((long, 8),) * (name == "dynamic")
        ):
            with pytest.raises(ValueError, match=f"the {role} has {name} rotary positions.*longer than 16"):
                kad.generate(*pair, prompts, target=TARGET, window=window, max_new_tokens=limit)
        if name == "longrope":  # all of it beyond: one set of frequencies
            out = kad.generate(*pair, long, target=TARGET, window=window, max_new_tokens=8)
            assert continuation(out) == [by_full_passes(*pair, TARGET, prompt, 8, stops=())[0] for prompt in long]
