"""Ids, seeds, temperatures and capacity: what cannot be is said before anything is decoded."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2Config

import kad
from kad.decoding import decoder as door

from ..models import VOCABULARY, tiny

OPTIONS = {"target": kad.dual(0.3), "max_new_tokens": 5, "do_sample": True}


@pytest.fixture(scope="module")
def pair() -> tuple[torch.nn.Module, torch.nn.Module]:
    return tiny("llama", 1), tiny("qwen3", 2)


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        (torch.tensor([[3, -100, 4]]), "input_ids holds the id -100, which is no token"),
        (torch.tensor([[3.0, 4.0]]), "whole numbers, got torch.float32"),
        (torch.tensor([[True, False]]), "whole numbers, got torch.bool"),
        (torch.tensor([[3, VOCABULARY]]), f"token id {VOCABULARY}"),
    ],
)
def test_ids_that_are_none(pair, monkeypatch, ids: torch.Tensor, words: str) -> None:
    monkeypatch.setattr(door.Decoder, "run", lambda self: pytest.fail("something was decoded"))
    for window in (0, 3):
        with pytest.raises(ValueError, match=words):
            kad.generate(*pair, input_ids=ids, window=window, **OPTIONS)
    with pytest.raises(ValueError, match=r"whole number|≥ 0"):
        kad.generate(*pair, [3, 1.5, 4], **OPTIONS)


@pytest.mark.parametrize("window", [0, 3])
def test_ids_of_other_widths(pair, window: int) -> None:
    options = OPTIONS | {"window": window, "seed": 7}
    long = kad.generate(*pair, input_ids=torch.tensor([[3, 4, 5]]), **options).sequences
    for ids in (torch.tensor([[3, 4, 5]], dtype=torch.int32), torch.tensor([[3, 4, 5]], dtype=torch.int16)):
        assert kad.generate(*pair, input_ids=ids, **options).sequences.tolist() == long.tolist()
    for prompt in (np.array([3, 4, 5]), [np.int64(3), np.int64(4), np.int64(5)], torch.tensor([3, 4, 5]), [[3, 4, 5]]):
        assert kad.generate(*pair, prompt, **options).sequences.tolist() == long.tolist()


@pytest.mark.parametrize("seed", [2**70, -(2**64), True, 1.5, "7", [1.5], [True], ["7"]])
def test_seeds_that_are_none(pair, seed: object) -> None:
    with pytest.raises(ValueError, match="seed must") as caught:
        kad.generate(*pair, [[3, 4]], seed=seed, **OPTIONS)
    assert "\n" not in str(caught.value)


def test_seeds_of_other_kinds(pair) -> None:
    def text(seed: object, rows: int = 1) -> list:
        return kad.generate(*pair, [[3, 4]] * rows, seed=seed, **OPTIONS).sequences.tolist()

    assert text(np.int64(5)) == text(5)
    assert text(2**64 - 1)
    assert (
        text([1, 2], 2)
        == text((1, 2), 2)
        == text(range(1, 3), 2)
        == text(np.array([1, 2]), 2)
        == text(torch.tensor([1, 2]), 2)
    )


@pytest.mark.parametrize(
    ("temperature", "words"),
    [
        (1e-45, r"must lie in \[1e-30"),
        (1e40, "must lie in"),
        (0.0, "do_sample=False"),
        (True, "positive number"),
        ("0.7", "positive number"),
    ],
)
def test_temperatures(pair, temperature: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        kad.generate(*pair, [[3, 4]], temperature=temperature, **OPTIONS)


@pytest.mark.parametrize("window", [0, 3, 7])
def test_a_table_of_positions_has_an_end(pair, monkeypatch, window: int) -> None:
    config = GPT2Config(
        vocab_size=VOCABULARY, n_embd=16, n_layer=1, n_head=2, n_positions=64, bos_token_id=1, eos_token_id=None
    )
    small = AutoModelForCausalLM.from_config(config).eval()
    small.generation_config.pad_token_id = 0
    pair[1].generation_config.eos_token_id, before = None, pair[1].generation_config.eos_token_id
    prompt = torch.full((2, 60), 3)
    options = {"target": kad.dual(0.3), "window": window, "seed": 0, "do_sample": True, "vocabulary": VOCABULARY}
    try:
        assert kad.generate(small, small, input_ids=prompt, max_new_tokens=5, **options).sequences.shape == (2, 65)
        monkeypatch.setattr(door.Decoder, "run", lambda self: pytest.fail("something was decoded"))
        for models, name in (((small, pair[1]), "base"), ((pair[0], small), "proxy")):
            for limit in (6, 20):
                with pytest.raises(ValueError, match=f"the {name} has 64 positions, and a prompt of 60 tokens"):
                    kad.generate(*models, input_ids=prompt, max_new_tokens=limit, **options)
    finally:
        pair[1].generation_config.eos_token_id = before


def test_beyond_what_a_model_was_trained_for(caplog) -> None:
    """Rotations know no end, so this is a word of warning, once per model."""
    base, proxy = tiny("llama", 1), tiny("qwen3", 2)
    proxy.config.max_position_embeddings = 20
    with caplog.at_level("WARNING", logger="kad"):
        kad.generate(base, proxy, input_ids=torch.full((1, 18), 3), **OPTIONS)
    assert "goes beyond the 20 positions that the proxy was trained for" in caplog.text
    assert "the base was trained" not in caplog.text
