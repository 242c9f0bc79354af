"""kad's attention: the same logits packed, without masks, and by the model's own function; configs as they were."""

from __future__ import annotations

import copy
import threading
from typing import Any

import pytest
import torch
import transformers
from transformers.integrations import sdpa_attention

import kad
from kad.decoding import agreement, attention
from kad.decoding.attention import GROUPED, UNMASKED, Way, flash_kernel, grouped, way_of
from kad.decoding.lanes import lane_for
from kad.decoding.wrappers import device_of

from ..models import SMALL, ragged, tiny
from .reference import continuation
from .varlen import Varlen, traced

DOUBLE = torch.float64
NAMES = ["llama", "qwen3", "mistral", "gemma3", "olmo2"]


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Varlen:
    """Flash attention where there is none, in whatever precision."""
    found = Varlen()
    monkeypatch.setattr(attention, "flash_kernel", lambda device, dtype: found)
    return found


def masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "flash_kernel", lambda device, dtype: None)


def readings(model: Any, way: str, options: dict[str, Any] | None = None) -> list[torch.Tensor]:
    """Ragged prompts, drafts, rollbacks, a row that sits out, single tokens, and rows that leave: what counts of each pass."""
    ids, mask = ragged(3, seed=3)
    prompts = [row[m.bool()] for row, m in zip(ids, mask, strict=True)]
    lane = lane_for("base", model, prompts, 40, 32, options)
    assert lane.model.way.name == way
    everyone, some = torch.ones(3, dtype=torch.bool), torch.tensor([True, False, True])
    found = [lane.logits(everyone, 1)]
    for token in (5, 7, 9):
        lane.append(torch.tensor([token, token + 1, token + 2]), everyone)
    found.append(lane.logits(everyone, 3))
    lane.truncate(torch.tensor([1, 3, 0]))
    for token in (11, 4):
        lane.append(torch.tensor([token, token, token + 3]), some)
    found.append(lane.logits(some, 2)[some])
    if options is None:
        lane.select(torch.tensor([2, 0]))
        everyone = everyone[:2]
    for token in range(6, 18):  # beyond every window
        lane.append(torch.full((len(everyone),), token), everyone)
        found.append(lane.logits(everyone, 1))
    for token in range(40 - 18 - 12):
        lane.append(torch.full((len(everyone),), token + 3), everyone)
    found.append(lane.logits(everyone, 2))
    return found


