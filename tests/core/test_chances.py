"""The public suite for sources of chance: kad's own pass, and every kind of mistake is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from kad.chances import Chance, Greedy, PerRow, Sampled, passed
from kad.testing import check_chance


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize(
    "make",
    [Sampled, lambda: Sampled(generator()), Greedy, lambda: PerRow(range(6))],
    ids=["global", "own", "greedy", "rows"],
)
def test_kads_own_pass(make: Callable[[], Chance]) -> None:
    check_chance(make())


class Wrong(Sampled):
    """A source that is right but for what is replaced."""

    def __init__(self, **wrong: Callable[..., Any]) -> None:
        super().__init__(generator())
        vars(self).update(wrong)


def cold(weights: Tensor) -> Tensor:
    """Takes the weights for probabilities that sum to 1, as `torch.rand() < cumsum` does."""
    u = torch.rand(len(weights), 1, generator=generator(), dtype=torch.float64)
    return (weights.double().cumsum(-1) < u).sum(-1)


class Mode(Sampled):
    greedy = True

    def pick(self, weights: Tensor) -> Tensor:
        return weights.shape[-1] - 1 - weights.flip(-1).argmax(-1)  # of equal ones the last


def spoil(weights: Tensor) -> Tensor:
    token = weights.argmax(-1)
    weights /= weights.sum(-1, keepdim=True)
    return token


@pytest.mark.parametrize(
    ("chance", "words"),
    [
        (Wrong(pick=cold), "pick must return ids in"),
        (Wrong(pick=lambda w: torch.zeros(len(w), dtype=torch.long)), "pick returned a token of weight zero"),
        (Wrong(pick=lambda w: w.argmax(-1).int()), r"pick must return ids, torch.int64 \(3,\), got torch.int32"),
        (Wrong(pick=lambda w: w.argmax(-1, keepdim=True)), "pick must return ids"),
        (Wrong(pick=lambda w: w.argmax(-1).tolist()), "pick must return ids"),
        (Wrong(pick=spoil), "pick changed the weights"),
        (Wrong(coin=lambda x: x), r"coin must return torch.bool \(3,\), got torch.float32"),
        (Wrong(coin=lambda x: (x > 0).any()), "coin must return torch.bool"),
        (Wrong(coin=lambda x: torch.rand(len(x)) <= x + 0.2), "coin came up at probability 0"),
        (Wrong(coin=lambda x: torch.rand(len(x)) < x - 0.2), "coin did not come up at probability 1"),
        (Wrong(leading=lambda x: (x > 0).sum(-1)), "leading must count the coins before the first that fails"),
        (Wrong(leading=lambda x: passed(x > 0).float()), "leading must return counts"),
        (Wrong(leading=lambda x: passed(x > 1)), "leading must count the coins before the first that fails"),
        (Wrong(leading=lambda x: passed(x > 0) - 1), "leading must count the coins"),
        (Wrong(settled=lambda x: ~x if x.dtype == torch.bool else x), "settled must give back what it was given"),
        (Wrong(settled=lambda x: x.to(torch.int64)), "settled must give back what it was given"),
        (Mode(), "says that it is greedy"),
        (Sampled, r"Sampled is a class; give an instance: Sampled\(\)"),
        (torch.Generator(), "not a kad.Chance"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(chance: Any, words: str) -> None:
    with pytest.raises(AssertionError, match=words) as caught:
        check_chance(chance)
    assert "\n" not in str(caught.value)


def test_it_is_told_what_every_decision_is_about() -> None:
    """A source that wants to know finds as many rows as it is asked about, and the decoder's own words."""
    told: list[tuple[int, str]] = []

    class Curious(Greedy):
        def about(self, rows: Tensor, place: Tensor, where: Tensor, what: str, step: int = 0) -> None:
            assert rows.shape == place.shape == where.shape
            assert where.dtype == torch.bool
            told.append((len(rows), what))

        def pick(self, weights: Tensor) -> Tensor:
            assert told.pop() == (len(weights), "draft")
            return super().pick(weights)

        def coin(self, probability: Tensor) -> Tensor:
            if probability.ndim == 1:  # `leading` of the greedy source asks for the coins of a whole window
                assert told.pop() == (len(probability), "keep")
            return super().coin(probability)

        def leading(self, probability: Tensor) -> Tensor:
            assert told.pop() == (len(probability), "accept")
            return super().leading(probability)

    check_chance(Curious())
    assert not told
