"""Every target writes on a simulated device what it writes on the CPU, and mixes up no two devices."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch

import kad

from .device import Simulated
from .guard import missing
from .rounds import LONG, near, peaked, prompts

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))

VOCABULARY, ROWS = 5_000, 5
PLACEMENTS = ("models", "draws", "mixture")
WINDOWS = (0, 1, 3, 7, kad.AutoWindow(cost=0.2))


def mixture(loss: kad.Loss, solver: kad.Solver, placement: Any) -> kad.Target:
    return kad.Mixture(loss, solver, placement)


NAMES = (
    "dual", "primal", "fractional", "nudging", "bet", "reward", "ensemble", "diff", "v2", "zero-one primal", "bet fractional",
    "brier", "exact", "base", "proxy",
)  # fmt: skip


def targets(reference: Any, placement: Any) -> dict[str, kad.Target]:
    dual = kad.Dual(multiplier=0.05)
    return {
        "dual": kad.dual(0.2, placement), "primal": kad.primal(0.5, placement), "fractional": kad.fractional(0.5, placement),
        "nudging": kad.nudging(0.3, placement), "bet": kad.confidence_bet(0.05, placement),
        "reward": kad.implicit_reward(reference, 1.0, placement), "ensemble": kad.Ensemble(0.4, placement),
        "diff": mixture(kad.cascades.Diff(), dual, placement), "v2": mixture(kad.cascades.TokenV2(), dual, placement),
        "zero-one primal": mixture(kad.ZeroOne(), kad.Primal(0.5), placement),
        "bet fractional": mixture(kad.ConfidenceBet(), kad.Fractional(0.5), placement),
        "brier": mixture(kad.Brier(), kad.Dual(multiplier=0.9), placement),
        "exact": mixture(kad.Logistic(), kad.Exact(0.5), placement),
        "base": kad.Base(), "proxy": kad.Proxy(),
    }  # fmt: skip


@pytest.fixture(scope="module")
def models() -> list[Any]:
    base = peaked(VOCABULARY, layers=2, spread=3.0).double()
    return [base, near(base, 0.4), near(base, 0.4, seed=2)]  # float64: rounding then decides no draw


def text(models: list[Any], name: str, placement: str, window: Any, sample: bool, **options: Any) -> torch.Tensor:
    base, proxy, reference = models
    ids, mask = prompts(ROWS, VOCABULARY)
    drawn = {"do_sample": True, "temperature": 0.7, "seed": list(range(ROWS))} if sample else {"do_sample": False}
    target = targets(reference, placement)[name]
    new = 3 if name == "exact" else 7  # a knapsack a position
    named = drawn | {"target": target, "window": window, "max_new_tokens": new} | options
    return kad.generate(base, proxy, input_ids=ids, attention_mask=mask, **named).trace.ids


def placed(models: list[Any], devices: tuple[str, ...], gpu: Simulated) -> list[Any]:
    copies = [near(model, 0.0) for model in models]
    return [copy if device == "cpu" else gpu.adopt(copy, device) for copy, device in zip(copies, devices, strict=True)]


EVERY = list(itertools.product(NAMES, PLACEMENTS, WINDOWS, (True, False)))
# Every target in every placement, with windows and modes in turn; in `make test-long` each with each.
TURNS = [
    (name, placement, WINDOWS[(2 * i + j) % len(WINDOWS)], (i + j) % 2 == 0)
    for (i, name), (j, placement) in itertools.product(enumerate(NAMES), enumerate(PLACEMENTS))
]
CASES = EVERY if LONG else TURNS


@pytest.mark.parametrize(("name", "placement", "window", "sample"), CASES)
def test_the_same_text(models: list[Any], name: str, placement: str, window: Any, sample: bool) -> None:
    expected = text(models, name, placement, window, sample)
    with Simulated() as gpu:
        found = text(placed(models, ("cuda:0",) * 3, gpu), name, placement, window, sample)
    assert found.tolist() == expected.tolist()


@pytest.mark.parametrize(
    "devices",
    [
        ("cuda:0", "cuda:1", "cuda:1"),
        ("cuda:0", "cpu", "cuda:1"),
        ("cpu", "cuda:0", "cuda:0"),
        ("cuda:1", "cuda:0", "cpu"),
    ],
)
@pytest.mark.parametrize(
    ("name", "window", "sample"), [("dual", 3, True), ("reward", 3, True), ("bet", 0, True), ("primal", 3, False)]
)
def test_models_on_several_devices(
    models: list[Any], devices: tuple[str, ...], name: str, window: int, sample: bool
) -> None:
    expected = text(models, name, "models", window, sample)
    with Simulated() as gpu:
        assert text(placed(models, devices, gpu), name, "models", window, sample).tolist() == expected.tolist()


@pytest.mark.parametrize("window", [0, 3])
@pytest.mark.parametrize("sample", [True, False])
def test_stop_tokens(models: list[Any], window: int, sample: bool) -> None:
    """Where the host learns only afterwards that a draft, or a token that was owed, has ended a row."""
    whole = text(models, "dual", "models", window, sample, max_new_tokens=12)
    stops = whole.diagonal(1).tolist()  # the first row's second token, the second row's third, ...
    asked = {"eos_token_id": stops, "max_new_tokens": 12}
    expected = text(models, "dual", "models", window, sample, **asked)
    assert expected.shape[1] < 12
    with Simulated() as gpu:
        found = text(placed(models, ("cuda:0",) * 3, gpu), "dual", "models", window, sample, **asked)
    assert found.tolist() == expected.tolist()


@pytest.mark.parametrize(
    "options", [{"repetition_penalty": 1.3}, {"top_p": 0.9}, {"output_scores": True, "return_dict_in_generate": True}]
)
def test_processors_and_scores(models: list[Any], options: dict[str, Any]) -> None:
    expected = text(models, "dual", "models", 3, True, **options)
    with Simulated() as gpu:
        found = text(placed(models, ("cuda:0",) * 3, gpu), "dual", "models", 3, True, **options)
    assert found.tolist() == expected.tolist()


@pytest.mark.parametrize("name", ["dual", "primal", "fractional", "bet fractional", "reward"])
@pytest.mark.parametrize("sample", [True, False])
def test_where_torch_is_told_to_be_deterministic(models: list[Any], name: str, sample: bool) -> None:
    expected = text(models, name, "models", 3, sample)
    torch.use_deterministic_algorithms(True)
    try:
        with Simulated() as gpu:
            found = text(placed(models, ("cuda:0",) * 3, gpu), name, "models", 3, sample)
    finally:
        torch.use_deterministic_algorithms(False)
    assert found.tolist() == expected.tolist()


def test_a_nan_is_said_with_its_row(models: list[Any]) -> None:
    with Simulated() as gpu:
        broken = placed(models, ("cuda:0",) * 3, gpu)
        broken[0].lm_head.weight.numbers[7] = torch.nan
        with pytest.raises(ValueError, match="base model returned NaN or infinite logits for row 0"):
            text(broken, "dual", "models", 3, True)
