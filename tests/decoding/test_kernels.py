"""The fused arithmetic of a round against the plain one: random, peaked, flat and tied, and the law with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

import kad
from kad.arithmetic import CPU, Weights, fused
from kad.decisions import Reading, decide
from kad.distributions import BLOCK

from ..models import NO_COMPILER
from .enumeration import chain_law, decoder, emitted_law, tables
from .test_law import targets

SIZE = 5000  # more than a block of a draw, and more than is sorted on a CPU
# Of float32 sums, whatever their order: without vector units compiled ones go token by token.
OF_ROW, OF_BLOCK = (n * torch.finfo(torch.float32).eps / 2 for n in (SIZE, BLOCK))
TARGETS = {
    "dual": kad.dual(0.05), "primal": kad.primal(0.6), "fractional": kad.fractional(0.6), "nudging": kad.nudging(0.3),
    "confidence bet": kad.confidence_bet(0.05),
}  # fmt: skip


@pytest.fixture(autouse=True)
def fresh():
    yield
    torch._dynamo.reset()


def logits(kind: str, seed: int, rows: int = 3) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    spread = {"random": 2.0, "flat": 0.01, "peaked": 6.0, "tied": 2.0}[kind]
    x = spread * torch.randn(rows, 4, SIZE, generator=g)
    return (2 * x).round() / 2 if kind == "tied" else x


def spread(choice: Weights) -> torch.Tensor:
    """Its weights over the vocabulary."""
    if choice.tokens is None:
        return choice.weights
    blank = torch.zeros(len(choice.weights), SIZE, dtype=choice.weights.dtype)
    return blank.scatter_add(1, choice.tokens, choice.weights)


def compare(backend: dict[str, str], kinds: list[str]) -> None:
    machine, u = fused(**backend), torch.rand(3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for kind in kinds:
        p, q = (machine.softmax(logits(kind, seed), 0.7) for seed in (0, 1))
        torch.testing.assert_close(p, CPU.softmax(logits(kind, 0), 0.7), atol=0, rtol=OF_ROW)
        for i in range(4):
            assert machine.draw(p[:, i], u).tolist() == CPU.draw(p[:, i], u).tolist()
        base, proxy = Reading(p, p), Reading(q, q)
        for name, target in TARGETS.items():
            fast, plain = (m.call(decide, target, base, proxy) for m in (machine, CPU))
            assert fast is not None
            assert plain is not None
            torch.testing.assert_close(fast.alpha, plain.alpha, atol=OF_BLOCK, rtol=0)
            # Sums of another order may decide one token at the border otherwise; two where masses are tied in pairs.
            differ = (fast.dense() - plain.dense()).abs()
            assert float((differ * p).sum(-1).max()) <= 2 * float(p.amax(-1).min()) if kind != "peaked" else True
            assert int((differ > 1e-3).sum(-1).max()) <= 2, (kind, name)
            at = (slice(None), 1)
            d = plain.at(at)
            a, b = (m.leftover(d.kind, p[:, 1], q[:, 1], d.alpha) for m in (machine, CPU))
            torch.testing.assert_close(spread(a), spread(b), atol=1e-7, rtol=1e-4)


def test_traced() -> None:
    compare({"backend": "eager"}, ["random", "flat", "peaked", "tied"])


@NO_COMPILER
def test_by_the_real_compiler() -> None:
    compare({}, ["random", "tied"])


@pytest.mark.parametrize("name", ["dual", "fractional", "confidence bet"])
def test_the_law_with_fused_kernels(name: str) -> None:
    target, models, prompt = targets("models")[name], tables(9, 2), torch.tensor([1, 0])
    machine = fused(backend="eager")
    got = emitted_law(lambda chance: decoder(target, models, prompt, 3, 2, chance, temperature=0.7, arithmetic=machine))
    want = chain_law(target, models, prompt, 3, 0.7, None)
    assert max(abs(got.get(key, 0.0) - want.get(key, 0.0)) for key in got.keys() | want.keys()) < 1e-10


def test_solvers_that_cannot_be_traced_run_as_they_are() -> None:
    p = torch.softmax(logits("random", 0, rows=1)[:, :2, :40].double(), -1)
    target = kad.Mixture(kad.Logistic(), kad.Exact(0.5))
    for _ in range(2):
        decision = fused(backend="eager").call(decide, target, Reading(p, p), None)
        assert decision is not None
        assert torch.equal(decision.dense(), target.defer(p))


def test_a_target_without_a_hash_is_decided_too() -> None:
    """A dataclass that is not frozen has none."""

    @dataclass
    class Thawed(kad.Target):
        reads_proxy: ClassVar[bool] = False

        def __call__(self, p: torch.Tensor, q: torch.Tensor, r: torch.Tensor | None = None) -> torch.Tensor:
            return kad.mix(p, q, self.defer(p))

        def defer(self, p: torch.Tensor, q: torch.Tensor | None = None) -> torch.Tensor:
            return torch.tensor((p.numpy() < 0.3).tolist()).to(p)

    p = torch.tensor([[0.5, 0.25, 0.25]])
    for _ in range(2):
        decision = fused(backend="eager").call(decide, Thawed(), Reading(p, p), None)
        assert decision is not None
        assert decision.alpha.tolist() == [0.5]
