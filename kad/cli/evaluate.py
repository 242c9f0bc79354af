"""``kad eval``, ``kad sweep`` and ``kad report``: a plan, a bar, a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from ..checkpoints import load_checkpoints
from ..decoding.packed import pack_weights
from ..evaluation import plan as plans
from ..evaluation.failures import Unanswered
from ..evaluation.job import Job, Unit, ready
from ..evaluation.methods import available, methods_of
from ..evaluation.plan import Block, Configuration, Plan
from ..evaluation.presets import PAPER_GRID, preset_of
from ..evaluation.protocol import TASKS
from ..evaluation.protocol import remarks as protocol_remarks
from ..evaluation.report import NEEDS, Results, results_of, write
from ..evaluation.runner import run as run_job
from ..evaluation.store import Store, read
from ..evaluation.summary import Comparison, Summary
from ..evaluation.task import Task
from ..evaluation.traces import explain
from ..evaluation.wording import wordings
from ..extras import need
from ..terminal import Console, json_text
from .dry_run import show
from .variables import variables

ROLES = ("base", "proxy", "reference", "aligned")


def run(
    *, task: list[str] | None, method: list[str] | None, base: str | None, proxy: str | None, reference: str | None,
    aligned: str | None, n: int | None, seeds: int, window: list[int] | None, placement: list[str] | None,
    temperature: float, greedy: bool, top_p: float | None, top_k: int | None, min_p: float | None, control: float | None,
    shots: int, shuffle: int, part: str, new_tokens: int | None, template_option: list[str] | None, preset: str | None,
    protocol: str, **how: Any,
) -> None:  # fmt: skip
    """See `kad.cli.evaluation.evaluate`."""
    places = {"base": base, "proxy": proxy, "reference": reference, "aligned": aligned}
    if seeds < 1:
        raise ValueError(f"--seeds must be ≥ 1, got {seeds}.")
    chosen = tuple(m for text in method or [] for m in methods_of(text))
    filters = tuple((k, v) for k, v in (("top_p", top_p), ("top_k", top_k), ("min_p", min_p)) if v is not None)
    both = (filters,) if control is None else (filters, (("min_p", control),))
    heat: tuple[Any, ...] = tuple(placement or ["models"])  # the block checks them
    block = Block(chosen, heat, tuple(window or [0]), (None if greedy else temperature,), both)
    options: dict[str, Any] = {"count": n, "shots": shots, "shuffle": shuffle, "part": part, "protocol": protocol}
    options |= {} if new_tokens is None else {"new_tokens": new_tokens}
    options |= {} if template_option is None else {"template": tuple(variables(template_option).items())}
    shapes = None
    if preset is not None:
        found = preset_of(preset)
        places = {role: place or found.places[role] for role, place in places.items()}
        shapes = found.shapes
        options |= {"tasks": tuple(task)} if task else {}
        options |= {"blocks": (block,)} if chosen else {}
        plan = found.plan(seeds, **options)
    else:
        if task is None and base is not None and protocol == "paper":
            task = list(TASKS)
        if task is None and base is not None:
            raise ValueError("give the tasks with --task, such as --task gsm8k.")
        plan = Plan(tuple(task or ["embedded"]), (block,), seeds=tuple(range(seeds)), **options)
    carry_out(plan, places, shapes, **how)


def run_plan(
    *, plan: Path, base: str | None, proxy: str | None, reference: str | None, aligned: str | None, data: Path | None,
    n: int | None, seeds: int | None, batch: int | None, **how: Any,
) -> None:  # fmt: skip
    """See `kad.cli.evaluation.sweep`."""
    found, rest = plans.from_yaml(plan)
    known = {*ROLES, "data", "batch"}
    if unknown := sorted(set(rest) - known):
        raise ValueError(f"the plan {plan} has unknown keys: {', '.join(unknown)}.")
    if n is not None:
        found = replace(found, count=n)
    if seeds is not None:
        found = replace(found, seeds=plans.seeds_of(seeds))
    given = {"base": base, "proxy": proxy, "reference": reference, "aligned": aligned}
    places = {role: given[role] if given[role] is not None else rest.get(role) for role in ROLES}
    if data is None and rest.get("data") is not None:
        data = plan.parent / str(rest["data"])
    carry_out(found, places, None, data=data, batch=batch if batch is not None else rest.get("batch") or 64, **how)


def carry_out(
    plan: Plan, places: dict[str, str | None], shapes: str | None, *, data: Path | None, batch: int, dtype: str,
    device: str | None, compile: bool, pack: bool, output: Path, dry_run: bool, no_report: bool, traces: int,
) -> None:  # fmt: skip
    """Load, run, show, write."""
    console = Console()
    if dry_run:
        plan = completed(plan, {role for role, place in places.items() if place} or set(ROLES))
        show(plan, places, data, batch, dtype, shapes, console)
        return
    need("the report (or choose --no-report)", *(() if no_report else NEEDS))
    ready(plan)
    checkpoints = load_checkpoints(places, dtype, device)
    if pack:
        for model in checkpoints.models.values():
            pack_weights(model)
    job = Job(completed(plan, set(checkpoints.models)), checkpoints, data, batch, compile)
    unanswered: Unanswered | None = None
    with Store(output) as store:
        if store.cut:
            console.print(f"{output}: a killed run had left {store.cut} bytes of a line; its batch runs again.")
        try:
            answered, failed = with_progress([job], store, console), 0
        except Unanswered as error:
            unanswered, answered, failed = error, error.answered, len(error.failures)
            if not store.answers:
                raise
        explain(job, store, read(output)[1], traces)
    there = sum(len(unit.items) for unit in job.units()) - answered - failed
    console.print(f"{answered} questions answered, {there} were there.")
    report(output, page=not no_report)  # the same numbers as kad report will print
    if unanswered is not None:
        raise unanswered


def completed(plan: Plan, roles: set[str]) -> Plan:
    """The plan with every method that these models allow in the blocks that name none."""
    every = tuple(available(roles))
    if plan.protocol == "paper":
        every = tuple(m for m in PAPER_GRID if {m.kind.base, m.kind.needs or m.kind.base} <= roles)
    return replace(plan, blocks=tuple(b if b.methods else replace(b, methods=every) for b in plan.blocks))


def with_progress(jobs: Sequence[Job], store: Store, console: Console) -> int:
    """Run with a bar over the questions that are not answered; only these are in the estimate."""
    todo = sum(len(store.missing(u.configuration, u.seed, job.asked(u))) for job in jobs for u in job.units())
    columns = (
        TextColumn("{task.description:30.30}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=todo)

        def told(unit: Unit, added: int) -> None:
            c = unit.configuration
            bar.update(task, description=f"{c.task}: {c.of.label}", advance=added)

        return sum(run_job(job, store, told) for job in jobs)


def report(
    folder: Path, against: str = "dual", json: bool = False, page: bool = True, tasks: Mapping[str, Task] | None = None
) -> None:
    """Numbers, tables and the page of a folder of results."""
    results = results_of(folder, against, tasks)
    if json:
        print(json_text(results.numbers(), indent=1))
        return
    console = Console()
    console.print(table_of(results.lines))
    if results.compared:
        console.print(table_of_comparisons(results.lines, results.compared))
    for sentence in remarks(results):
        console.print(sentence, soft_wrap=True)
    if page:
        console.print(f"written: {write(results)}", soft_wrap=True)


def remarks(results: Results) -> list[str]:
    """What the numbers are not of: incomplete lines, changed verdicts, answers that do not count."""
    found = [f"not complete: {sentence}" for sentence in results.unfinished]
    if any(s.configuration.protocol != "kad" for s in results.lines):  # the page says it of kad's own too
        found += protocol_remarks([s.configuration for s in results.lines])
    for task, g in results.graded.items():
        if g.changed:
            found.append(
                f"{task}: graded again by {g.by}: {g.changed.total()} verdicts changed ({g.changed[True]} now right, "
                f"{g.changed[False]} now wrong)."
            )
        found += [f"{task}: {count} verdicts stand as they were: {why}." for why, count in g.kept.items()]
    found += [f"deferral: {sentence}" for sentence in results.doubts]
    if results.superseded:
        found.append(
            f"{results.superseded} answers to questions that have changed since, or that the data no longer hold, are kept and counted nowhere."
        )
    if any(not s.configuration.recorded for s in results.lines):
        found.append(
            "lines of format 1 do not say of which prompt and part they are; they are never counted with others."
        )
    return found


def table_of(lines: list[Summary]) -> Table:
    """Accuracy and cost; a column that never varies is left out."""
    table = Table(box=None, pad_edge=False, title="Accuracy in % [95% Wilson]", title_justify="left")
    axes: dict[str, Callable[[Configuration], str]] = {
        "task": lambda c: c.task, "T on": lambda c: "" if c.of.kind.alone else c.placement, "γ": lambda c: str(c.window),
        "T": lambda c: "greedy" if c.temperature is None else f"{c.temperature:g}", "filter": lambda c: c.filtered,
        "setting": lambda c: words[c],
    }  # fmt: skip
    words = wordings(s.configuration for s in lines)
    shown = {name: get for name, get in axes.items() if len({get(s.configuration) for s in lines}) > 1}
    for name in ("method", *shown):
        table.add_column(name, no_wrap=name == "method")
    for name in ("n×seeds", "accuracy", "α", "accepted", "tok/pass", "tok/s"):
        table.add_column(name, justify="right")
    for s in lines:
        table.add_row(
            s.configuration.of.label, *(get(s.configuration) for get in shown.values()), s.shape if s.complete else s.size,
            str(s.accuracy), number(s.deferred), number(s.acceptance), number(s.tokens_per_pass), f"{s.tokens_per_second:.0f}",
        )  # fmt: skip
    return table


def number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def table_of_comparisons(lines: list[Summary], compared: list[Comparison]) -> Table:
    """The reference minus the others."""
    named = {s.configuration.key: s.configuration for s in lines}
    first = named[compared[0].key].of.label
    title = f"{first} minus the others, in points; p by the same questions, after Holm for {len(compared)} comparisons"
    table = Table(box=None, pad_edge=False, title=title, title_justify="left")
    for name in ("task", "against", "setting"):
        table.add_column(name)
    for name in ("n", "difference", "p"):
        table.add_column(name, justify="right")
    for c in compared:
        other = named[c.against]
        placed = other.heat if other.temperature is None else f"{other.heat} on {named[c.key].placement}"
        parts = [placed, f"γ {other.window}" if other.window else "", other.filtered]
        table.add_row(
            other.task, other.of.label, ", ".join(filter(None, parts)), str(c.questions),
            f"{100 * c.difference:+.1f} ± {100 * c.error:.1f}", "< 0.001" if c.adjusted < 0.001 else f"{c.adjusted:.3f}",
        )  # fmt: skip
    return table
