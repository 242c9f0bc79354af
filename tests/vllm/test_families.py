"""Pairs of other families, shapes and paddings: those that vLLM has itself, and those that it runs through transformers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import kad
from kad.checkpoints import load_checkpoints
from kad.demo import MODELS
from kad.engines import HuggingFace, Settings
from kad.engines.vllm.requests import shipped
from kad.loading import model_of, tokenizer_at
from tests.models import CONFIGS, SMALL

from .running import Running, apart, law

WITHIN, TOKENS = 1e-5, 258
OWN = kad.dual(0.02)
ASKED = {
    None: 0.7, "dual:0.01": 1.3, "primal:0.5": 1.0, "ensemble:0.25": 1.0, "confidence-bet:0.1": 0.5, "q*": 0.9,
}  # a target and a temperature per request, in one batch # fmt: skip


def config_of(family: str, heads: int, layers: int, size: int) -> Any:
    """Heads of 32 numbers, which vLLM's attention has on every machine."""
    return type(CONFIGS[family])(**SMALL | {
        "vocab_size": size, "hidden_size": 32 * heads, "num_attention_heads": heads, "num_key_value_heads": heads // 2,
        "head_dim": 32, "num_hidden_layers": layers, "intermediate_size": 96,
    })  # fmt: skip


def saved(place: Path, config: Any, seed: int) -> str:
    torch.manual_seed(seed)
    model = model_of(config, torch.float32)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.15 if "embed" not in name and "head" not in name else 0.5)
    model.save_pretrained(place)
    tokenizer_at(MODELS / "base").save_pretrained(place)
    return str(place)


# Family; heads, layers and outputs of the base and of the proxy; the window.
PAIRS = {
    "olmo2": ("olmo2", (4, 3, 258), (2, 2, 258), 3),
    "llama": ("llama", (4, 3, 258), (2, 2, 258), 3),
    "qwen3": ("qwen3", (4, 3, 288), (2, 2, 272), 0),
}


@pytest.fixture(scope="module", params=PAIRS)
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Running, HuggingFace]]:
    family, base, proxy, window = PAIRS[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    places = {
        role: saved(folder / role, config_of(family, *shape), i)
        for i, (role, shape) in enumerate({"base": base, "proxy": proxy}.items())
    }
    running = Running(places["base"], places["proxy"], window)
    yield running, HuggingFace(load_checkpoints(places))
    running.close()


def test_the_law(pair: tuple[Running, HuggingFace]) -> None:
    running, peer = pair
    prompts = [[5, 17, 33, 40 + i] for i in range(len(ASKED))]
    asked = [
        {"temperature": heat, "max_tokens": 8, "logprobs": -1, "seed": i, "ignore_eos": True,
         "extra_args": {} if name is None else {"kad": name}}
        for i, (name, heat) in enumerate(ASKED.items())
    ]  # fmt: skip
    out = running.write(OWN, prompts, asked)
    for prompt, (name, heat), (ids, told) in zip(prompts, ASKED.items(), out, strict=True):
        target = OWN if name is None else shipped(name)
        assert apart(law(peer, target, prompt, ids, heat), told) <= WITHIN, name
        assert not told[:, TOKENS:].any()  # what only pads the vocabulary


def test_greedy_texts(pair: tuple[Running, HuggingFace]) -> None:
    running, peer = pair
    prompts = [[5, 17, 33, 40 + i] for i in range(6)]
    theirs = [ids for ids, _ in running.write(OWN, prompts, [{"temperature": 0.0, "max_tokens": 24}] * 6)]
    assert theirs == [list(text.ids) for text in peer.generate(prompts, OWN, Settings(new_tokens=24)).texts]
