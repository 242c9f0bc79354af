"""What vLLM samples has the law of π, with drafts and without: chi-square against the law enumerated on Hugging Face's models.

A right sampler fails one of the 24 tests of this file, each at `FALSE_ALARM`, with probability 0.0024 at most.
"""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

import kad
from kad.engines import HuggingFace, Settings

from .running import Running

FALSE_ALARM = 1e-4
SAMPLES, LENGTH, TEMPERATURE, PROMPT = 4000, 5, 1.2, "q : tom has"
NEGLIGIBLE = 1e-7  # contexts of less mass are left out of the enumeration; their tokens are the cell "other"
EXPECTED = 5  # at least, in a cell
TARGETS = {"dual": kad.dual(0.4), "bet": kad.confidence_bet(0.1, "draws"), "primal": kad.primal(0.9, "mixture")}


@functools.cache
def prompt_of(peer_tokenizer: object) -> tuple[int, ...]:
    return tuple(peer_tokenizer(PROMPT)["input_ids"])  # type: ignore[operator]


def laws(peer: HuggingFace, target: kad.Target, prompt: tuple[int, ...]) -> tuple[list[np.ndarray], np.ndarray]:
    """Of tokens 1, 2 and 3, ``(V,)`` each, and of tokens 1 and 2 together, ``(V, V)``; sums fall short of 1 by what is left out."""
    contexts, mass = torch.tensor([prompt]), torch.ones(1, dtype=torch.float64)
    singles, both = [], np.empty(0)
    for depth in range(3):
        settings, parts = Settings(temperature=TEMPERATURE), contexts.split(2048)
        pi = torch.cat(
            [peer.score(rows, target, settings, start=rows.shape[1] - 1).pi[:, 0] for rows in parts]
        ).double()
        joint = mass[:, None] * pi
        singles.append(joint.sum(0).numpy())
        if depth == 1:
            both = np.zeros((pi.shape[1], pi.shape[1]))
            both[contexts[:, -1].numpy()] = joint.numpy()
        row, token = (joint > NEGLIGIBLE).nonzero(as_tuple=True)
        contexts, mass = torch.cat([contexts[row], token[:, None]], 1), joint[row, token]
    return singles, both


def p_value(seen: np.ndarray, law: np.ndarray) -> float:
    """Of counts under a law, cells of small expectation and all that the law leaves out in one."""
    count, own = seen.sum(), law.ravel() * seen.sum() >= EXPECTED
    cells = [*zip(seen.ravel()[own], law.ravel()[own] * count, strict=True)]
    cells.append((count - sum(s for s, _ in cells), count - sum(e for _, e in cells)))
    if cells[-1][1] < EXPECTED:
        last, before = cells.pop(), cells.pop()
        cells.append((last[0] + before[0], last[1] + before[1]))
    observed, expected = (np.array(x, dtype=float) for x in zip(*cells, strict=True))
    return float(chisquare(observed, expected).pvalue)


def p_values(running: Running, peer: HuggingFace, name: str) -> list[float]:
    """Of tokens 1, 2, 3, and of 1 and 2 together."""
    prompt = prompt_of(peer.tokenizer)
    singles, both = laws(peer, TARGETS[name], prompt)
    assert both.sum() > 0.999
    asked = {"temperature": TEMPERATURE, "max_tokens": LENGTH, "ignore_eos": True}
    out = np.array([ids for ids, _ in running.write(TARGETS[name], [prompt] * SAMPLES, [asked] * SAMPLES)])
    assert out.shape == (SAMPLES, LENGTH)
    size = len(singles[0])
    seen = [np.bincount(out[:, place], minlength=size) for place in range(3)]
    pairs = np.bincount(out[:, 0] * size + out[:, 1], minlength=size * size).reshape(size, size)
    return [*(p_value(s, law) for s, law in zip(seen, singles, strict=True)), p_value(pairs, both)]


@pytest.mark.parametrize("name", TARGETS)
def test_without_drafts(plain: Running, peer: HuggingFace, name: str) -> None:
    assert min(p_values(plain, peer, name)) > FALSE_ALARM


@pytest.mark.parametrize("name", TARGETS)
def test_with_drafts(drafting: Running, peer: HuggingFace, name: str) -> None:
    before = drafting.ask("counts")
    found = p_values(drafting, peer, name)
    after = drafting.ask("counts")
    assert min(found) > FALSE_ALARM
    accepted, drafted = (after[x] - before[x] for x in ("accepted_tokens", "draft_tokens"))
    assert 0.1 < accepted / drafted < 0.99  # some stand, some fall


def test_without_the_mend_of_its_sampler_the_law_is_another(drafting: Running, peer: HuggingFace) -> None:
    drafting.ask("unmend")  # the last test that this engine answers
    first, second, third, both = p_values(drafting, peer, "dual")
    assert first > FALSE_ALARM  # of the prefill, without drafts
    assert max(second, third, both) < FALSE_ALARM**2
