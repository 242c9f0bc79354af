"""pack_weights: another layout of the same weights, the same texts."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch

import kad
from kad.decoding import packed
from kad.decoding.packed import PackedLinear, packs_bfloat16
from kad.decoding.wrappers import kept_for

from ..models import CONFIGS, ragged, tiny
from .reference import continuation

NEEDS_BFLOAT16 = pytest.mark.skipif(
    not packs_bfloat16(), reason="oneDNN has no bfloat16 kernels for this processor; see test_without_bfloat16"
)


@pytest.mark.parametrize("dtype", [torch.float32, pytest.param(torch.bfloat16, marks=NEEDS_BFLOAT16)])
@pytest.mark.parametrize("bias", [True, False])
def test_the_same_products(dtype: torch.dtype, bias: bool) -> None:
    torch.manual_seed(0)
    plain = torch.nn.Linear(40, 70, bias=bias, dtype=dtype)
    packed = PackedLinear(plain, tied=False)
    for shape in ((40,), (1, 40), (3, 1, 40), (2, 5, 40), (0, 40)):
        x = torch.randn(shape, dtype=dtype)
        # One bfloat16 product may be rounded to its other neighbour.
        torch.testing.assert_close(packed(x), plain(x).detach(), atol=1e-5 if dtype == torch.float32 else 0.02, rtol=0)
    columns = torch.randn(40, 6, dtype=dtype).t()  # not contiguous
    torch.testing.assert_close(packed(columns), plain(columns).detach(), atol=0.02, rtol=0)


@pytest.mark.parametrize("family", sorted(CONFIGS))
def test_the_same_text(family: str) -> None:
    base, proxy = tiny(family, 1), tiny("qwen3", 2)
    packed = tuple(kad.pack_weights(copy.deepcopy(model)) for model in (base, proxy))
    ids, mask = ragged(3, seed=3)
    for window in (0, 3):
        for more in ({}, {"do_sample": True, "seed": 5}):
            options = {"input_ids": ids, "attention_mask": mask, "target": kad.dual(0.3), "window": window} | more
            plain, fast = (kad.generate(*pair, max_new_tokens=12, **options) for pair in ((base, proxy), packed))
            assert continuation(fast) == continuation(plain)
            assert fast.trace.base_fed.tolist() == plain.trace.base_fed.tolist()


def test_hugging_face_runs_it_too_and_compiled_passes_start_anew() -> None:
    model, (ids, _) = tiny("llama", 1), ragged(1, seed=0)
    wanted = model.generate(ids, max_new_tokens=8, do_sample=False).tolist()
    kept_for(model)["a pass"] = "with plain weights"
    kad.pack_weights(model)
    assert model.generate(ids, max_new_tokens=8, do_sample=False).tolist() == wanted
    assert not kept_for(model)


def test_plain_weights_are_dropped_but_a_tied_one() -> None:
    model = tiny("llama", 1)
    heads = {name for name, m in model.named_modules() if type(m) is torch.nn.Linear}
    tied = copy.deepcopy(model)
    tied.lm_head.weight = tied.model.embed_tokens.weight
    for one in (kad.pack_weights(model), kad.pack_weights(tied)):
        layers = {name: m for name, m in one.named_modules() if isinstance(m, PackedLinear)}
        assert set(layers) == heads
        for name, layer in layers.items():
            kept = one is tied and name == "lm_head"
            assert layer.weight.device.type == ("cpu" if kept else "meta")
    assert tied.lm_head.weight is tied.model.embed_tokens.weight


def test_a_packed_model_is_not_saved_as_if_it_were_whole(tmp_path: Path) -> None:
    with pytest.raises((NotImplementedError, RuntimeError, ValueError)):
        kad.pack_weights(tiny("llama", 1)).save_pretrained(tmp_path)


def test_refusals() -> None:
    for dtype in (torch.float64, torch.float16):
        with pytest.raises(ValueError, match="no linear layer on a CPU, in float32 or bfloat16"):
            kad.pack_weights(torch.nn.Sequential(torch.nn.Linear(2, 2, dtype=dtype)))
    model = kad.pack_weights(tiny("llama", 1))
    with pytest.raises(ValueError, match="not packed yet"):
        kad.pack_weights(model)
    with pytest.raises(ValueError, match="on a CPU"):
        kad.pack_weights(torch.nn.Sequential(torch.nn.Linear(2, 2, device="meta")))


def test_without_onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    with pytest.raises(RuntimeError, match="no oneDNN"):
        kad.pack_weights(tiny("llama", 1))


def test_without_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor without the kernels is asked before anything is packed: nothing half done, and one sentence."""
    monkeypatch.setattr(packed, "packs_bfloat16", lambda: False)
    half, single = (torch.nn.Linear(4, 4, dtype=dtype) for dtype in (torch.bfloat16, torch.float32))
    with pytest.raises(RuntimeError, match="no bfloat16 kernels for this processor") as caught:
        kad.pack_weights(torch.nn.Sequential(half))
    assert "\n" not in str(caught.value)
    mixed = kad.pack_weights(torch.nn.Sequential(half, single))
    assert mixed[0] is half
    assert isinstance(mixed[1], PackedLinear)


def test_the_processor_is_asked_by_trying(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is the kernels' own refusal, and no other error is taken for one."""

    def refuse(plain: torch.nn.Linear, tied: bool) -> None:
        raise RuntimeError("bf16 path needs the cpu support")

    ask = packs_bfloat16.__wrapped__
    monkeypatch.setattr(packed, "PackedLinear", refuse)
    assert ask() is False
    monkeypatch.setattr(packed, "PackedLinear", lambda plain, tied: plain)
    assert ask() is True


@pytest.mark.parametrize(("times", "stays"), [((0.2, 0.3), True), ((0.3, 0.2), False), ((0.3, 0.31), False)])
def test_it_declines_where_a_pass_would_take_longer(
    monkeypatch, caplog, times: tuple[float, float], stays: bool
) -> None:
    """And says so; the model is then as it was, to the last bit."""
    left, asked = list(times), []
    monkeypatch.setattr(packed, "TIMED_FROM", 0)
    monkeypatch.setattr(packed, "pass_seconds", lambda model, tokens: asked.append(tokens) or left.pop(0))
    model = tiny("llama", 1)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    kad.pack_weights(model, tokens=6)
    assert asked == [6, 6]
    assert any(isinstance(layer, PackedLinear) for layer in model.modules()) != stays
    assert ("over 6 tokens takes 300 ms with packed weights and 200 ms without" in caplog.text) == stays
    if stays:
        assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
        assert all(weight.device.type == "cpu" for weight in model.parameters())


def test_a_pass_is_timed_where_reading_weights_costs() -> None:
    seconds = packed.pass_seconds(tiny("llama", 1), 3, repeats=2)
    assert 0 < seconds < 10
    with pytest.raises(ValueError, match="tokens must be ≥ 1"):
        kad.pack_weights(tiny("llama", 1), tokens=0)
