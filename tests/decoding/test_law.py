"""On table models, where every outcome can be enumerated, the loop emits exactly the π chain."""

from __future__ import annotations

import pytest
import torch

import kad
from kad.mixture import Placement, Target

from .enumeration import TOGETHER, chain_law, decoder, emitted_law, tables


def targets(placement: Placement) -> dict[str, Target]:
    return {
        "dual": kad.dual(0.4, placement),
        "primal": kad.primal(0.6, placement),
        "fractional": kad.fractional(0.45, placement),
        "nudging": kad.nudging(0.7, placement),
        "confidence bet": kad.confidence_bet(0.1, placement),
        "squared": kad.Mixture(kad.Squared(), kad.Dual(multiplier=0.4), placement),
        "brier": kad.Mixture(kad.Brier(), kad.Primal(0.5), placement),
        "perceptron": kad.Mixture(kad.Perceptron(), kad.Dual(multiplier=0.9), placement),
        "zero-one": kad.Mixture(kad.ZeroOne(), kad.Fractional(0.3), placement),
        "soft": kad.Mixture(kad.Logistic(), kad.Soft(0.8, 0.4), placement),
        "implicit reward": kad.implicit_reward("table", 1.3, placement),
        "base": kad.Base(),
        "proxy": kad.Proxy(),
    }


NAMES = list(targets("models"))


def compare(
    target: Target, window: int, vocabulary: int, length: int, temperature: float, stop: int | None,
    together: int = TOGETHER, **more,
):  # fmt: skip
    models, prompt = tables(7 + window, vocabulary), torch.tensor([1, 0])
    got = emitted_law(
        lambda chance: decoder(
            target, models, prompt, length, window, chance, temperature=temperature, stop=stop, **more
        ),
        together,
    )
    want = chain_law(target, models, prompt, length, temperature, stop)
    assert abs(sum(want.values()) - 1) < 1e-10
    worst = max(abs(got.get(key, 0.0) - want.get(key, 0.0)) for key in got.keys() | want.keys())
    assert worst < 1e-10  # rounding of at most a few hundred float64 products


@pytest.mark.parametrize("window", range(5))
@pytest.mark.parametrize("name", NAMES)
def test_emitted_law_is_the_chain(name: str, window: int) -> None:
    compare(targets("models")[name], window, vocabulary=2, length=5, temperature=0.7, stop=None)


@pytest.mark.parametrize("placement", ["draws", "mixture"])
@pytest.mark.parametrize("window", range(5))
@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("base", "proxy")])  # one model: no placement
def test_every_placement(name: str, window: int, placement: Placement) -> None:
    compare(targets(placement)[name], window, vocabulary=2, length=5, temperature=0.6, stop=None)


@pytest.mark.parametrize("window", range(4))
@pytest.mark.parametrize("name", NAMES)
def test_alone(name: str, window: int) -> None:
    """The same with every outcome in a batch of its own."""
    compare(targets("models")[name], window, vocabulary=2, length=3, temperature=0.7, stop=None, together=1)


@pytest.mark.parametrize("window", range(5))
@pytest.mark.parametrize("name", NAMES)
def test_with_three_tokens_and_a_stop(name: str, window: int) -> None:
    compare(targets("models")[name], window, vocabulary=3, length=3, temperature=1.0, stop=2)


@pytest.mark.parametrize("window", [0, 2])
@pytest.mark.parametrize("name", ["dual", "confidence bet", "implicit reward"])
def test_keeping_scores_changes_nothing(name: str, window: int) -> None:
    compare(targets("models")[name], window, vocabulary=2, length=3, temperature=1.0, stop=None, keep_scores=True)
