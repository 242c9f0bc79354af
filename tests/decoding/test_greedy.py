"""Greedy decoding, token for token: any window, any batch, ragged prompts, and the two ends of the scale.

In float32 and float64. In half precision a pass over more places may round a logit otherwise: benchmarks/greedy_windows.py counts.
"""

from __future__ import annotations

import pytest
import torch

import kad

from ..models import CONFIGS, ragged, tiny
from .reference import by_full_passes, continuation

NEW = 14
TARGETS = {
    "dual": kad.dual(0.3),
    "primal": kad.primal(0.6),
    "fractional": kad.fractional(0.5),
    "confidence bet": kad.confidence_bet(0.1),
    "nudging": kad.nudging(0.5),
}


def reference_greedy(base, proxy, target, ids, mask) -> list[list[int]]:
    """The definition: argmax of π from two full forward passes at every step, one row at a time."""
    prompts = (prompt[m.bool()].tolist() for prompt, m in zip(ids, mask, strict=True))
    return [by_full_passes(base, proxy, target, prompt, NEW)[0] for prompt in prompts]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("family", CONFIGS)
def test_every_window_and_batch_is_the_argmax_of_pi(family: str, dtype: torch.dtype) -> None:
    base, proxy = tiny(family, 1, dtype), tiny(family, 2, dtype)
    for rows in (1, 6):
        ids, mask = ragged(rows, seed=3)
        for target in TARGETS.values():
            want = reference_greedy(base, proxy, target, ids, mask)
            for window in (0, 1, 3, 7):
                out = kad.generate(
                    base, proxy, input_ids=ids, attention_mask=mask, target=target, window=window, max_new_tokens=NEW
                )
                assert continuation(out) == want, (rows, target, window)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("family", CONFIGS)
def test_ends_of_the_scale_are_hugging_face_generate(family: str, dtype: torch.dtype) -> None:
    base, proxy = tiny(family, 1, dtype), tiny(family, 2, dtype)
    for rows in (1, 6):
        ids, mask = ragged(rows, seed=4)
        for model, target in (
            (base, kad.primal(0.0)),
            (base, kad.Base()),
            (proxy, kad.primal(1.0)),
            (proxy, kad.Proxy()),
        ):
            want = model.generate(ids, attention_mask=mask, max_new_tokens=NEW, do_sample=False)
            for window in (0, 1, 3, 7):
                out = kad.generate(
                    base, proxy, input_ids=ids, attention_mask=mask, target=target, window=window, max_new_tokens=NEW
                )
                assert torch.equal(out.sequences, want), (rows, target, window)


def test_implicit_reward_at_every_window() -> None:
    base, proxy, reference = tiny("llama", 1), tiny("llama", 2), tiny("llama", 3)
    ids, mask = ragged(4, seed=5)
    target = kad.implicit_reward(reference, 0.8)
    outs = [
        continuation(
            kad.generate(base, proxy, input_ids=ids, attention_mask=mask, target=target, window=w, max_new_tokens=NEW)
        )
        for w in (0, 1, 3, 7)
    ]
    assert all(out == outs[0] for out in outs)


def test_models_of_two_families() -> None:
    base, proxy = tiny("mistral", 1), tiny("gemma3", 2)
    ids, mask = ragged(5, seed=6)
    want = reference_greedy(base, proxy, kad.dual(0.3), ids, mask)
    for window in (0, 4):
        out = kad.generate(
            base, proxy, input_ids=ids, attention_mask=mask, target=kad.dual(0.3), window=window, max_new_tokens=NEW
        )
        assert continuation(out) == want


def test_eager_attention_takes_additive_masks() -> None:
    base, proxy = tiny("gemma3", 1), tiny("gemma3", 2)
    ids, mask = ragged(5, seed=6)
    outs = []
    for implementation in ("sdpa", "eager"):
        base.set_attn_implementation(implementation)
        proxy.set_attn_implementation(implementation)
        out = kad.generate(base, proxy, input_ids=ids, attention_mask=mask, target=kad.dual(0.3), max_new_tokens=NEW)
        outs.append(continuation(out))
    assert outs[0] == outs[1]
