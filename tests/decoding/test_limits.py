"""At the edges: long runs, wide windows, large batches, models in parts, and caches that a user brings."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, DynamicCache

import kad
from kad.decoding.huggingface import HuggingFaceModel, cache_name

from ..models import ragged, tiny
from .reference import continuation

TARGET = kad.dual(0.3)


def endless(family: str, seed: int):
    model = tiny(family, seed)
    model.generation_config.eos_token_id = None
    return model


@pytest.fixture
def only_new_objects() -> Iterator[None]:
    """The collector leaves out what is there already, models and libraries: most of the time that it takes."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def alive() -> int:
    """Bytes of all new tensors that the collector can reach, each storage once."""
    gc.collect()
    tensors = [x for x in gc.get_objects() if type(x) in (torch.Tensor, torch.nn.Parameter)]
    return sum({x.untyped_storage().data_ptr(): x.untyped_storage().nbytes() for x in tensors}.values())


@pytest.mark.usefixtures("only_new_objects")
@pytest.mark.parametrize("window", [0, 4])
def test_two_thousand_tokens_leave_nothing_behind(window: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Live bytes after every 50th round: the caches' growth up to the declared capacity, and nothing that adds up."""
    base, proxy = endless("llama", 1), endless("llama", 2)
    capacity, lanes, live, passes = 3 + 2000, set[HuggingFaceModel](), list[int](), itertools.count(1)
    right = HuggingFaceModel.run

    def run(self: HuggingFaceModel, *arguments):
        lanes.add(self)
        out = right(self, *arguments)
        if self.name == "base" and next(passes) % 50 == 0:
            live.append(alive() - sum(x.numel() * x.itemsize for l in lanes for y in l.cache.layers if y.is_initialized
                                      for x in (y.keys, y.values)))  # fmt: skip
        assert all(y.keys.shape[2] <= capacity for y in self.cache.layers if y.is_initialized)
        return out

    monkeypatch.setattr(HuggingFaceModel, "run", run)
    before = alive()
    out = kad.generate(
        base, proxy, [[3, 4, 5]], target=TARGET, window=window, max_new_tokens=2000, do_sample=True, seed=0
    )
    assert out.trace.lengths.tolist() == [2000]
    assert max(live[1:]) - live[1] < 2000 * 200  # what the trace notes: under 200 bytes a token
    lanes.clear()
    del out
    assert alive() - before < 10_000


def test_a_window_of_fifteen_and_a_batch_of_sixty_four() -> None:
    """Row by row what the plain loop says, and every token fed once."""
    base, proxy = tiny("llama", 1, torch.float64), tiny("qwen3", 2, torch.float64)
    ids, mask = ragged(64, seed=5)
    options = {"input_ids": ids, "attention_mask": mask, "target": TARGET, "max_new_tokens": 20}
    plain = kad.generate(base, proxy, window=0, **options)
    wide = kad.generate(base, proxy, window=15, **options)
    assert continuation(wide) == continuation(plain)
    for row in range(64):
        rejected = sum(int(r.drafted[row] - r.accepted[row]) for r in wide.trace.rounds if r.drafted[row] > 0)
        kept = int(mask[row].sum() + wide.trace.lengths[row])
        assert kept - 2 <= int(wide.trace.base_fed[row]) - rejected <= kept
    sampled = kad.generate(base, proxy, window=15, do_sample=True, seed=0, **options)
    assert sampled.trace.lengths.min() >= 1


def read(model, cache: DynamicCache, **inputs: torch.Tensor) -> None:
    """Fill a cache as a user would, in any version of transformers."""
    model(**inputs, **{cache_name(model.forward): cache})


@pytest.mark.parametrize("window", [0, 3])
@pytest.mark.parametrize("compile", [False, {"backend": "eager"}], ids=["plain", "compiled"])
def test_continuing_from_a_cache(window: int, compile) -> None:
    """Ragged prompts half of which each model has read: the same text, and only the rest is fed."""
    base, proxy = tiny("llama", 1, torch.float64), tiny("qwen3", 2, torch.float64)
    ids, mask = ragged(4, seed=3)
    options = {"input_ids": ids, "attention_mask": mask, "target": TARGET, "window": window, "max_new_tokens": 10}
    want = kad.generate(base, proxy, **options)
    caches = []
    for model in (base, proxy):
        cache = DynamicCache()
        position = (mask.cumsum(-1) - 1).clamp_min(0)
        read(model, cache, input_ids=ids[:, :6], attention_mask=mask[:, :6], position_ids=position[:, :6])
        caches.append(cache)
    before = caches[0].layers[0].keys.clone()
    got = kad.generate(
        base, proxy, past_key_values=caches[0], proxy_past_key_values=caches[1], compile=compile, **options
    )
    torch._dynamo.reset()
    assert continuation(got) == continuation(want)
    known = mask[:, :6].sum(-1)
    assert (want.trace.base_fed - got.trace.base_fed).tolist() == known.tolist()
    assert (want.trace.proxy_fed - got.trace.proxy_fed).tolist() == known.tolist()
    assert torch.equal(caches[0].layers[0].keys, before)  # the user's cache is copied, never written


def test_caches_that_do_not_fit_are_refused() -> None:
    base, proxy, slides = tiny("llama", 1), tiny("qwen3", 2), tiny("mistral", 3)
    ids = torch.randint(3, 30, (2, 9))
    cache, other = DynamicCache(), DynamicCache(config=slides.config)
    read(base, cache, input_ids=ids[:1, :4])
    read(slides, other, input_ids=ids[:, :8])
    common = {"input_ids": torch.cat([ids, ids[:1]]), "target": TARGET, "max_new_tokens": 4}
    ok = kad.generate(base, proxy, past_key_values=cache, **{**common, "input_ids": ids[:1].repeat(3, 1)})
    assert ok.trace.lengths.min() >= 1  # one row of a cache serves several rows of one prompt
    with pytest.raises(ValueError, match="cache has layers that forget"):
        kad.generate(slides, proxy, past_key_values=other, **{**common, "input_ids": ids})
    two = DynamicCache()
    read(base, two, input_ids=ids[:, :4])
    with pytest.raises(ValueError, match="cache has 2 rows, the prompts have 3"):
        kad.generate(base, proxy, past_key_values=two, **common)


def test_a_base_in_parts(tmp_path: Path) -> None:
    """``device_map``: layers are moved to where they run by hooks, and one of them lies on the disk."""
    pytest.importorskip("accelerate")
    base, proxy = tiny("llama", 1), tiny("qwen3", 2)
    base.save_pretrained(tmp_path / "base")
    places = {"model.embed_tokens": "cpu", "model.rotary_emb": "cpu", "model.layers.0": "disk", "model.layers.1": "cpu",
              "model.norm": "cpu", "lm_head": "cpu"}  # fmt: skip
    parts = AutoModelForCausalLM.from_pretrained(
        tmp_path / "base", device_map=places, offload_folder=tmp_path / "offload", attn_implementation="sdpa"
    )
    assert parts.hf_device_map["model.layers.0"] == "disk"
    ids, mask = ragged(3, seed=3)
    options = {"input_ids": ids, "attention_mask": mask, "target": TARGET, "max_new_tokens": 8}
    for window in (0, 3):
        whole, split = (kad.generate(model, proxy, window=window, **options) for model in (base, parts))
        assert continuation(split) == continuation(whole)
    with pytest.raises(ValueError, match="several devices"):
        kad.generate(parts, proxy, compile=True, **options)
