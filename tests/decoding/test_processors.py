"""Processors are asked about places that count, about any text, and must answer by text and scores alone."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from transformers import (
    LogitNormalization,
    LogitsProcessor,
    LogitsProcessorList,
    PrefixConstrainedLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    SynthIDTextWatermarkingConfig,
    UnbatchedClassifierFreeGuidanceLogitsProcessor,
)

import kad

from ..models import ragged, tiny
from .reference import by_full_passes, continuation

TARGET, LENGTH, WINDOWS = kad.dual(0.3), 10, (0, 1, 3, 7)
IDS, MASK = ragged(5, seed=4)
PROMPTS = [row[m.bool()].tolist() for row, m in zip(IDS, MASK, strict=True)]
NEXT = {
    3: [5, 9],
    5: [7, 4, 11],
    7: [6, 2, 30],
    4: [3, 2],
    11: [2],
    6: [2, 3],
    9: [10],
    10: [2, 12],
    12: [3],
    30: [2, 5],
}


@pytest.fixture(scope="module")
def pair() -> tuple[Any, Any]:
    return tiny("llama", 1, torch.float64), tiny("qwen3", 2, torch.float64)


def along(row: int, ids: torch.Tensor) -> list[int]:
    """A grammar that says nothing of what follows a stop token; every row has its own first word."""
    last = int(ids[-1])
    if len(ids) == IDS.shape[1]:
        return [list(NEXT)[row % len(PROMPTS)], 3]
    return NEXT[last]


def test_an_end_without_an_entry(pair) -> None:
    """A function that dies after the end is never asked there, in any row."""
    processor = PrefixConstrainedLogitsProcessor(along, 1)
    want = [
        by_full_passes(*pair, TARGET, prompt, LENGTH, processors=[processor], row=row, width=IDS.shape[1])
        for row, prompt in enumerate(PROMPTS)
    ]
    assert len({len(text) for text, _ in want}) > 1, "all rows end together"
    for window in WINDOWS:
        options = {"target": TARGET, "window": window}
        out = kad.generate(
            *pair, input_ids=IDS, attention_mask=MASK, prefix_allowed_tokens_fn=along, output_scores=True,
            max_new_tokens=LENGTH, **options,
        )  # fmt: skip
        assert continuation(out) == [text for text, _ in want]
        for row, (text, scores) in enumerate(want):
            got = torch.stack([step[row] for step in out.scores[: len(text)]])
            torch.testing.assert_close(got, scores, atol=1e-9, rtol=0)
        one = pair[0].generate(
            IDS, attention_mask=MASK, prefix_allowed_tokens_fn=along, max_new_tokens=LENGTH, eos_token_id=2,
            custom_generate=kad.decoder(pair[1], **options),
        )  # fmt: skip
        assert torch.equal(one, out.sequences)


@pytest.mark.parametrize("window", WINDOWS)
def test_an_end_without_an_entry_when_sampled(pair, window: int) -> None:
    out = kad.generate(
        *pair, input_ids=IDS, attention_mask=MASK, prefix_allowed_tokens_fn=along, target=TARGET, window=window,
        do_sample=True, num_return_sequences=4, seed=1, max_new_tokens=LENGTH,
        logits_processor=[RepetitionPenaltyLogitsProcessor(1.3)],
    )  # fmt: skip
    for row in continuation(out):
        assert all(b in NEXT[a] for a, b in itertools.pairwise(row))


def test_no_token_allowed(pair) -> None:
    for window in (0, 3):
        with pytest.raises(ValueError, match="allows no token after 9 tokens of row 0; allow a stop token"):
            kad.generate(
                *pair, input_ids=IDS, target=TARGET, window=window, prefix_allowed_tokens_fn=lambda row, ids: []
            )


class OnlySeen(LogitsProcessor):
    """A user's own: it knows texts that can be, and dies of others; a row that has ended it knows as Hugging Face pads it."""

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        scores = scores.clone()
        scores[:, 0] = -torch.inf  # so that it is padding wherever it stands
        for row, ids in enumerate(input_ids[:, IDS.shape[1] :].tolist()):
            ended = 2 in ids
            if ended:
                assert set(ids[ids.index(2) + 1 :]) <= {0}, "something follows a stop token"
            elif 0 in ids:
                raise KeyError(0)  # padding within a text that goes on
            scores[row, [3, *ids]] -= 1.5
        return scores


@pytest.mark.parametrize("name", ["own", "normal"])
def test_processors_of_ones_own(pair, name: str) -> None:
    processor = {"own": OnlySeen(), "normal": LogitNormalization()}[name]
    want = [
        by_full_passes(*pair, TARGET, prompt, LENGTH, processors=[processor], width=IDS.shape[1])[0]
        for prompt in PROMPTS
    ]
    for window in WINDOWS:
        out = kad.generate(
            *pair, input_ids=IDS, attention_mask=MASK, target=TARGET, window=window, max_new_tokens=LENGTH,
            logits_processor=[processor], pad_token_id=0,
        )  # fmt: skip
        assert continuation(out) == want


class Counts(LogitsProcessor):
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return scores * self.calls


class Noise(LogitsProcessor):
    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        return scores + torch.rand_like(scores)


class Nothing(LogitsProcessor):
    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> Any:
        scores[:, 5] = -torch.inf


class Short(LogitsProcessor):
    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        return scores[:, :-1]


class Matcher(LogitsProcessor):
    """Stands in for xgrammar's, whose module is not installed everywhere."""

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        return scores


Matcher.__module__ = "xgrammar.contrib.hf"


@pytest.mark.parametrize("window", [0, 3])
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda base: UnbatchedClassifierFreeGuidanceLogitsProcessor(2.0, base), "second text"),
        (lambda base: Matcher(), "grammar's state"),
        (lambda base: Counts(), "Counts answers the same question in two ways"),
        (lambda base: Noise(), "Noise answers the same question in two ways"),
        (lambda base: Nothing(), "Nothing returned NoneType for scores"),
        (lambda base: Short(), r"Short returned \(1, 31\) for scores of shape \(1, 32\)"),
    ],
    ids=["guidance", "grammar", "counter", "noise", "none", "short"],
)
def test_what_no_processor_may_be(pair, make: Any, words: str, window: int) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        kad.generate(*pair, [PROMPTS[0]], target=TARGET, window=window, logits_processor=[make(pair[0])])
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=words):
        pair[0].generate(
            torch.tensor([PROMPTS[0]]), logits_processor=LogitsProcessorList([make(pair[0])]), max_new_tokens=4,
            custom_generate=kad.decoder(pair[1], TARGET, window=window),
        )  # fmt: skip


def test_a_watermark_with_a_memory(pair) -> None:
    config = SynthIDTextWatermarkingConfig(keys=[1, 2, 3], ngram_len=2)
    with pytest.raises(ValueError, match="remembers which contexts"):
        kad.generate(*pair, [PROMPTS[0]], target=TARGET, watermarking_config=config, do_sample=True, max_new_tokens=4)
