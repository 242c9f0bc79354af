"""A seed per row: the same text alone, in any batch and in any order, and still the target's law."""

from __future__ import annotations

import pytest
import torch

import kad
from kad.chances.sampled import uniforms

from ..models import ragged, tiny
from .test_sampling import FALSE_ALARM, LENGTH, VOCABULARY, chi_square, exact_law

TARGETS = [kad.dual(0.3), kad.fractional(0.5, "mixture"), kad.confidence_bet(0.1), kad.Base()]


@pytest.mark.parametrize("window", [0, 1, 4])
@pytest.mark.parametrize("target", TARGETS, ids=repr)
def test_the_batch_makes_no_difference(target: kad.Target, window: int) -> None:
    base, proxy = tiny("llama", 1, torch.float64), tiny("qwen3", 2, torch.float64)
    ids, mask = ragged(6, seed=4)
    seeds = [11, 5, 5, 2**70, 0, 3]
    options = {"target": target, "window": window, "do_sample": True, "temperature": 0.9, "max_new_tokens": 14}

    def texts(rows: list[int]) -> list[list[int]]:
        out = kad.generate(
            base, proxy, input_ids=ids[rows], attention_mask=mask[rows], seed=[seeds[r] for r in rows], **options
        )
        return [[t.id for t in out.trace.tokens(i)] for i in range(len(rows))]

    together = texts([0, 1, 2, 3, 4, 5])
    assert texts([4, 2, 0, 5]) == [together[r] for r in (4, 2, 0, 5)]
    assert [texts([row])[0] for row in range(6)] == together
    assert len({tuple(text) for text in together}) == 6


@pytest.mark.parametrize("window", [0, 2])
@pytest.mark.parametrize("target", [kad.dual(0.3), kad.confidence_bet(0.1)], ids=["dual", "confidence bet"])
def test_seeds_in_a_row_give_the_law(target: kad.Target, window: int) -> None:
    base, proxy = tiny("llama", 1, vocabulary=VOCABULARY), tiny("qwen3", 2, vocabulary=VOCABULARY)
    out = kad.generate(
        base, proxy, input_ids=torch.tensor([[3, 4, 5]] * 3000), target=target, window=window, seed=range(3000),
        do_sample=True, temperature=0.7, max_new_tokens=LENGTH,
    )  # fmt: skip
    samples = [tuple(t.id for t in out.trace.tokens(row)) for row in range(3000)]
    assert chi_square(samples, exact_law(base, proxy, target, [3, 4, 5], 0.7)) > FALSE_ALARM


def test_uniform_numbers_are_uniform() -> None:
    """30 intervals, 60,000 numbers; the chi-square's 1e-5 quantile for 29 degrees of freedom is 74."""
    counts = [0] * 30
    for key in range(600):
        for number in uniforms(b"%d" % key, 100):
            counts[int(30 * number)] += 1
    assert sum((c - 2000) ** 2 / 2000 for c in counts) < 74


def test_one_seed_per_row() -> None:
    base, proxy = tiny("llama", 1), tiny("llama", 2)
    options = {"target": kad.dual(0.3), "do_sample": True, "max_new_tokens": 3}
    with pytest.raises(ValueError, match="there are 2 rows and 3 seeds; give one seed per row"):
        kad.generate(base, proxy, [[3, 4], [5]], seed=[1, 2, 3], **options)
    assert len(kad.generate(base, proxy, [[3, 4]], seed=[1, 2], num_return_sequences=2, **options).sequences) == 2
