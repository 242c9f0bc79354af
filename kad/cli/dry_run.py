"""``--dry-run``: exactly what would run, and what it takes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rich.table import Table

from ..evaluation.estimate import PROMPT, Needs, needs, passes
from ..evaluation.plan import Plan
from ..evaluation.protocol import task_under
from ..terminal import Console

BYTES = {"auto": 2, "bfloat16": 2, "float16": 2, "float32": 4}


def show_plan(
    plan: Plan, places: Mapping[str, str | None], data: Path | None, batch: int, dtype: str, shapes: str | None,
    console: Console,
) -> None:  # fmt: skip
    """Print the plan, its passes and its memory, and what is missing for it."""
    found = needs(plan, places, data, shapes)
    by = "" if plan.protocol == "kad" else f", by the protocol {plan.protocol}"
    table = Table(title=f"What would run{by}", title_justify="left", box=None, pad_edge=False)
    for name in ("task", "method", "T on", "γ", "T", "filter"):
        table.add_column(name, no_wrap=name in ("task", "method"))
    for name in ("n", "seeds", "replies", "base passes"):
        table.add_column(name, justify="right")
    replies = most = longest = 0
    for spec in plan.tasks:
        task = task_under(plan.protocol, spec, plan.shuffle)
        n = found.questions[task.name]
        for c in plan.configurations(task.name, task.new_tokens):
            seeds, kind = len(plan.seeds_of(c)), c.of.known
            low, high = passes(c, n or 0, seeds, batch)
            counts = ("?", str(seeds), "?", "?") if n is None else (
                str(n), str(seeds), str(n * seeds), f"{high}" if low == high else f"{low} to {high}",
            )  # fmt: skip
            replies, most, longest = replies + (n or 0) * seeds, most + high, max(longest, c.new_tokens)
            heat = "greedy" if c.temperature is None else f"{c.temperature:g}"
            table.add_row(
                c.task, c.of.label, "" if kind.alone else c.placement, str(c.window), heat, c.filtered, *counts
            )
            given = {role for role, place in places.items() if place is not None}
            for needed in {kind.base, kind.needs or kind.base} - given if given else ():
                found.missing.append(f"{c.of.label} needs --{needed}.")
    console.print(table)
    console.print(
        f"\n{replies} replies, at most {most} base passes (every reply at its full length), batches of {batch}."
    )
    show_memory(found, places, batch, BYTES.get(dtype, 2), longest, console)
    for sentence in dict.fromkeys(found.missing):
        console.print(f"missing: {sentence}", soft_wrap=True)


def show_memory(
    found: Needs, places: Mapping[str, str | None], batch: int, size: int, longest: int, console: Console
) -> None:
    """Weights, ``size`` bytes a number, and caches."""
    for role, parameters in found.parameters.items():
        what = "unknown"
        if parameters is not None:
            what = f"{parameters / 1e9:.1f} billion parameters, {parameters * size / 2**30:.1f} GiB"
        console.print(f"{role:9} {places[role]}: {what}")
    cache = sum(found.cache.get(role, 0) for role in ("base", "proxy")) * size * (PROMPT + longest) * batch
    if found.parameters:
        console.print(
            f"memory: weights {found.weights(size) / 2**30:.1f} GiB, keys and values up to {cache / 2**30:.1f} GiB for {batch} rows "
            f"of {PROMPT} + {longest} tokens.",
        )
