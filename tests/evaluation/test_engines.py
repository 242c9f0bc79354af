"""Engines: kad's own passes the suite, broken ones do not, and one that can tell nothing but texts fills a report all the same."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator

import pytest

import kad
from kad.checkpoints import load_checkpoints
from kad.engines import Engine, Generations, HuggingFace, Settings
from kad.evaluation import Block, Job, Method, Plan, Store, read, run, summaries
from kad.evaluation.answering import answers
from kad.evaluation.job import Unit
from kad.evaluation.report import results_of, write
from kad.evaluation.workers import Here, Workers
from kad.testing import check_engine

TEXTS = ("q : tom has 6 apples . he loses 2 .", "worksheet . 1 )", "count 3 4 5")


@pytest.fixture(scope="module")
def own() -> HuggingFace:
    return HuggingFace(load_checkpoints({}))


def prompts(engine: Engine) -> list[list[int]]:
    return [engine.tokenizer(text)["input_ids"] for text in TEXTS]


def test_kads_own(own: HuggingFace) -> None:
    for target in (kad.dual(0.4), kad.confidence_bet(0.1), kad.Ensemble(0.5)):
        check_engine(own, prompts(own), target)


class Plain(Engine):
    """Hands on to another engine, and tells nothing but texts."""

    name, capabilities = "plain", frozenset()

    def __init__(self, inner: Engine) -> None:
        self.inner, self.tokenizer = inner, inner.tokenizer

    def generate(self, prompts, target, settings, seeds=None, *, base="base", proxy_prompts=None) -> Generations:
        out = self.inner.generate(prompts, target, settings, seeds, base=base)
        return Generations(
            [dataclasses.replace(t, origins=None, alphas=None, counts={}) for t in out.texts], out.seconds
        )


class Forgetful(Plain):
    """Draws with seeds of its own."""

    calls = 0

    def generate(self, prompts, target, settings, seeds=None, **more) -> Generations:
        self.calls += 1
        own = None if seeds is None else [self.calls * 100 + i for i in range(len(seeds))]
        return super().generate(prompts, target, settings, own, **more)


class Long(Plain):
    """Overlooks the limit."""

    def generate(self, prompts, target, settings, seeds=None, **more) -> Generations:
        longer = dataclasses.replace(settings, new_tokens=settings.new_tokens + 5)
        return super().generate(prompts, target, longer, seeds, **more)


class Boastful(Plain):
    """Claims what it does not tell."""

    capabilities = frozenset({"origins"})


class Deaf(Plain):
    """Scores another target than it is asked for."""

    capabilities = frozenset({"score"})

    def score(self, ids, target, settings, *, start=0, base="base"):
        return self.inner.score(ids, kad.Ensemble(0.9), settings, start=start)


def test_an_engine_that_tells_nothing_passes_and_says_what_it_cannot(own: HuggingFace) -> None:
    check_engine(Plain(own), prompts(own))
    with pytest.raises(ValueError, match="the engine plain cannot score"):
        Plain(own).score(None, kad.dual(0.4), Settings())


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (Forgetful, "with the same seeds in another batch"),
        (Long, "where 1 to 8 were to be"),
        (Boastful, "claims origins"),
        (Deaf, "less likely"),
    ],
)
def test_broken_ones_are_found(own: HuggingFace, broken: type[Plain], words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check_engine(broken(own), prompts(own))


def test_rows_without_origins_are_complete(own: HuggingFace, tmp_path) -> None:
    """Texts, verdicts and accuracy as with kad's own engine; what it cannot tell is left out, on the page too."""
    methods = (Method("p"), Method("dual", 0.4))
    plan = Plan(("embedded",), (Block(methods),), count=6)
    found, pages = {}, {}
    for name, engine in (("own", own), ("plain", Plain(own))):
        with Store(tmp_path / name) as store:
            run(Job(plan, own.checkpoints, engine=engine), store)
        configurations, rows, _ = read(tmp_path / name)
        assert {c.engine for c in configurations.values()} == {engine.name}
        found[name] = [(row["item"], row["ids"], row["correct"]) for row in rows], summaries(configurations, rows)
        pages[name] = write(results_of(tmp_path / name)).read_text()
    assert found["own"][0] == found["plain"][0]
    for full, bare in zip(found["own"][1], found["plain"][1], strict=True):
        assert (bare.accuracy, bare.tokens, bare.answered) == (full.accuracy, full.tokens, full.answered)
        assert (bare.deferred, bare.acceptance, bare.tokens_per_pass, bare.base_fed) == (None,) * 4
        json.dumps(bare.as_dict(), allow_nan=False)
    assert "dual" in pages["plain"]


class Backwards(Workers):
    """Answers the last unit first, and every unit twice."""

    def map(self, job: Job, units: Iterable[Unit]) -> Iterator:
        return Here().map(job, [*units][::-1] * 2)


def test_workers_may_answer_in_any_order_and_twice(own: HuggingFace, tmp_path) -> None:
    plan, told = Plan(("embedded",), (Block((Method("dual", 0.4),)),), count=7, seeds=(0, 1)), []
    job = Job(plan, own.checkpoints, batch=3)
    with Store(tmp_path / "s") as store:
        assert run(job, store, lambda unit, rows: told.append(rows), workers=Backwards()) == 14
        assert run(job, store) == 0
    rows = read(tmp_path / "s")[1]
    want = {(unit.seed, row["item"]): row["ids"] for unit in job.units() for row in answers(job, unit)}
    assert {(row["seed"], row["item"]): row["ids"] for row in rows} == want
    assert sum(told) == 14
