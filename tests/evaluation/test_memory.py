"""Memory that ends: batches are halved, what can be freed is freed, and the texts are those of a run that had enough."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from kad.checkpoints import Checkpoints, load_checkpoints
from kad.decoding.wrappers import kept_for
from kad.engines import Engine, Generations, HuggingFace, Settings
from kad.evaluation import Block, Job, Method, Plan, Store, read, run
from kad.evaluation.answering import prompts_of_unit
from kad.evaluation.attempts import Attempts, out_of_memory
from kad.evaluation.failures import Failure, Unanswered
from kad.evaluation.remote import Share, Worker
from kad.evaluation.workers import Here

CPU = "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."


def raised_from(error: BaseException) -> ValueError:
    """A sentence of ours about it."""
    told = ValueError("the base does not run with kad's ids")
    told.__cause__ = error
    return told


ERRORS: dict[str, Callable[[], Exception]] = {
    "gpu": lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."),
    "cpu": lambda: RuntimeError(CPU),
    "sentence": lambda: raised_from(RuntimeError(CPU)),
    "python": MemoryError,
}


class Small(Engine):
    """Holds so many rows at once, and not one with a prompt of ``long`` tokens or more."""

    def __init__(self, inner: HuggingFace, rows: int, error: Callable[[], Exception], long: int = 10**6) -> None:
        self.inner, self.rows, self.error, self.long = inner, rows, error, long
        self.name, self.tokenizer, self.capabilities = inner.name, inner.tokenizer, inner.capabilities
        self.asked, self.released = list[int](), 0

    def generate(
        self, prompts: Sequence[Sequence[int]], target: Any, settings: Settings, seeds: Any = None, **more: Any
    ) -> Generations:
        self.asked.append(len(prompts))
        if len(prompts) > self.rows or max(map(len, prompts)) >= self.long:
            raise self.error()
        return self.inner.generate(prompts, target, settings, seeds, **more)

    def score(self, *given: Any, **more: Any) -> Any:
        return self.inner.score(*given, **more)

    def release(self) -> None:
        self.released += 1
        self.inner.release()


@pytest.fixture(scope="module")
def embedded() -> Checkpoints:
    return load_checkpoints({})


def job(checkpoints: Checkpoints, engine: Engine | None = None) -> Job:
    blocks = (Block((Method("dual", 0.4),), windows=(0, 3)),)
    return Job(Plan(("embedded",), blocks, count=10, seeds=(0, 1)), checkpoints, batch=8, engine=engine)


def rows(found: Sequence[dict]) -> dict[tuple[str, int, str], dict]:
    """Every result but for its time and what the logits' last bits move, by its place."""
    return {
        (r["key"], r["seed"], r["item"]): {k: v for k, v in r.items() if k not in ("seconds", "alphas")} for r in found
    }


@pytest.fixture(scope="module")
def healthy(embedded: Checkpoints) -> dict[tuple[str, int, str], dict]:
    one = job(embedded)
    return rows([row for _, found in Here().map(one, one.units()) if isinstance(found, list) for row in found])


