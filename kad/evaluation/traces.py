"""For people who want to see a decision: every token of some answers with α, p, q*, π, and its best rivals.

The texts are those of the store; both models read them once more, with the same filters and temperature as when they were
sampled.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from .files import read_json, write_whole
from .job import Job, Unit
from .schema import Line, row_id
from .store import Store
from .workers import HERE, Workers

TRACES = "traces.json"


def explain(job: Job, store: Store, rows: Sequence[Line], count: int, workers: Workers = HERE) -> None:
    """Write the traces of the first ``count`` questions of every configuration with its first seed.

    Pairs with different tokenizers are left out (p and q* are then not over the same tokens), and engines that cannot score.
    """
    if job.checkpoints.proxy_tokenizer is not None or count < 1 or "score" not in job.engine.capabilities:
        return
    known = read_traces(store.folder)
    have = {place_of(t) for t in known}
    by_place = {row_id(row): row for row in rows}
    wanted = list[tuple[Unit, Line]]()
    for questions in job.questions:
        for configuration in job.configurations_of(questions.task):
            seed = job.plan.seeds_of(configuration)[0]
            for item in questions.items[:count]:
                row = by_place.get((configuration.key, seed, item.id))
                if row is not None and place_of(row) not in have:
                    wanted.append((Unit(questions, configuration, seed, (item,)), row))
    if wanted:
        fresh = workers.traces(job, wanted)
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
