"""Running a plan: batch by batch into a store, from where an earlier run stopped; and what its manifest says of it."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
import transformers

from ..version import LAW_VERSION, VERSION
from .failures import Failure, Unanswered
from .grading import grader_of, judge
from .job import Job, Unit
from .store import Store
from .task import digest
from .workers import HERE, Workers


def run(
    job: Job, store: Store, told: Callable[[Unit, int], None] = lambda unit, rows: None, workers: Workers = HERE
) -> int:
    """Answer what the store lacks; how many questions that was.

    A question that cannot be answered (its logits are NaN, say, or it alone exhausts the memory) is noted in the store, and
    the rest is answered all the same. The next run asks it again. A question whose prompt has changed is another question: what
    was answered to the former stays in the file and counts no more.

    Args:
        told: called after every batch with how many rows it has added.
        workers: who answers; the store is written here alone.

    Raises:
        Unanswered: at the end, if there were such questions.
        ValueError: the store cannot be written, or one question after another could not be answered.

    >>> import tempfile
    >>> from kad.checkpoints import load_checkpoints
    >>> from kad.evaluation import Block, Method, Plan
    >>> job = Job(Plan(("embedded",), (Block((Method("dual", 0.4),)),), count=4), load_checkpoints({}))
    >>> folder = tempfile.mkdtemp()
    >>> with Store(folder) as store:
    ...     run(job, store), run(job, store)
    (4, 0)
    """
    before = store.manifest()
    store.describe(manifest_of(job, before, workers))
    judge(job, store)
    failures, first = list[Failure](), store.answers
    there = first
    for unit, found in workers.map(job, lacking(job, store, before, told)):
        if found is None:
            told(unit, store.answers - there)
            there = store.answers
        elif isinstance(found, Failure):
            failures.append(found)
            store.fail(found)
        else:
            store.append(unit.configuration, found)
    if failures:
        raise Unanswered(failures, store.answers - first, store.folder)
    return store.answers - first


def lacking(job: Job, store: Store, before: dict[str, Any], told: Callable[[Unit, int], None]) -> Iterator[Unit]:
    """The units with questions that the store has no answer to, each with those questions that are to be asked."""
    for unit in job.units():
        missing = set(store.missing(unit.configuration, unit.seed, job.asked(unit)))
        if not missing:
            told(unit, 0)
            continue
        again = was_stopped(store, unit, missing, before)
        yield replace(unit, items=tuple(item for item in unit.items if again or item.id in missing))


def was_stopped(store: Store, unit: Unit, missing: set[str], before: dict[str, Any]) -> bool:
    """Whether an earlier run was stopped within this batch: it is then asked whole, so that its rows are what they would
    have been. Questions that failed, have another prompt now or were not in the plan are asked alone.
    """
    key, seed = unit.configuration.key, unit.seed
    known = before.get("asked", {}).get(key)
    planned = len(unit.items) + unit.start if known is None else known["seeds"].get(str(seed), 0)
    places = [(key, seed, item.id) for item in unit.items[: max(0, planned - unit.start)] if item.id in missing]
    return any(place not in store.failed and place not in store.done for place in places)


def manifest_of(job: Job, before: dict[str, Any], workers: Workers = HERE) -> dict[str, Any]:
    """The manifest with one session more; ``before`` is that of the folder so far."""
    return {
        "sessions": [*before.get("sessions", []), session(job, workers)], "asked": asked_of(job, before.get("asked", {})),
        "prompts": {**before.get("prompts", {}), **shared_prompts(job)},
    }  # fmt: skip


def session(job: Job, workers: Workers) -> dict[str, Any]:
    """One run: versions, machine, models, data."""
    tasks = {
        q.task.name: {"questions": len(q.items), "of": q.total, "digest": digest(q.items), "spec": q.spec}
        for q in job.questions
    }
    known, models = job.checkpoints.described, {}
    for role, fingerprinted in job.marks:
        d = known[role]
        models[role] = {"name": d.name, "fingerprint": fingerprinted, "parameters": d.parameters, "dtype": d.dtype}
    return {
        "when": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), "kad": VERSION, "law": LAW_VERSION,
        "torch": torch.__version__, "transformers": transformers.__version__, "python": platform.python_version(),
        "device": job.checkpoints.device, "engine": job.engine.name, **workers.about(),
        "batch": job.batch, "seeds": list(job.plan.seeds), "part": job.plan.part,
        "protocol": job.plan.protocol, "models": models, "tasks": tasks,
    }  # fmt: skip


def asked_of(job: Job, before: dict[str, Any]) -> dict[str, Any]:
    """How many questions were asked of every configuration with every seed, at most, in all runs."""
    found = dict(before)
    for questions in job.questions:
        for c in job.configurations_of(questions.task):
            seeds = dict(found.get(c.key, {}).get("seeds", {}))
            for seed in job.plan.seeds_of(c):
                seeds[str(seed)] = max(len(questions.items), min(seeds.get(str(seed), 0), questions.total or 2**63))
            found[c.key] = {"task": c.task, "method": c.of.label, "of": questions.total, "seeds": seeds}
    return found


def shared_prompts(job: Job) -> dict[str, Any]:
    """What all prompts of a task have in common, by its hash."""
    aligned, found = job.checkpoints.aligned_tokenizer, {}
    for questions in job.questions:
        text, mark = job.common[questions.task.name]
        found[mark] = {
            "task": questions.task.name, "protocol": job.plan.protocol,
            "instruction": questions.task.instruction, "shots": len(questions.examples),
            "template": (getattr(aligned, "name_or_path", "") or type(aligned).__name__) if aligned.chat_template else None,
            "variables": dict(questions.template), "rendered": text, "grader": grader_of(questions.task.answer),
        }  # fmt: skip
    return found