@pytest.mark.parametrize("name", ERRORS)
def test_halved_batches_have_the_rows_of_whole_ones(
    embedded: Checkpoints, healthy: dict, tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    engine = Small(HuggingFace(embedded), 3, ERRORS[name])
    with Store(tmp_path) as store, caplog.at_level(logging.WARNING, "kad.evaluation"):
        assert run(job(embedded, engine), store) == len(healthy)
    assert rows(read(tmp_path)[1]) == healthy
    assert engine.asked[:4] == [8, 4, 2, 2]
    assert [n for n in engine.asked if n > 3] == [8, 4]  # later units begin with what fitted
    assert engine.released == 2
    said = [record.getMessage() for record in caplog.records]
    assert [text.partition(";")[0] for text in said] == [
        "the memory did not hold a batch of 8 (embedded under dual λ=0.4)",
        "the memory did not hold a batch of 4 (embedded under dual λ=0.4)",
    ]
    assert "from here on at most 2 questions are asked at once" in said[1]


def test_one_row_that_does_not_fit_is_a_sentence_and_the_rest_stays(
    embedded: Checkpoints, healthy: dict, tmp_path: Path
) -> None:
    one = job(embedded)
    lengths = {
        item.id: len(ids)
        for unit in one.units()
        for item, ids in zip(unit.items, prompts_of_unit(one, unit)[0], strict=True)
    }
    long = max(lengths.values())
    sick = {id for id, n in lengths.items() if n == long}
    assert 0 < len(sick) < len(lengths)
    with Store(tmp_path) as store, pytest.raises(Unanswered) as caught:
        run(job(embedded, Small(HuggingFace(embedded), 8, ERRORS["gpu"], long)), store)
    why = {failure.why for failure in caught.value.failures}
    limit = next(one.configurations()).new_tokens
    assert why == {
        f"the memory does not hold a batch of 1, with {long} tokens of prompt and up to {limit} of reply; allow fewer with --new-tokens "
        "or --shots, take a narrower --dtype or smaller models, or a device with more memory."
    }  # fmt: skip
    assert "\n" not in str(caught.value)
    assert rows(read(tmp_path)[1]) == {place: row for place, row in healthy.items() if place[2] not in sick}
    with Store(tmp_path) as store:  # once there is memory, the others are asked alone
        assert run(job(embedded), store) == len(caught.value.failures)
    assert rows(read(tmp_path)[1]) == healthy


def test_a_worker_elsewhere_does_the_same(embedded: Checkpoints, healthy: dict) -> None:
    """What a process of Ray's runs, in this one."""
    engine = Small(HuggingFace(embedded), 3, ERRORS["gpu"])
    one, worker = job(embedded, engine), Worker()
    worker.jobs[0] = one, {c.key: c for c in one.configurations()}
    found = list[dict]()
    for unit in one.units():
        reply = worker.answer(0, None, 0, Share.of(unit))  # type: ignore[arg-type] # the job is there
        assert reply.stopped is None
        found += [row for piece in reply.pieces if not isinstance(piece, Failure) for row in piece]
    assert rows(found) == healthy
    assert [n for n in engine.asked if n > 3] == [8, 4]


def test_the_failed_call_holds_nothing_when_room_is_made(embedded: Checkpoints) -> None:
    """Tensors of the call that failed, and what compiled models keep, are gone before the next call."""
    import weakref

    held, alive = list[weakref.ref](), list[bool]()

    class Holding(Small):
        def generate(self, prompts: Any, *given: Any, **more: Any) -> Generations:
            alive.extend(one() is not None for one in held)
            big = torch.zeros(len(prompts))
            held.append(weakref.ref(big))
            big.circle = [big]  # type: ignore[attr-defined]
            return super().generate(prompts, *given, **more)

    engine = Holding(HuggingFace(embedded), 4, ERRORS["gpu"])
    for model in embedded.models.values():
        kept_for(model)["a graph"] = "of a batch of 8"
    one = job(embedded, engine)
    pieces = [*Attempts(8).of(one, next(one.units()))]
    assert [len(piece) for piece in pieces] == [4, 4]
    assert alive[:1] == [False]
    assert not any(kept_for(model) for model in embedded.models.values())


def test_on_the_shell(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, embedded: Checkpoints, tmp_path: Path
) -> None:
    from kad.cli.main import main

    made = list[Small]()

    def engine(checkpoints: Checkpoints, compile: bool) -> Small:
        made.append(Small(HuggingFace(checkpoints, compile), 3, ERRORS["cpu"]))
        return made[-1]

    monkeypatch.setattr("kad.cli.crew.load_checkpoints", lambda *places: embedded)
    command = ["eval", "--n", "8", "--method", "dual", "--no-report", "--output"]
    assert main([*command, str(tmp_path / "whole")]) == 0
    monkeypatch.setattr("kad.cli.crew.HuggingFace", engine)
    assert main([*command, str(tmp_path / "small")]) == 0
    assert made[0].asked == [8, 4, 2, 2, 2, 2]
    assert rows(read(tmp_path / "small")[1]) == rows(read(tmp_path / "whole")[1])
    numbers = []
    for name in ("whole", "small"):
        capsys.readouterr()
        assert main(["report", str(tmp_path / name), "--json"]) == 0
        (summary,) = json.loads(capsys.readouterr().out)["summaries"]
        numbers.append(summary["accuracy"])
    assert numbers[0] == numbers[1]


def errors() -> Iterator[tuple[BaseException, bool]]:
    yield from ((error(), True) for error in ERRORS.values())
    yield from (
        (error, False) for error in (ValueError(CPU), RuntimeError("no kernel image"), raised_from(KeyError("x")))
    )


def test_what_is_of_memory() -> None:
    for error, wanted in errors():
        assert out_of_memory(error) is wanted, error
