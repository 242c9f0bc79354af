"""What a folder of results says of how it was made: its sessions, what was asked of every configuration, its prompts."""

from __future__ import annotations

import datetime
import platform
from typing import Any

import torch
import transformers

from ..version import LAW_VERSION, VERSION
from .grading import grader_of
from .job import Job
from .task import digest

MANY = 2**63


def manifest_of(job: Job, before: dict[str, Any]) -> dict[str, Any]:
    """The manifest with one session more; ``before`` is that of the folder so far."""
    return {
        "sessions": [*before.get("sessions", []), session(job)], "asked": asked_of(job, before.get("asked", {})),
        "prompts": {**before.get("prompts", {}), **shared_prompts(job)},
    }  # fmt: skip


def session(job: Job) -> dict[str, Any]:
    """One run: versions, machine, models, data."""
    tasks = {
        q.task.name: {"questions": len(q.items), "of": q.total, "digest": digest(q.items), "spec": q.spec}
        for q in job.questions
    }
    models = {}
    for role, fingerprinted in job.marks:
        model = job.checkpoints.models[role]
        models[role] = {
            "name": getattr(model, "name_or_path", "") or type(model).__name__, "fingerprint": fingerprinted,
            "parameters": sum(p.numel() for p in model.parameters()), "dtype": str(model.dtype).removeprefix("torch."),
        }  # fmt: skip
    return {
        "when": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), "kad": VERSION, "law": LAW_VERSION,
        "torch": torch.__version__, "transformers": transformers.__version__, "python": platform.python_version(),
        "device": str(job.checkpoints.models["base"].device), "engine": job.engine.name, "threads": torch.get_num_threads(),
        "batch": job.batch, "seeds": list(job.plan.seeds), "part": job.plan.part, "protocol": job.plan.protocol, "models": models, "tasks": tasks,
    }  # fmt: skip


def asked_of(job: Job, before: dict[str, Any]) -> dict[str, Any]:
    """How many questions were asked of every configuration with every seed, at most, in all runs."""
    found = dict(before)
    for questions in job.questions:
        for c in job.configurations_of(questions.task):
            seeds = dict(found.get(c.key, {}).get("seeds", {}))
            for seed in job.plan.seeds_of(c):
                seeds[str(seed)] = max(len(questions.items), min(seeds.get(str(seed), 0), questions.total or MANY))
            found[c.key] = {"task": c.task, "method": c.of.label, "of": questions.total, "seeds": seeds}
    return found


def shared_prompts(job: Job) -> dict[str, Any]:
    """What all prompts of a task have in common, by its hash."""
    aligned, found = job.checkpoints.aligned_tokenizer, {}
    for questions in job.questions:
        text, mark = job.common[questions.task.name]
        found[mark] = {
            "task": questions.task.name, "protocol": job.plan.protocol, "instruction": questions.task.instruction, "shots": len(questions.examples),
            "template": (getattr(aligned, "name_or_path", "") or type(aligned).__name__) if aligned.chat_template else None,
            "variables": dict(questions.template), "rendered": text, "grader": grader_of(questions.task.answer),
        }  # fmt: skip
    return found
