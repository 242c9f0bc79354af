"""``--dry-run``: exactly what would run, and what it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.table import Table

from ..evaluation.configuration import Configuration
from ..evaluation.estimate import PROMPT, Needs, needs, passes
from ..evaluation.plan import Plan
from ..evaluation.protocol import task_under
from ..terminal import Console

BYTES = {"auto": 2, "bfloat16": 2, "float16": 2, "float32": 4}


def show_plan(
    plan: Plan, places: Mapping[str, str | None], data: Path | None, batch: int, dtype: str, compile: bool, shapes: str | None,
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
    replies, most, every = 0, 0, list[Configuration]()
    for spec in plan.tasks:
        task = task_under(plan.protocol, spec, plan.shuffle)
        n = found.questions[task.name]
        for c in plan.configurations(task.name, task.new_tokens):
            seeds, kind = len(plan.seeds_of(c)), c.of.known
            low, high = passes(c, n or 0, seeds, batch)
            counts = ("?", str(seeds), "?", "?") if n is None else (
                str(n), str(seeds), str(n * seeds), f"{high}" if low == high else f"{low} to {high}",
            )  # fmt: skip
            replies, most = replies + (n or 0) * seeds, most + high
            every.append(c)
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
    show_memory(found, places, batch, BYTES.get(dtype, 2), compile, every, console)
    for sentence in dict.fromkeys(found.missing):
        console.print(f"missing: {sentence}", soft_wrap=True)


def show_memory(
    found: Needs, places: Mapping[str, str | None], batch: int, size: int, compile: bool, every: Sequence[Configuration],
    console: Console,
) -> None:  # fmt: skip
    """Weights, ``size`` bytes a number; keys and values, and the decision, of the configuration that takes most."""
    for role, one in found.sizes.items():
        what = "unknown"
        if one is not None:
            what = f"{one.parameters / 1e9:.1f} billion parameters, {one.parameters * size / 2**30:.1f} GiB"
        console.print(f"{role:9} {places[role]}: {what}")
    takes = [(found.footprint(c, batch, held(PROMPT + c.new_tokens, compile), size), c) for c in every]
    most, c = max(((x, c) for x, c in takes if x is not None), key=lambda one: one[0].total, default=(None, None))
    if most is None or c is None:
        return
    weights, cache, decision, total = (
        f"{n / 2**30:.2f} GiB" for n in (most.weights, most.cache, most.decision, most.total)
    )
    least = "at least " if None in found.sizes.values() else ""
    console.print(
        f"memory: {least}weights {weights}, keys and values {cache} and a round's decision {decision}: {total}, for {batch} rows of "
        f"{PROMPT} + {c.new_tokens} tokens under {c.of.label}, γ = {c.window}; what a pass takes for itself comes on top.",
        soft_wrap=True,
    )


def held(tokens: int, compile: bool) -> int:
    """Slots of a row that holds so many tokens.

    >>> held(800, compile=False), held(800, compile=True)
    (800, 1025)
    """
    if not compile:
        return tokens
    from ..decoding.compiled import SHORTEST, up  # the compiler is slow to import

    return up(tokens, SHORTEST) + 1
