"""``kad eval``, ``kad sweep`` and ``kad report``: a plan, a bar, a table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.table import Table

from ..checkpoints import given_places
from ..checks import whole
from ..engines.vllm.arguments import HELD
from ..errors import asked
from ..evaluation.failures import Unanswered
from ..evaluation.job import Job, ready
from ..evaluation.methods import available, methods_of
from ..evaluation.plan import Block, Configuration, Plan, from_yaml, seeds_of
from ..evaluation.presets import PAPER_GRID, preset_of
from ..evaluation.protocol import TASKS, remarks
from ..evaluation.report import NEEDS, Results, results_of, write
from ..evaluation.store import Store, read
from ..evaluation.summary import Comparison, Summary
from ..evaluation.tasks import task_of
from ..evaluation.traces import explain
from ..evaluation.wording import wordings
from ..extras import need
from ..terminal import Console, json_text
from .crew import check_crew, check_engine_options, check_methods, crew, vllm_crew
from .dry_run import show_plan
from .options import Eval, OnTasks, Report, Sweep
from .progress import with_progress
from .variables import variables

ROLES = ("base", "proxy", "reference", "aligned")


def evaluate(o: Eval) -> None:
    """``kad eval``."""
    with asked():
        places, options = o.places, plan_options(o)
        if o.preset is None:
            plan, shapes = Plan(tasks_of(o, o.protocol == "paper"), (axes_of(o),), **options), None
        else:
            preset = preset_of(o.preset)
            places = {role: place or preset.places[role] for role, place in places.items()}
            options |= {"tasks": o.task} if o.task else {}
            options |= {"blocks": (axes_of(o),)} if o.method else {}
            plan, shapes = preset.plan(**options), preset.shapes
    carry_out(o, plan, places, o.data, o.batch, shapes)


def plan_options(o: Eval) -> dict[str, Any]:
    """What a plan is told beside its tasks and blocks; what is not said is left to it."""
    said: dict[str, Any] = {"new_tokens": o.new_tokens, "template": tuple(variables(o.template_option).items()) or None}
    return {
        "count": o.n, "seeds": tuple(range(whole("--seeds", o.seeds, 1))), "shots": o.shots, "shuffle": o.shuffle, "part": o.part,
        "protocol": o.protocol, **{name: value for name, value in said.items() if value is not None},
    }  # fmt: skip


def axes_of(o: Eval) -> Block:
    """The axes."""
    filters = tuple((k, v) for k, v in (("top_p", o.top_p), ("top_k", o.top_k), ("min_p", o.min_p)) if v is not None)
    both = (filters,) if o.control is None else (filters, (("min_p", o.control),))
    methods = tuple(m for text in o.method for m in methods_of(text))
    return Block(methods, placements_of(o), o.window, (None if o.greedy else o.temperature,), both)


def placements_of(o: OnTasks) -> tuple[Any, ...]:
    return o.placement  # a block checks them


def tasks_of(o: OnTasks, paper: bool = False) -> tuple[str, ...]:
    """Those that are named; of the embedded pair its own, under the paper's protocol all of the paper's."""
    if not o.task and o.base is not None and not paper:
        raise ValueError("give the tasks with --task, such as --task gsm8k.")
    return o.task or (TASKS if o.base is not None else ("embedded",))


def sweep(o: Sweep) -> None:
    """``kad sweep``."""
    with asked():
        plan, rest = from_yaml(o.plan)
        if unknown := sorted(set(rest) - {*ROLES, "data", "batch"}):
            raise ValueError(f"the plan {o.plan} has unknown keys: {', '.join(unknown)}.")
        changes: dict[str, Any] = {} if o.n is None else {"count": o.n}
        changes |= {} if o.seeds is None else {"seeds": seeds_of(o.seeds)}
        plan = replace(plan, **changes)
    places = {role: place if place is not None else rest.get(role) for role, place in o.places.items()}
    beside = o.plan.parent / str(rest["data"]) if rest.get("data") is not None else None
    batch = o.batch if o.batch is not None else rest.get("batch") or 64
    carry_out(o, plan, places, o.data or beside, batch)


def carry_out(
    o: Eval | Sweep, plan: Plan, places: dict[str, str | None], data: Path | None, batch: int, shapes: str | None = None
) -> None:  # fmt: skip
    """Load, run, show, write."""
    console = Console()
    if o.dry_run:
        plan = completed(plan, {role for role, place in places.items() if place} or set(ROLES), o.engine)
        show_plan(plan, places, data, batch, o.dtype, o.compile, shapes, console)
        return
    need("the report (or choose --no-report)", *(() if o.no_report else NEEDS))
    ready(plan)
    check_crew(o)
    check_engine_options(o, places)
    with asked():
        given_places(places)
        check_methods(
            o, completed(plan, {r for r, place in places.items() if place} or usual_roles(o), o.engine), places
        )
    unanswered: Unanswered | None = None
    with vllm_crew(o, plan, places) if o.engine == "vllm" else crew(o, places, o.pack, o.compile) as team:
        plan = completed(plan, set(team.checkpoints.by_role), o.engine)
        job = Job(plan, team.checkpoints, data, batch, o.compile, team.engine)
        with Store(o.output) as store:
            if store.cut:
                console.print(f"{o.output}: a killed run had left {store.cut} bytes of a line; its batch runs again.")
            try:
                answered, failed = with_progress([job], store, console, team.workers), 0
            except Unanswered as error:
                unanswered, answered, failed = error, error.answered, len(error.failures)
                if not store.answers:
                    raise
            explain(job, store, read(o.output)[1], o.traces, team.workers)
    there = sum(len(unit.items) for unit in job.units()) - answered - failed
    console.print(f"{answered} questions answered, {there} were there.")
    report_on(results_of(o.output), page=not o.no_report)  # the same numbers as kad report will print
    if unanswered is not None:
        raise unanswered


def usual_roles(o: Eval | Sweep) -> set[str]:
    """Those of the embedded pair; vLLM holds three."""
    return set(ROLES if o.engine == "kad" else HELD)


def completed(plan: Plan, roles: set[str], engine: str = "kad") -> Plan:
    """The plan with every method that these models and the engine allow in the blocks that name none."""
    every = tuple(available(roles))
    if engine == "vllm":  # which takes every position by itself
        every = tuple(m for m in every if m.target("models", "given elsewhere").stateful is None)
    if plan.protocol == "paper":
        every = tuple(m for m in PAPER_GRID if {m.kind.base, m.kind.needs or m.kind.base} <= roles)
    return replace(plan, blocks=tuple(b if b.methods else replace(b, methods=every) for b in plan.blocks))


def report_again(o: Report) -> None:
    """``kad report``."""
    tasks = [task_of(spec) for spec in o.task]
    results = results_of(o.folder, o.against, {task.name: task for task in tasks})
    if o.json:
        print(json_text(results.numbers(), indent=1))
    else:
        report_on(results)


def report_on(results: Results, page: bool = True) -> None:
    """Tables, remarks and the page."""
    console = Console()
    console.print(table_of(results.lines))
    if results.compared:
        console.print(table_of_comparisons(results.lines, results.compared))
    for sentence in remarks_on(results):
        console.print(sentence, soft_wrap=True)
    if page:
        console.print(f"written: {write(results)}", soft_wrap=True)


def remarks_on(results: Results) -> list[str]:
    """What the numbers are not of: incomplete lines, changed verdicts, answers that do not count."""
    found = [f"not complete: {sentence}" for sentence in results.unfinished]
    if any(s.configuration.protocol != "kad" for s in results.lines):  # the page says it of kad's own too
        found += remarks([s.configuration for s in results.lines])
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
            str(s.accuracy), two_places(s.deferred), two_places(s.acceptance), two_places(s.tokens_per_pass), f"{s.tokens_per_second:.0f}",
        )  # fmt: skip
    return table


def two_places(value: float | None) -> str:
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
