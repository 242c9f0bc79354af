"""vLLM's log-probabilities are log π, token for token, whatever the target, the placement and the temperature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import kad
from kad.engines import HuggingFace, Settings
from kad.engines.vllm.requests import shipped
from kad.mixture import Placement

from .running import Running, apart, apart_from_an_optimum, law, scores

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
    if name == "exact":
        return max(
            apart_from_an_optimum(target, scores(peer, target, prompt, ids, heat), told, heat)
            for prompt, heat, (ids, told) in zip(prompts, TEMPERATURES, out, strict=True)
        )
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


ASKED = {
    None: 0.7, "dual:0.3": 1.3, "primal:0.5": 1.0, "implicit-reward": 0.9, "confidence-bet": 0.5, "q*": 1.1, "p": 0.8,
}  # the engine's own, and what requests name, in one batch # fmt: skip


@pytest.mark.parametrize("runner", ["plain", "drafting", "second"])
def test_a_target_and_a_temperature_per_request(runner: str, request: pytest.FixtureRequest, peer: HuggingFace) -> None:
    """Under the placement of the engine's own target."""
    running: Running = request.getfixturevalue(runner)
    own, within = kad.Ensemble(0.25, "draws"), SECOND if runner == "second" else FIRST
    prompts = [[5, 17, 33, 40 + i] for i in range(len(ASKED))]
    asked = [
        {"temperature": heat, "max_tokens": 8, "logprobs": -1, "seed": i, "ignore_eos": True,
         "extra_args": {} if name is None else {"kad": name}}
        for i, (name, heat) in enumerate(ASKED.items())
    ]  # fmt: skip
    out = running.write(own, prompts, asked)
    for prompt, (name, heat), (ids, told) in zip(prompts, ASKED.items(), out, strict=True):
        target = own if name is None else shipped(name, "draws", peer.checkpoints.models["reference"])
        assert apart(law(peer, target, prompt, ids, heat), told) <= within, name


@pytest.mark.parametrize("runner", ["plain", "second"])
def test_a_seed_gives_its_text_again(runner: str, request: pytest.FixtureRequest, peer: HuggingFace) -> None:
    """The second runner also with drafts; the first draws them from one source for all requests."""
    running: Running = request.getfixturevalue(runner)
    prompt, asked = (
        peer.tokenizer("q : tom has")["input_ids"],
        {"temperature": 1.2, "max_tokens": 8, "ignore_eos": True},
    )
    once = running.write(kad.dual(0.4), [prompt] * 4, [asked | {"seed": seed} for seed in (11, 12, 13, 14)])
    again = running.write(None, [prompt] * 2, [asked | {"seed": seed} for seed in (13, 11)])
    assert [ids for ids, _ in again] == [once[2][0], once[0][0]]
    assert len({tuple(ids) for ids, _ in once}) > 1


@pytest.mark.parametrize("runner", ["plain", "drafting", "second"])
def test_greedy_texts(runner: str, request: pytest.FixtureRequest, peer: HuggingFace) -> None:
    running: Running = request.getfixturevalue(runner)
    prompts = [peer.tokenizer(text)["input_ids"] for text in PROMPTS]
    for target in (kad.dual(0.4), kad.primal(0.9, "mixture"), kad.confidence_bet(0.1, "draws")):
        theirs = running.write(target, prompts, [{"temperature": 0.0, "max_tokens": 24}] * 3)
        ours = peer.generate(prompts, target, Settings(new_tokens=24)).texts
        assert [ids for ids, _ in theirs] == [list(text.ids) for text in ours]
