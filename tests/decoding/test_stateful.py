"""Targets with a state: on table models the loop emits the chain in which the state follows every token, whatever the window."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar
from unittest import mock

import pytest
import torch
from torch import Tensor

import kad
from kad.arithmetic import fused
from kad.laws.course import Course
from kad.mixture import Placement

from .enumeration import decoder, emitted_law, tables


@dataclass(frozen=True)
class Reading(kad.Stateful):
    """The state is made of the tokens: a threshold that counts ones, and how long the text is."""

    reads_proxy: ClassVar[bool] = False
    placement: Placement = "models"

    def begin(self) -> tuple[float, ...]:
        return 0.2, 0.0

    def at(self, state: Tensor) -> kad.Target:
        return kad.dual((state[..., 0] + 0.02 * state[..., 1]).clamp(0, 1), self.placement)

    def follow(self, state: Tensor, alpha: Tensor, token: Tensor) -> Tensor:
        return torch.stack([state[..., 0] + 0.2 * (token == 1) - 0.05 * alpha, state[..., 1] + 1], -1)


def targets(placement: Placement = "models") -> dict[str, kad.Stateful]:
    return {
        "logistic": kad.paced(0.4, 0.8, 0.9, placement),
        "squared": kad.Paced(kad.Squared(), 0.4, 0.3, 0.2, placement),
        "brier": kad.Paced(kad.Brier(), 0.3, 0.7, 0.9, placement),
        "confidence bet": kad.Paced(kad.ConfidenceBet(), 0.3, 0.3, 0.1, placement),
        "equality": kad.paced(0.9, 0.8, 0.3, placement, equality=True),
        "equality, brier": kad.Paced(kad.Brier(), 0.9, 0.5, 0.1, placement, equality=True),
        "by token": Reading(placement),
    }


NAMES = list(targets())


def chain(
    target: kad.Stateful, models: list[Tensor], prompt: Tensor, length: int, temperature: float, stop: int | None = None
) -> dict[tuple[int, ...], float]:
    """From the definition, token by token, in plain formulas over single distributions."""
    order, vocabulary, found = models[0].ndim - 1, models[0].shape[-1], dict[tuple[int, ...], float]()

    def heat(x: Tensor, t: float) -> Tensor:
        hot = x ** (1 / t)
        return hot / hot.sum()

    def walk(text: tuple[int, ...], weight: float, state: Tensor) -> None:
        if len(text) == length or (text and text[-1] == stop):
            found[text] = weight
            return
        at = tuple(([0] * order + prompt.tolist() + list(text))[-order:])
        p, q = (torch.softmax(m[at], -1) for m in models[:2])
        hot_p, hot_q = heat(p, temperature), heat(q, temperature)
        now = target.at(state)
        d = now.defer(hot_p, hot_q) if target.placement == "models" else now.defer(p, q)
        assert d is not None
        mixed_p, mixed_q = (p, q) if target.placement == "mixture" else (hot_p, hot_q)
        alpha = (mixed_p * d).sum()
        pi = mixed_p * (1 - d) + alpha * mixed_q
        pi = heat(pi, temperature) if target.placement == "mixture" else pi
        for token in range(vocabulary):
            walk((*text, token), weight * float(pi[token]), target.follow(state, alpha, torch.tensor(token)))

    walk((), 1.0, target.first(models[0][(0,) * order]))
    return found


def difference(
    target: kad.Stateful, window: int, vocabulary: int = 2, length: int = 5, temperature: float = 0.7,
    stop: int | None = None, **more: Any,
) -> float:  # fmt: skip
    models, prompt = tables(7 + window, vocabulary), torch.tensor([1, 0])

    def build(chance: Any) -> Any:
        return decoder(target, models, prompt, length, window, chance, temperature=temperature, stop=stop, **more)

    got, want = emitted_law(build), chain(target, models, prompt, length, temperature, stop)
    assert abs(sum(want.values()) - 1) < 1e-10
    return max(abs(got.get(key, 0.0) - want.get(key, 0.0)) for key in got.keys() | want.keys())


@pytest.mark.parametrize("window", range(5))
@pytest.mark.parametrize("name", NAMES)
def test_emitted_law_is_the_chain(name: str, window: int) -> None:
    assert difference(targets()[name], window) < 1e-10


@pytest.mark.parametrize(("placement", "window"), list(itertools.product(["draws", "mixture"], [0, 1, 3])))
@pytest.mark.parametrize("name", NAMES)
def test_every_placement(name: str, window: int, placement: Placement) -> None:
    assert difference(targets(placement)[name], window) < 1e-10


@pytest.mark.parametrize("window", [0, 2, 4])
@pytest.mark.parametrize("name", NAMES)
def test_with_a_stop_and_with_scores(name: str, window: int) -> None:
    assert difference(targets()[name], window, vocabulary=3, length=3, temperature=1.0, stop=2) < 1e-10
    assert difference(targets()[name], window, length=3, keep_scores=True) < 1e-10


def as_if_all_stood(self: Course, accepted: Tensor, *given: Any) -> None:
    ORIGINAL(self, torch.full_like(accepted, self.along.shape[1] - 1), *given)


def not_behind_a_debt(self: Course, *given: Any) -> None:
    pass


def of_every_row(self: Course, accepted: Tensor, alpha: Tensor, token: Tensor, some: Any, running: Tensor) -> None:
    ORIGINAL(self, accepted, alpha, token, (torch.ones_like(some[0]), some[1]), running)


ORIGINAL = Course.emitted


@pytest.mark.parametrize(
    ("name", "wrong"), [("emitted", as_if_all_stood), ("emitted", of_every_row), ("settled", not_behind_a_debt)]
)
def test_a_state_that_is_carried_wrongly_is_seen(name: str, wrong: Callable[..., None]) -> None:
    with mock.patch.object(Course, name, wrong):
        assert max(difference(targets()["by token"], window) for window in (1, 2)) > 1e-4


@pytest.mark.parametrize("window", [0, 1, 3, 7])
@pytest.mark.parametrize("name", NAMES)
def test_greedy_is_the_argmax_of_every_step(name: str, window: int) -> None:
    """Rows of other lengths beside it; greedy texts, states and deferred masses do not depend on the window."""
    pair, target = kad.demo.load(), targets()[name]
    texts = ["q : tom has 6 apples . he loses 2 . how many apples does tom have now ? a :", "q : 3 + 4 ? a :"]
    given: dict[str, Any] = {"target": target, "tokenizer": pair.tokenizer, "do_sample": False, "max_new_tokens": 24}
    whole = kad.generate(pair.base, pair.proxy, texts, window=window, **given).trace
    for row, text in enumerate(texts):
        alone = kad.generate(pair.base, pair.proxy, text, window=0, **given).trace
        length = int(alone.lengths[0])
        assert whole.emitted[row] == alone.emitted[0]
        assert whole.states is not None
        assert alone.states is not None
        assert torch.allclose(whole.states[row, :length], alone.states[0, :length], atol=1e-4)
        state = target.first(torch.zeros(1, 1))
        for i in range(length):
            assert torch.allclose(whole.states[row, i].float(), state[0].float(), atol=1e-4)
            state = target.follow(state, whole.alphas[row, i : i + 1], whole.ids[row, i : i + 1])


def test_at_must_be_a_mixture() -> None:
    pair = kad.demo.load()
    with pytest.raises(ValueError, match=r"Other.at must return a mixture"):
        kad.generate(pair.base, pair.proxy, "q : 3", target=Other(), tokenizer=pair.tokenizer, max_new_tokens=4)


def test_compiled_it_is_the_same() -> None:
    assert difference(targets()["logistic"], 1, length=2, arithmetic=fused(backend="eager")) < 1e-10


def test_seeds_of_rows_give_the_same_texts_alone() -> None:
    pair, target = kad.demo.load(), kad.paced(0.3)
    texts = ["q : tom has 6 apples . he loses 2 . how many apples does tom have now ? a :", "q : 3 + 4 ? a :"] * 2
    given: dict[str, Any] = {"target": target, "tokenizer": pair.tokenizer, "window": 3, "max_new_tokens": 24}
    whole = kad.generate(pair.base, pair.proxy, texts, seed=[1, 2, 3, 4], **given).trace
    for row, text in enumerate(texts):
        assert whole.emitted[row] == kad.generate(pair.base, pair.proxy, text, seed=[row + 1], **given).trace.emitted[0]


def test_the_bound_of_pacing_holds_in_every_text() -> None:
    """S15: the mean deferral exceeds b by at most (max μ − μ_1) / (η T)."""
    pair, budget = kad.demo.load(), 0.2
    target = kad.paced(budget, step=0.5)
    texts = [f"q : tom has {n} apples . he loses 2 . how many apples does tom have now ? a :" for n in range(4, 20)]
    trace = kad.generate(
        pair.base, pair.proxy, texts, target=target, tokenizer=pair.tokenizer, window=3, seed=0, max_new_tokens=40
    ).trace
    assert trace.states is not None
    for row, length in enumerate(trace.lengths.tolist()):
        prices, alphas = trace.states[row, :length], trace.alphas[row, :length].double()
        last = float(target.follow(prices[-1], alphas[-1], torch.tensor(0)))
        assert float((alphas - budget).sum()) <= (last - target.start) / target.step + 1e-6
        most = max(target.start, float(torch.tensor(pair.base.config.vocab_size / budget).log()) + target.step)
        assert max(last, float(prices.max())) <= most


@pytest.mark.parametrize("window", [0, 3])
def test_an_equality_keeps_the_mean_from_both_sides(window: int) -> None:
    """S15 (d), where so much is asked for that the price becomes negative in every text."""
    pair = kad.demo.load()
    target = kad.paced(0.5, step=0.5, start=0.1, equality=True)
    texts = [f"q : tom has {n} apples . he loses 2 . how many apples does tom have now ? a :" for n in range(4, 12)]
    trace = kad.generate(
        pair.base, pair.proxy, texts, target=target, tokenizer=pair.tokenizer, window=window, seed=0, max_new_tokens=40
    ).trace
    assert trace.states is not None
    high = float(torch.tensor(pair.base.config.vocab_size / target.budget).log()) + target.step * (1 - target.budget)
    for row, length in enumerate(trace.lengths.tolist()):
        prices, alphas = trace.states[row, :length], trace.alphas[row, :length].double()
        assert -target.step * target.budget - 1e-6 <= float(prices.min()) < 0
        most = max(high - target.start, target.start + target.step * target.budget) / (target.step * length)
        assert abs(float(alphas.mean()) - target.budget) <= most + 1e-6


class Other(kad.Stateful):
    """No mixture."""

    reads_proxy = False

    def begin(self) -> float:
        return 0.5

    def at(self, state: Tensor) -> kad.Target:
        return kad.ImplicitReward("r", strength=state[0])  # type: ignore[arg-type]

    def follow(self, state: Tensor, alpha: Tensor, token: Tensor) -> Tensor:
        return state


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"loss": kad.Logistic, "budget": 0.3}, "make an instance"),
        ({"loss": kad.Logistic(), "budget": 1.2}, "must lie in \\[0, 1\\]"),
        ({"loss": kad.Logistic(), "budget": 0.3, "step": 0}, "step must be a finite number > 0"),
        ({"loss": kad.Logistic(), "budget": 0.3, "start": -1.0}, "start must be a finite number ≥ 0"),
        ({"loss": kad.Logistic(), "budget": torch.tensor([0.1, 0.2])}, "must be one number"),
        ({"loss": kad.Logistic(), "budget": 0.3, "placement": "here"}, "placement must be one of"),
        ({"loss": kad.Logistic(), "budget": 0.3, "equality": 1}, "equality must be True or False"),
    ],
)
def test_wrong_arguments(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        kad.Paced(**given)
