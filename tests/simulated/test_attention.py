"""What attention is asked of a device: no keys expanded, masks that lie aligned, or none at all."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
import torch
from transformers.integrations import sdpa_attention

import kad
from kad.decoding import agreement, attention

from ..decoding.varlen import traced
from .device import Simulated
from .guard import missing
from .rounds import cost, near, peaked, prompts

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))
VOCABULARY = 500


@pytest.fixture
def models() -> list[Any]:
    base = peaked(VOCABULARY, layers=2, spread=3.0).double()
    return [base, near(base, 0.4)]


def eight_wide(seed: int) -> Any:
    """A model that flash attention can be asked about: heads of 8."""
    torch.manual_seed(seed)
    model = peaked(VOCABULARY)
    config = model.config
    config.hidden_size, config.head_dim = 32, 8
    return type(model)(config).eval().double()


def texts(models: list[Any], window: int) -> list[list[int]]:
    ids, mask = prompts(3, VOCABULARY)
    options = {"target": kad.dual(0.2), "window": window, "max_new_tokens": 40}
    return kad.generate(*models, input_ids=ids, attention_mask=mask, **options).trace.ids.tolist()


@pytest.mark.parametrize("window", [0, 3])
def test_masks_are_aligned_and_nothing_is_expanded(models: list[Any], window: int) -> None:
    lasts, expanded, sdpa = [], [], torch.nn.functional.scaled_dot_product_attention
    own = sdpa_attention.repeat_kv

    def attend(query: Any, key: Any, value: Any, attn_mask: Any = None, **more: Any) -> Any:
        lasts.append(attn_mask.shape[-1])
        return sdpa(query, key, value, attn_mask=attn_mask, **more)

    def repeat(x: Any, times: int) -> Any:
        expanded.append(times)
        return own(x, times)

    expected = texts(models, window)
    with Simulated() as gpu:
        there = [gpu.adopt(model) for model in models]
        texts(there, window)  # compares the models with themselves
        with (
            mock.patch.object(torch.nn.functional, "scaled_dot_product_attention", attend),
            mock.patch.object(sdpa_attention, "repeat_kv", repeat),
        ):
            assert texts(there, window) == expected
    assert lasts
    assert not any(last % 16 for last in lasts)
    assert not expanded


@pytest.mark.parametrize("window", [0, 3])
def test_without_masks_none_is_made(monkeypatch: pytest.MonkeyPatch, window: int) -> None:
    """The same text, by one operation a layer that is given views of the cache; the host waits no more often."""
    models = [eight_wide(1), eight_wide(2)]
    expected = texts(models, window)
    monkeypatch.setattr(attention, "flash_kernel", lambda device, dtype: traced if device.type == "cuda" else None)
    gpu = Simulated()
    there = [gpu.adopt(model) for model in models]
    agreement.AGREED.difference_update(there)  # as they were on the CPU
    with gpu:
        assert texts(there, window) == expected
    found = cost(gpu, *there, kad.dual(0.2), rows=3, window=window)
    assert not any(model in attention.WITH_MASKS for model in there)
    assert found.waits <= 1
    made = [line for line in found.lines if line.startswith("decoding/huggingface.py")]
    assert not [line for line in made if any(name in line for name in ("aten::le", "aten::where", "aten::clone"))]
