"""Targets that cross a process as plain data."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
import torch

import kad
from kad.engines.spelling import spell, unspelled
from kad.evaluation.own import LOSSES
from kad.kinds import KINDS
from kad.mixture import Placement

SOLVERS: list[kad.Solver] = [
    kad.Brute(0.5), kad.Dual(multiplier=0.3), kad.Dual(threshold=0.4), kad.Exact(0.5), kad.Fractional(0.5),
    kad.OrTools(0.5), kad.Primal(0.9), kad.Soft(0.7, 0.2),
]  # fmt: skip


def through_json(thing: Any, reference: Any = None) -> Any:
    return unspelled(json.loads(json.dumps(spell(thing))), reference)


@pytest.mark.parametrize("placement", ["models", "draws", "mixture"])
@pytest.mark.parametrize("name", KINDS)
def test_every_method_comes_back(name: str, placement: Placement) -> None:
    kind = KINDS[name]
    reference = ["somewhere"] if kind.needs == "reference" else []
    target = kind.make(kind.default, placement, *reference)
    assert through_json(target, *reference) == target


@pytest.mark.parametrize("loss", LOSSES.values(), ids=repr)
def test_every_loss_comes_back(loss: kad.Loss) -> None:
    target = kad.Mixture(loss, kad.Primal(0.9), "draws")
    assert through_json(target) == target


@pytest.mark.parametrize("solver", SOLVERS, ids=repr)
def test_every_solver_comes_back(solver: kad.Solver) -> None:
    target = kad.Mixture(kad.Logistic(), solver, "draws")
    assert through_json(target) == target


def test_a_number_in_a_tensor_is_a_number() -> None:
    assert through_json(kad.dual(torch.tensor(0.5))) == kad.dual(0.5)


def test_what_cannot_cross_is_refused() -> None:
    @dataclass(frozen=True)
    class Inner(kad.Target):
        def __call__(self, p: torch.Tensor, q: torch.Tensor, r: torch.Tensor | None = None) -> torch.Tensor:
            return q

    class Plain(kad.Target):
        def __call__(self, p: torch.Tensor, q: torch.Tensor, r: torch.Tensor | None = None) -> torch.Tensor:
            return q

    with pytest.raises(ValueError, match="must stand at the top of a module"):
        spell(Inner())
    with pytest.raises(ValueError, match="by numbers and names alone"):
        spell(Plain())
    with pytest.raises(ValueError, match="by numbers and names alone"):
        spell(kad.primal(torch.tensor([0.5, 0.6])))
    with pytest.raises(ValueError, match=r"cannot load the target os\.abort"):
        unspelled({"class_path": "os.abort", "init_args": {}})
