"""Methods of one's own: one law has one key, parameters are swept and tuned, and any loss goes with any solver."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import kad
from kad.checkpoints import load_checkpoints
from kad.cli.main import main
from kad.evaluation.job import Job
from kad.evaluation.methods import Method, methods_of
from kad.evaluation.own import LOSSES, SYNONYMS, WAYS
from kad.evaluation.plan import Block, Plan, from_yaml
from kad.evaluation.store import read

from ..modules import written

MODULE = """
from dataclasses import dataclass
from typing import Any
import torch
import kad

@dataclass(frozen=True)
class Contrastive(kad.Target):
    strength: float = 0.5
    def __call__(self, p, q, r=None):
        return torch.softmax(p.clamp_min(1e-9).log() + self.strength * q.clamp_min(1e-9).log(), -1)

@dataclass(frozen=True)
class Placed(Contrastive):
    placement: kad.target.Placement = "models"

@dataclass(frozen=True)
class Heavy(Contrastive):
    reference: Any = None
    def __call__(self, p, q, r=None):
        return r

class Needy(Contrastive):
    def __init__(self, strength):
        object.__setattr__(self, "strength", strength)

TARGET = Contrastive(2.0)
def fresh(layers: int = 3) -> kad.Target:
    assert type(layers) is int
    return Contrastive(float(layers))

@dataclass(frozen=True)
class MyLoss(kad.Loss):
    decreasing = strict = True
    def __call__(self, p, q=None):
        return (1 - p) ** 3

@dataclass(frozen=True)
class MySolver(kad.Solver):
    share: float = 0.5
    def defer(self, loss, mass):
        return torch.full_like(mass, self.share)
"""
PLACEMENTS = ("models", "draws", "mixture")


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A user's module in the current folder, of another name in every test."""
    return written(tmp_path, monkeypatch, "mine", MODULE)


def configurations(*methods: Method, **block) -> list:
    plan = Plan(("embedded",), (Block(methods, **block),))
    return list(plan.configurations("embedded", 72, (("base", "1"), ("proxy", "2"), ("reference", "3"))))


def test_one_law_has_one_key(mine: str) -> None:
    """Three placements are three laws for a target that takes one, and one for a target that has one."""
    for name, wanted in (
        ("Contrastive", ["models"]),
        ("TARGET", ["models"]),
        ("Placed", [*PLACEMENTS]),
        ("fresh", ["models"]),
    ):
        found = configurations(*methods_of(f"{mine}.{name}"), placements=PLACEMENTS)
        assert [c.placement for c in found] == wanted, name
        assert [c.of.target(c.placement).placement for c in found] == wanted
    assert len(configurations(*methods_of(f"{mine}.Placed"), placements=PLACEMENTS, temperatures=(1.0, None))) == 2
    assert [c.placement for c in configurations(Method("dual", 0.4), placements=PLACEMENTS)] == [*PLACEMENTS]
    assert (
        len(configurations(Method("dual", 0.4), Method("dual", 0.4), placements=PLACEMENTS, temperatures=(1.0,))) == 1
    )
    assert methods_of(f"{mine}.Contrastive") == methods_of(f"{mine}.Contrastive:0.5")
    for name, same in SYNONYMS.items():
        assert [m.name for m in methods_of(f"{name}:0.5")] == [same]


def test_a_reference_is_given_to_those_that_take_one(mine: str) -> None:
    (heavy,) = methods_of(f"{mine}.Heavy:0.5")
    assert heavy.known.needs == "reference"
    assert heavy.target("models", "q").reference == "q"
    with pytest.raises(ValueError, match="needs the small base model q: give --reference"):
        heavy.target("models")
    assert [dict(c.models) for c in configurations(heavy)] == [{"base": "1", "proxy": "2", "reference": "3"}]
    assert [dict(c.models) for c in configurations(*methods_of(f"{mine}.Contrastive"))] == [{"base": "1", "proxy": "2"}]


