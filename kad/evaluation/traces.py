"""For people who want to see a decision: every token of some answers with α, p, q*, π, and its best rivals.

The texts are those of the store; both models read them once more, with the same filters and temperature as when they were
sampled.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch

from ..decoding.colour import pieces
from .configuration import Configuration
from .files import read_json, write_whole
from .job import Job
from .questions import ids_of
from .runner import settings_of
from .schema import Line, row_id
from .store import Store
from .task import Item

TRACES, RIVALS, DIGITS = "traces.json", 5, 4


def explain(job: Job, store: Store, rows: Sequence[Line], count: int) -> None:
    """Write the traces of the first ``count`` questions of every configuration with its first seed.

    Pairs with different tokenizers are left out (p and q* are then not over the same tokens), and engines that cannot score.
    """
    if job.checkpoints.proxy_tokenizer is not None or count < 1 or "score" not in job.engine.capabilities:
        return
    known = read_traces(store.folder)
    have = {place_of(t) for t in known}
    by_place = {row_id(row): row for row in rows}
    fresh = list[Line]()
    for questions in job.questions:
        for configuration in job.configurations_of(questions.task):
            seed = job.plan.seeds_of(configuration)[0]
            for item in questions.items[:count]:
                row = by_place.get((configuration.key, seed, item.id))
                if row is not None and place_of(row) not in have:
                    prompt = questions.prompt(job.checkpoints.aligned_tokenizer, item)
                    fresh.append(trace_of(job, configuration, item, prompt, row))
    if fresh:
        write_whole(store.folder / TRACES, json.dumps([*known, *fresh], ensure_ascii=False, allow_nan=False) + "\n")


def place_of(line: Line) -> tuple[str, str, int, str]:
    """What a trace or a row is of; traces of format 1 do not say with which prompt."""
    mark = line.get("mark", "") if "tokens" in line and isinstance(line["tokens"], list) else line["question"]
    return line["key"], line["item"], line["seed"], mark


def read_traces(folder: Path) -> list[Line]:
    """Those of a folder; none if there is no such file, and a ValueError if it is damaged."""
    found: list[Line] = read_json(folder / TRACES, default=[])
    if not all(isinstance(trace, dict) and {"key", "item", "seed", "tokens"} <= trace.keys() for trace in found):
        raise ValueError(f"{folder / TRACES} is damaged (it is no list of traces); delete it, kad eval makes it again.")
    return found


def trace_of(job: Job, configuration: Configuration, item: Item, prompt: str, row: Line) -> Line:
    tokenizer, target = job.checkpoints.tokenizer_of(configuration.of.kind.base), job.target(configuration)
    first, emitted = ids_of([prompt], tokenizer, job.checkpoints.aligned_tokenizer)[0], list(row["ids"])
    found = job.engine.score(
        torch.tensor([[*first, *emitted[:-1]]]), target, settings_of(configuration), start=len(first) - 1,
        base=configuration.of.kind.base,
    )  # fmt: skip
    p, q, pi = found.base.for_mixture(target)[0], found.proxy.for_mixture(target)[0], found.pi[0]
    largest = torch.maximum(torch.maximum(p, q), pi)
    tokens = []
    for i, (id, text) in enumerate(zip(emitted, pieces(tokenizer, emitted), strict=True)):
        best = [v for v in largest[i].topk(RIVALS + 1).indices.tolist() if v != id][:RIVALS]
        numbers = {v: [round(float(x[i, v]), DIGITS) for x in (p, q, pi)] for v in [id, *best]}
        tokens.append(
            {"text": text or tokenizer.decode([id]), "origin": row.get("origins", "t" * len(emitted))[i],
             "alpha": row["alphas"][i] if row.get("alphas") else None,
             "own": numbers[id], "rivals": [[tokenizer.decode([v]), *numbers[v]] for v in best]}
        )  # fmt: skip
    return {
        "key": configuration.key, "item": item.id, "seed": row["seed"], "mark": row["question"],
        "question": item.question, "gold": row["gold"], "answer": row["answer"], "correct": row["correct"], "tokens": tokens,
    }  # fmt: skip