@pytest.mark.parametrize("family", NAMES)
def test_without_masks_logits_are_those_with(family: str, kernel: Varlen, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny(family, 1, DOUBLE)
    flat = readings(model, UNMASKED)
    assert kernel.calls
    masked(monkeypatch)
    for a, b in zip(flat, readings(model, GROUPED), strict=True):
        torch.testing.assert_close(a, b, atol=1e-12, rtol=0)


@pytest.mark.parametrize("family", NAMES)
def test_packed_logits_are_the_models_own(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny(family, 1, DOUBLE)
    packed = readings(model, GROUPED)
    monkeypatch.setattr("kad.decoding.huggingface.way_of", lambda *given: Way("sdpa"))
    for a, b in zip(packed, readings(model, "sdpa"), strict=True):
        torch.testing.assert_close(a, b, atol=1e-12, rtol=0)


def test_texts_without_masks(kernel: Varlen, monkeypatch: pytest.MonkeyPatch) -> None:
    base, proxy = tiny("gemma3", 1, DOUBLE), tiny("qwen3", 2, DOUBLE)
    ids, mask = ragged(3, seed=3)
    options = {"input_ids": ids, "attention_mask": mask, "target": kad.dual(0.3), "max_new_tokens": 14}
    flat = [continuation(kad.generate(base, proxy, window=window, **options)) for window in (0, 3)]
    assert kernel.calls
    masked(monkeypatch)
    assert flat == [continuation(kad.generate(base, proxy, window=window, **options)) for window in (0, 3)]


@pytest.mark.usefixtures("small_shapes")
def test_compiled_without_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    """One graph a width, whatever the length; chunks of a prompt too."""
    monkeypatch.setattr(attention, "flash_kernel", lambda device, dtype: traced)
    flat = readings(tiny("gemma3", 1, DOUBLE), UNMASKED, {"backend": "eager"})
    torch._dynamo.reset()
    masked(monkeypatch)
    plain = readings(tiny("gemma3", 1, DOUBLE), GROUPED)
    for a, b in zip(flat, plain, strict=True):
        torch.testing.assert_close(a[[2, 0]] if len(a) > len(b) else a, b, atol=1e-12, rtol=0)


def test_the_kernel_is_asked_for_windows_and_for_nothing_more(kernel: Varlen) -> None:
    readings(tiny("mistral", 1), UNMASKED)  # slides by 5 everywhere
    assert {sides for _, sides in kernel.calls} == {(4, 0)}
    kernel.calls.clear()
    readings(tiny("llama", 1), UNMASKED)
    assert {(shape[0] > 3, sides) for shape, sides in kernel.calls} == {(True, (-1, 0)), (False, (-1, -1))}


def test_another_alignment_is_found_and_masks_are_taken(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a kernel that aligns the first query with the first key: never another law, and a line that says so."""
    base, proxy = tiny("llama", 1, DOUBLE), tiny("qwen3", 2, DOUBLE)
    options = {"prompt": [[3, 4, 5, 6]], "target": kad.dual(0.3), "window": 3, "max_new_tokens": 10}
    want = continuation(kad.generate(copy.deepcopy(base), copy.deepcopy(proxy), **options))
    wrong = Varlen("top left")
    monkeypatch.setattr(attention, "flash_kernel", lambda device, dtype: wrong)
    assert continuation(kad.generate(base, proxy, **options)) == want
    assert "attends with masks, which are slower" in caplog.text
    assert way_of("base", base, device_of(base)).name == GROUPED


def test_what_flash_attention_cannot_heed_is_computed_with_masks(kernel: Varlen) -> None:
    """Keys wider than values (DeepSeek): the kernel takes none such."""
    config = transformers.DeepseekV3Config(
        **{**SMALL, "num_key_value_heads": 4}, num_experts_per_tok=2, moe_intermediate_size=16, n_routed_experts=4,
        n_group=1, topk_group=1, kv_lora_rank=16, q_lora_rank=16, qk_rope_head_dim=8, v_head_dim=8, qk_nope_head_dim=8,
        first_k_dense_replace=1,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    out = kad.generate(model, tiny("llama", 2), [[3, 4, 5]], target=kad.dual(0.3), window=2, max_new_tokens=6)
    assert out.sequences.shape[1] > 3
    assert model in attention.WITH_MASKS
    assert model in agreement.AGREED


LOADED = [
    "flash_attention_2", "flash_attention_3", "flex_attention", "kernels-community/vllm-flash-attn3", "paged|sdpa",
]  # fmt: skip


@pytest.mark.parametrize("loaded", LOADED)
def test_checkpoints_loaded_with_flash_attention(loaded: str) -> None:
    """None of these runs here; kad puts its own in their place, and they are named again afterwards."""
    ids, mask = ragged(3, seed=3)
    options = {"input_ids": ids, "attention_mask": mask, "target": kad.dual(0.3), "window": 3, "max_new_tokens": 10}
    want = continuation(kad.generate(tiny("llama", 1), tiny("gemma3", 2), **options))
    base, proxy = tiny("llama", 1), tiny("gemma3", 2)
    for model in (base, proxy):
        model.config._attn_implementation = loaded
    assert continuation(kad.generate(base, proxy, **options)) == want
    assert base.config._attn_implementation == proxy.config._attn_implementation == loaded
    assert not attention.PASSING


def test_sinks_loaded_with_flash_attention_are_computed_by_the_models_own_eager() -> None:
    config = transformers.GptOssConfig(
        **SMALL, num_experts_per_tok=2, head_dim=8, num_local_experts=4, sliding_window=5
    )
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    options = {"target": kad.primal(0.3), "window": 2, "max_new_tokens": 8}
    want = continuation(kad.generate(copy.deepcopy(model), tiny("llama", 2), [[3, 4, 5]], **options))
    model.config._attn_implementation = "flash_attention_3"
    assert way_of("base", model, device_of(model)).name == "eager"
    assert continuation(kad.generate(model, tiny("llama", 2), [[3, 4, 5]], **options)) == want


def test_an_unknown_function_is_refused_with_the_way_out() -> None:
    base, proxy = tiny("llama", 1), tiny("llama", 2)
    base.config._attn_implementation = "somebodys_own"
    with pytest.raises(ValueError, match="attn_implementation='sdpa'"):
        kad.generate(base, proxy, [[3, 4]], target=kad.dual(0.4), max_new_tokens=3)


def test_configs_are_restored_after_errors_and_with_other_threads() -> None:
    model = tiny("llama", 1)
    way = way_of("base", model, device_of(model))
    began, end = threading.Event(), threading.Event()

    def other() -> None:
        with way.during():
            began.set()
            end.wait(10)

    def fail() -> None:
        with way.during():
            thread.start()
            began.wait(10)
            assert way_of("base", model, device_of(model)) == way  # its own is known meanwhile
            raise RuntimeError

    thread = threading.Thread(target=other)
    with pytest.raises(RuntimeError):
        fail()
    assert model.config._attn_implementation == GROUPED
    end.set()
    thread.join()
    assert model.config._attn_implementation == "sdpa"
    assert not attention.PASSING


def test_what_the_function_does_not_know_is_left_to_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(sdpa_attention, "sdpa_attention_forward", lambda *given, **more: asked.append((given, more)))
    query, key, mask = torch.zeros(2, 4, 3, 8), torch.zeros(2, 2, 5, 8), torch.zeros(2, 1, 6, 5)
    for more in ({"softcap": 3.0}, {"s_aux": torch.zeros(4)}, {"position_bias": torch.zeros(1)}):
        grouped(None, query, key, key, mask, scaling=1.0, **more)
        (*_, given), said = asked.pop()
        assert given.shape == (2, 1, 3, 5)
        assert more.keys() <= said.keys()
    grouped(None, query, key, key, mask, scaling=1.0, softcap=None, position_ids=torch.zeros(2, 3), use_cache=True)
    assert not asked


def test_a_layer_with_groups_of_its_own_gets_its_masks() -> None:
    """Masks as a lane makes them for two queries a key; the layer has four."""
    torch.manual_seed(0)
    query, key, value = torch.randn(2, 8, 3, 8), torch.randn(2, 2, 5, 8), torch.randn(2, 2, 5, 8)
    mask = torch.randn(2, 1, 3, 5)
    layer = torch.nn.Module()
    layer.num_key_value_groups = 4
    want, _ = sdpa_attention.sdpa_attention_forward(layer, query, key, value, mask)
    for times in (1, 2, 4):
        got, _ = grouped(layer, query, key, value, mask.repeat(1, 1, times, 1))
        torch.testing.assert_close(got, want)


@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_keys_are_never_expanded_in_passes_of_drafts(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    own = sdpa_attention.repeat_kv
    monkeypatch.setattr(sdpa_attention, "repeat_kv", lambda x, n: (calls.append(n), own(x, n))[1])
    base, proxy = tiny(family, 1), tiny("qwen3", 2)
    ids, mask = ragged(3, seed=3)
    options = {"input_ids": ids, "attention_mask": mask, "target": kad.dual(0.3), "max_new_tokens": 8}
    kad.generate(base, proxy, window=3, **options)  # which also compares the models with themselves
    calls.clear()
    kad.generate(base, proxy, window=3, **options)
    assert not calls


def test_there_is_no_flash_attention_here() -> None:
    assert flash_kernel(torch.device("cpu"), torch.bfloat16) is None
    assert flash_kernel(torch.device("cuda"), torch.float32) is None


def test_this_torchs_own_kernel_takes_what_it_is_given() -> None:
    """Its shapes and names, on no device; what it computes is for a card to show."""
    found = attention.varlen_kernel()
    assert found is not None
    query = torch.zeros(2, 4, 3, 8, device="meta", dtype=torch.bfloat16)
    store = torch.zeros(2, 7, 2, 8, device="meta", dtype=torch.bfloat16).transpose(1, 2)
    for window in (None, 5):
        count = attention.lengths(torch.zeros(2, device="meta", dtype=torch.int32), window)
        out, _ = attention.unmasked(found)(None, query, store, store, count, scaling=0.3)
        assert out.shape == (2, 3, 4, 8)
