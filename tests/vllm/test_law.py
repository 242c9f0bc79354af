"""vLLM's log-probabilities are log π, token for token, whatever the target, the placement and the temperature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import kad
from kad.engines import HuggingFace
from kad.mixture import Placement

from .running import Running, apart, law

TARGETS: dict[str, Callable[[Placement, Any], kad.Target]] = {
    "base": lambda at, q: kad.Base(),
    "proxy": lambda at, q: kad.Proxy(),
    "dual": lambda at, q: kad.dual(0.4, at),
    "primal": lambda at, q: kad.primal(0.9, at),
    "fractional": lambda at, q: kad.fractional(0.5, at),
    "nudging": lambda at, q: kad.nudging(0.4, at),
    "confidence bet": lambda at, q: kad.confidence_bet(0.1, at),
    "ensemble": lambda at, q: kad.Ensemble(0.5, at),
    "implicit reward": lambda at, q: kad.implicit_reward(q, 1.0, at),
    "exact": lambda at, q: kad.Mixture(kad.Squared(), kad.Exact(0.5), at),
    "cascade": lambda at, q: kad.Mixture(kad.cascades.TokenV3(), kad.Dual(multiplier=0.9), at),
}
PROMPTS = (
    "q : mia has 6 pens . she buys 8 more . she loses 3 . how many pens does mia have now ? a :",
    "q : tom has 6 apples . he loses 2 .", "first 6 + 8 =",
)  # fmt: skip
TEMPERATURES = (0.7, 1.0, 1.3)  # all in one batch
FIRST, SECOND = 5e-5, 1e-5  # how far π may be from kad's; Exact computes in another order


def worst(running: Running, peer: HuggingFace, name: str, placement: Placement) -> float:
    prompts = [peer.tokenizer(text)["input_ids"] for text in PROMPTS]
    asked = [
        {"temperature": heat, "max_tokens": 6, "logprobs": -1, "seed": 7, "ignore_eos": True} for heat in TEMPERATURES
    ]
    target = TARGETS[name](placement, peer.checkpoints.models["reference"])
    out = running.write(target, prompts, asked)
    assert [told.shape for _, told in out] == [(6, 258)] * 3
    return max(
        apart(law(peer, target, prompt, ids, heat), told)
        for prompt, heat, (ids, told) in zip(prompts, TEMPERATURES, out, strict=True)
    )


@pytest.mark.parametrize("placement", ["models", "draws", "mixture"])
@pytest.mark.parametrize("name", TARGETS)
def test_the_first_runner(plain: Running, peer: HuggingFace, name: str, placement: Placement) -> None:
    assert plain.runner == "vllm.v1.worker.cpu_model_runner"
    assert worst(plain, peer, name, placement) <= FIRST


@pytest.mark.parametrize(
    ("name", "placement"), [("dual", "models"), ("confidence bet", "draws"), ("primal", "mixture")]
)
def test_the_first_runner_with_drafts(drafting: Running, peer: HuggingFace, name: str, placement: Placement) -> None:
    before = drafting.ask("counts")
    assert worst(drafting, peer, name, placement) <= FIRST
    assert drafting.ask("counts")["drafts"] > before["drafts"]


@pytest.mark.parametrize(
    ("name", "placement"),
    [("dual", "models"), ("confidence bet", "draws"), ("primal", "mixture"), ("fractional", "models"), ("implicit reward", "draws")],
)  # fmt: skip
def test_the_second_runner_with_drafts(second: Running, peer: HuggingFace, name: str, placement: Placement) -> None:
    assert second.runner == "vllm.v1.worker.cpu.model_runner"  # of the second, `gpu`, for a CPU
    assert worst(second, peer, name, placement) <= SECOND