def test_the_parameter_is_the_first_of_its_own(mine: str) -> None:
    values = [m.target("models").strength for m in methods_of(f"{mine}.Contrastive:0.5,1")]
    assert values == [0.5, 1.0]
    assert [m.target("models").strength for m in methods_of(f"{mine}.fresh:3,4")] == [3.0, 4.0]
    assert [m.label for m in methods_of(f"{mine}.Needy:2")] == [f"{mine}.Needy:2"]
    for spec, words in (
        ("Needy", "missing 1 required positional argument: 'strength'"), ("TARGET:1", "has no parameter"), ("Contrastive:x", "is a number"),
        ("MyLoss", "it is a loss; name a solver with it"), ("MySolver", "it is no Target"), ("MyLoss*TARGET", "there is no solver"),
        ("MyLoss*dual", "needs its parameter μ"), ("MyLoss*dual:-1", "multiplier must be"), ("Nothing*primal", "cannot load the loss"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            methods_of(f"{mine}.{spec}")


def test_losses_and_solvers_make_a_grid(mine: str) -> None:
    found = methods_of(f"{mine}.MyLoss,Brier*primal,{mine}.MySolver:0.5,0.9")
    assert [m.label for m in found] == [
        f"{mine}.MyLoss*primal b=0.5", f"{mine}.MyLoss*primal b=0.9", f"{mine}.MyLoss*{mine}.MySolver:0.5", f"{mine}.MyLoss*{mine}.MySolver:0.9",
        "Brier*primal b=0.5", "Brier*primal b=0.9", f"Brier*{mine}.MySolver:0.5", f"Brier*{mine}.MySolver:0.9",
    ]  # fmt: skip
    assert found[3].target("draws").solver.share == 0.9
    assert [c.placement for c in configurations(found[0], placements=PLACEMENTS)] == [*PLACEMENTS]
    path = Path("plan.yaml")
    path.write_text(
        f"tasks: embedded\nruns: [{{methods: [{{'{mine}.MyLoss*primal': [0.5]}}, {{{mine}.Contrastive: [0.5, 1]}}]}}]\n"
    )
    assert [m.label for m in from_yaml(path)[0].blocks[0].methods] == [
        f"{mine}.MyLoss*primal b=0.5", f"{mine}.Contrastive:0.5", f"{mine}.Contrastive:1",
    ]  # fmt: skip
    for loss in LOSSES:
        for way in WAYS:
            if way == "threshold" and not (LOSSES[loss].strict and not LOSSES[loss].reads_proxy):
                continue
            (method,) = methods_of(f"{loss}*{way}:0.5")
            assert isinstance(method.target("models"), kad.Mixture)


def test_an_edit_of_ones_own_code_makes_other_results(mine: str, tmp_path: Path) -> None:
    (before,) = configurations(*methods_of(f"{mine}.MyLoss*primal:0.5"))
    plain = configurations(Method("primal", 0.5), *methods_of("Squared*primal:0.5"))
    assert before.code
    assert [c.code for c in plain] == ["", ""]
    (tmp_path / f"{mine}.py").write_text(MODULE.replace("** 3", "** 4"))
    assert configurations(*methods_of(f"{mine}.MyLoss*primal:0.5")) == [before]  # this process has the former
    sys.modules.pop(mine)
    (after,) = configurations(*methods_of(f"{mine}.MyLoss*primal:0.5"))
    assert after.key != before.key
    assert configurations(Method("primal", 0.5), *methods_of("Squared*primal:0.5")) == plain


def test_on_the_shell(mine: str, capsys: pytest.CaptureFixture[str]) -> None:
    """As a user writes it; a page is made of it without the module."""
    arguments = ["eval", "--n", "3", "--method", f"{mine}.Contrastive:0.5,1", "--method", f"{mine}.MyLoss*primal,exact:0.5", "--method",
                 "Squared*dual:0.5", "--placement", "models", "--placement", "draws", "--seeds", "2", "--output", "e"]  # fmt: skip
    assert main(arguments) == 0, capsys.readouterr().err
    found, rows, _ = read("e")
    assert len(found) == 2 + 2 * 2 + 2
    assert len(rows) == 8 * 6
    sys.modules.pop(mine)
    Path(f"{mine}.py").unlink()
    capsys.readouterr()
    assert main(["report", "e", "--json"]) == 0
    methods = {s["method"] for s in json.loads(capsys.readouterr().out)["summaries"]}
    assert {f"{mine}.Contrastive:1", f"{mine}.MyLoss*exact b=0.5", "Squared*dual μ=0.5"} <= methods
    assert mine not in sys.modules
    assert "the loss Squared under the solver dual" in Path("e/report.html").read_text()


def test_jobs_refuse_what_cannot_run(mine: str) -> None:
    plan = Plan(("embedded",), (Block(tuple(methods_of(f"{mine}.MyLoss*primal:0.5"))),), count=2)
    assert [c.of.label for c in Job(plan, load_checkpoints({})).configurations()] == [f"{mine}.MyLoss*primal b=0.5"]
