"""What a user writes against the interfaces passes ``mypy --strict``, and a misspelt setting does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
OWN = """
from dataclasses import dataclass
from pathlib import Path

import kad
from kad.checkpoints import load_checkpoints
from kad.engines import Engine, HuggingFace, Settings
from kad.evaluation import Block, Item, Job, Method, Number, Plan, Store, Task, run
from kad.evaluation.task import Row
from kad.testing import check_chance, check_engine, check_loss, check_solver, check_target
from torch import Tensor


@dataclass(frozen=True)
class Cubic(kad.Loss):
    strict = True

    def __call__(self, p: Tensor, q: Tensor | None = None) -> Tensor:
        return (1 - p) ** 3


@dataclass(frozen=True)
class Above(kad.Solver):
    price: float
    feasible = False
    exact = False
    fills = False
    fractional = False

    def defer(self, loss: Tensor, mass: Tensor) -> Tensor:
        return (loss > self.price).to(mass.dtype)


@dataclass(frozen=True)
class Roots(kad.Target):
    def __call__(self, p: Tensor, q: Tensor, r: Tensor | None = None) -> Tensor:
        both = p.sqrt() + q.sqrt()
        return both / both.sum(-1, keepdim=True)


class First(kad.Chance):
    def pick(self, weights: Tensor) -> Tensor:
        return weights.argmax(-1)

    def coin(self, probability: Tensor) -> Tensor:
        return probability > 0.5

    def leading(self, probability: Tensor) -> Tensor:
        return (probability > 0.5).long().cumprod(-1).sum(-1)


class Sums(Task):
    name = "sums"
    answer = Number()

    def item(self, row: Row, index: int) -> Item:
        return Item(str(index), f"{row['a']} + {row['b']}?", str(row["a"] + row["b"]), "")


def use(engine: Engine, folder: Path) -> list[str]:
    check_loss(Cubic())
    check_solver(Above(0.5))
    check_target(Roots())
    check_chance(First())
    check_engine(engine, [[1], [2], [3]])
    pair, target = kad.demo.load(), kad.Mixture(Cubic(), Above(0.5))
    out = pair.generate("q : 1 + 1 ? a :", target, window=2, do_sample=True, temperature=0.5, SETTING, seed=1)
    more = kad.generate(
        pair.base, pair.proxy, "q", target=Roots(), tokenizer=pair.tokenizer, SETTING, generator=First(), top_p=0.9
    )
    for round in pair.rounds("q : 1 + 1 ? a :", target, SETTING):
        print(round.drafts.tolist(), round.accepted.tolist())
    job = Job(Plan(("embedded",), (Block((Method("dual", 0.4),)),), count=2), load_checkpoints({}))
    with Store(folder) as store:
        run(job, store)
    texts = HuggingFace(load_checkpoints({})).generate([[1, 2]], target, Settings(new_tokens=4, temperature=0.7), [1])
    return [pair.tokenizer.decode(x.trace.ids[0]) for x in (out, more)] + [text.text for text in texts.texts]
"""


def strictly(file: Path, setting: str) -> tuple[int, str]:
    file.write_text(OWN.replace("SETTING", setting))
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    own = [
        line for line in (done.stdout + done.stderr).splitlines() if file.name in line
    ]  # not kad's own, which `make test` checks
    return int(bool(own)), "\n".join(own)


def test_strict_typing(tmp_path: Path) -> None:
    assert strictly(tmp_path / "own.py", "max_new_tokens=3") == (0, "")
    status, said = strictly(tmp_path / "misspelt.py", "max_new_token=3")
    assert status == 1
    assert said.count('Unexpected keyword argument "max_new_token"') == 3
    assert len(said.strip().splitlines()) <= 6, said  # and nothing else
