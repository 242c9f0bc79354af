"""compile=True: another cache and other kernels, the same tokens, draws and counts."""

from __future__ import annotations

import pytest
import torch

import kad
from kad.decoding.compiled import CompiledModel, up
from kad.decoding.lanes import lane_for

from ..models import NO_COMPILER, ragged, tiny
from .reference import continuation
from .test_greedy import reference_greedy

# Traced and guarded as for any backend, and then run as it is: a second a graph instead of ten.
EAGER = {"backend": "eager"}


pytestmark = pytest.mark.usefixtures("small_shapes")


@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_greedy_tokens_and_counts(family: str) -> None:
    base, proxy = tiny(family, 1, torch.float64), tiny("qwen3", 2, torch.float64)
    ids, mask = ragged(3, seed=3)
    for target, window in ((kad.dual(0.3), 0), (kad.dual(0.3), 3), (kad.confidence_bet(0.1), 2)):
        options = {"input_ids": ids, "attention_mask": mask, "target": target, "window": window, "max_new_tokens": 14}
        plain, fast = (kad.generate(base, proxy, compile=c, **options) for c in (False, EAGER))
        assert continuation(fast) == continuation(plain) == reference_greedy(base, proxy, target, ids, mask)
        assert fast.trace.base_passes == plain.trace.base_passes
        assert fast.trace.proxy_passes == plain.trace.proxy_passes
        assert fast.trace.base_fed.tolist() == plain.trace.base_fed.tolist()
        assert fast.trace.proxy_fed.tolist() == plain.trace.proxy_fed.tolist()


@pytest.mark.parametrize("window", [0, 3, kad.AutoWindow(4, 0.1)], ids=str)
def test_the_same_seed_draws_the_same_text(window: int | kad.AutoWindow, monkeypatch: pytest.MonkeyPatch) -> None:
    """In float64 the two agree to 1e-14, so every draw of 24 rows is the same: the law is that of the plain loop."""
    base, proxy = tiny("llama", 1, torch.float64), tiny("llama", 2, torch.float64)
    # The plain loop drops rows that have ended, and then draws for fewer.
    monkeypatch.setattr("kad.decoding.loop.Decoder.compact", lambda self: None)
    ids, mask = ragged(4, seed=1)
    options = {
        "input_ids": ids.repeat(6, 1), "attention_mask": mask.repeat(6, 1), "target": kad.dual(0.2), "window": window,
        "do_sample": True, "seed": 7, "max_new_tokens": 10,
    }  # fmt: skip
    plain, fast = (kad.generate(base, proxy, compile=c, **options) for c in (False, EAGER))
    assert fast.sequences.tolist() == plain.sequences.tolist()


@NO_COMPILER
def test_with_the_real_compiler() -> None:
    """Kernels made by Inductor, in float32: logits agree to rounding, at every width and length that a run takes."""
    model = tiny("llama", 1)
    ids, mask = ragged(2, seed=3)
    prompts = [row[m.bool()] for row, m in zip(ids, mask, strict=True)]
    plain = lane_for("base", model, prompts, 12, 32)
    fast = lane_for("base", model, prompts, 12, 32, {})
    everyone = torch.ones(2, dtype=torch.bool)
    for step in range(5):
        a, b = plain.logits(everyone, 1), fast.logits(everyone, 1)
        torch.testing.assert_close(a, b, atol=1e-4, rtol=0)
        for lane in (plain, fast):
            lane.append(a[:, -1].argmax(-1), everyone)
            if step == 1:
                lane.append(a[:, -1].argmin(-1), torch.tensor([True, False]))
            if step == 3:
                lane.truncate(torch.tensor([2, 1]))
                lane.append(a[:, -1].argmax(-1), everyone)
    assert isinstance(fast.model, CompiledModel)
    assert len(fast.model.shapes) <= 5


def test_what_cannot_be_compiled_says_so() -> None:
    base, proxy = tiny("llama", 1), tiny("llama", 2)
    with pytest.raises(RuntimeError, match=r"cannot be compiled here .*use compile=False"):
        kad.generate(base, proxy, [[3, 4]], target=kad.dual(0.2), compile={"backend": "nowhere"}, max_new_tokens=4)
    with pytest.raises(ValueError, match="compile must be"):
        kad.generate(base, proxy, [[3, 4]], target=kad.dual(0.2), compile="yes", max_new_tokens=4)


def test_powers_of_two() -> None:
    assert [up(n) for n in (1, 2, 3, 4, 5, 9)] == [1, 2, 4, 4, 8, 16]
    assert up(3, 128) == 128
