"""Choosing a method's parameter on questions for development, and then the window for speed. Optuna does the search.

The test questions are never asked here: tasks are parted by a hash of each question's id (`Task.part_of`; the embedded task
draws its own), and ``kad eval --part test`` asks the others.
"""

from __future__ import annotations

import json
import math
import shlex
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..checkpoints import Checkpoints
from ..checks import number
from ..extras import need
from ..mixture import Placement
from .files import write_whole
from .grading import grader_of, regraded
from .job import Job
from .methods import Method
from .plan import Block, Plan
from .runner import answers
from .runner import run as run_job
from .search import STEP, Subject, search
from .store import Store, read
from .summary import Summary, summaries
from .task import digest

WINDOWS, ROUNDS, RESULT = (0, 1, 3, 5, 7), 3, "tuned.json"
HEAT = 0.7  # the temperature where none is named
Told = Callable[[str], None]


@dataclass(frozen=True)
class Tuned:
    """What a search found.

    Attributes:
        method, value, placement: the best on the development questions.
        accuracy, low, high: there; chosen as a maximum, so it flatters.
        trials: how many settings were tried.
        questions: how many development questions, summed over the tasks; test questions asked: none.
        window: the fastest γ with these settings.
        tokens_per_second: by window, medians of alternating rounds.
    """

    method: str
    value: float
    placement: Placement
    accuracy: float
    low: float
    high: float
    trials: int
    questions: int
    window: int
    tokens_per_second: dict[int, float]


def tune(
    name: str, plan: Plan, checkpoints: Checkpoints, folder: Path, trials: int, placements: tuple[Placement, ...], seed: int = 0,
    data: Path | None = None, batch: int = 64, told: Told = lambda text: None, low: float | None = None, high: float | None = None,
) -> Tuned:  # fmt: skip
    """Search a method's parameter (and the placement, if there are several) under a budget of trials.

    Every trial is a configuration in the folder's store, so a stopped search goes on, and ``kad report`` shows it. A search
    of something else (another method, count, temperature, model, grader, ...) in the same folder is another search.

    Args:
        name: a method with a parameter, such as ``dual``.
        plan: tasks, count, seeds and the temperature of its first block; its part must be "dev".
        trials: settings to try; those of an earlier search of the same count.
        low, high: where to look for the parameter; by default the method's own range.

    Raises:
        ImportError: Optuna is missing.
        ValueError: a method without a parameter, a range that is none, trials < 1, or a plan over other questions than
            development's.
    """
    need("kad tune", "optuna")
    kind = Method(name).known
    if kind.parameter is None:
        raise ValueError(f"the method {name} has no parameter to tune.")
    if trials < 1:
        raise ValueError(f"the number of trials must be ≥ 1, got {trials}.")
    if plan.part != "dev":
        raise ValueError("tuning asks development questions alone: its plan has the part 'dev'.")
    low, high = bounds(kind.range, low, high)

    def job_of(value: float, placement: Placement, window: int = 0, count: int | None = plan.count) -> Job:
        chosen: dict[str, Any] = {"methods": (Method(name, value),), "placements": (placement,), "windows": (window,)}
        return Job(replace(plan, blocks=(replace(plan.blocks[0], **chosen),), count=count), checkpoints, data, batch)

    with Store(folder) as store:

        def accuracy(lines: list[Summary]) -> float:
            return statistics.mean(s.accuracy.share for s in lines)

        def ask(index: int, value: float, placement: Placement) -> float:
            found = accuracy(asked(job_of(value, placement), store))
            told(f"trial {index + 1} of {trials}: {Method(name, value).label} on the {placement}: {found:.3f}")
            return found

        first = job_of(low, placements[0])
        subject = Subject(name, Method(name, low).code, low, high, placements, seed, subject_of(first))
        tried = search(subject, folder, trials, ask)
        # The best by the lines as they are graded today; they are there: nothing is decoded.
        lines = {setting: asked(job_of(*setting), store) for setting in dict.fromkeys(tried)}
        value, placement = max(lines, key=lambda setting: accuracy(lines[setting]))
        speeds = speeds_of({window: job_of(value, placement, window, batch) for window in WINDOWS}, told)
    chosen = lines[value, placement]
    share, bottom, top = (statistics.mean(getattr(s.accuracy, x) for s in chosen) for x in ("share", "low", "high"))
    fastest = max(speeds, key=lambda window: speeds[window])
    questions = sum(s.questions for s in chosen)
    found = Tuned(name, value, placement, share, bottom, top, len(tried), questions, fastest, speeds)
    of = {"of": asdict(subject), "test_questions_asked": 0}
    write_whole(folder / RESULT, json.dumps(asdict(found) | of, indent=1) + "\n")
    return found


def bounds(usual: tuple[float, float], low: float | None, high: float | None) -> tuple[float, float]:
    """Where a parameter is looked for, a whole number of steps wide.

    Raises:
        ValueError: no range, or one that is smaller than a step.

    >>> bounds((0.05, 0.95), None, 0.53)
    (0.05, 0.5)
    """
    bottom = number("the lowest value", usual[0] if low is None else low)
    top = number("the highest value", usual[1] if high is None else high)
    if top - bottom < STEP - 1e-9:
        raise ValueError(f"the range of the parameter must be {STEP:g} wide at least, got {bottom:g} to {top:g}.")
    return bottom, round(bottom + STEP * math.floor((top - bottom) / STEP + 1e-9), 10)


def subject_of(job: Job) -> dict[str, Any]:
    """What is asked of any setting, by task."""
    found = dict[str, Any]()
    for questions in job.questions:
        (c,) = job.configurations_of(questions.task)
        rest = asdict(replace(c, method="", value=None, placement="models", code=""))
        found[questions.task.name] = {
            "questions": len(questions.items), "digest": digest(questions.items), "seeds": list(job.plan.seeds_of(c)),
            "grader": grader_of(questions.task.answer), **rest,
        }  # fmt: skip
    return found


def asked(job: Job, store: Store) -> list[Summary]:
    """A line per task, after asking what the store lacks."""
    run_job(job, store)
    rows = read(store.folder)[1]
    wanted = {c.key: c for c in job.configurations()}
    there = {
        (key, seed, item)
        for unit in job.units()
        for key, seed in [(unit.configuration.key, unit.seed)]
        for item, _ in job.asked(unit)
    }
    rows = [row for row in rows if (row["key"], row["seed"], row["item"]) in there]
    return summaries(wanted, regraded(wanted, rows, job.tasks)[0])


def speeds_of(jobs: dict[int, Job], told: Told) -> dict[int, float]:
    """Tokens a second at every window, one batch a round in turn; the law is the same at all of them."""
    units = {window: next(job.units()) for window, job in jobs.items()}
    found: dict[int, list[float]] = {window: [] for window in jobs}
    for turn in range(ROUNDS + 1):
        for window, job in jobs.items():
            rows = answers(job, units[window])
            if turn:  # the first warms up
                found[window].append(sum(r["tokens"] for r in rows) / sum(r["seconds"] for r in rows))
        told(f"windows: round {turn} of {ROUNDS}")
    return {window: statistics.median(values) for window, values in found.items()}


def command(found: Tuned, plan: Plan) -> str:
    """What to run on the test questions, under what the search was under."""
    named = " ".join(f"--task {shlex.quote(task)}" for task in plan.tasks)
    heat = plan.blocks[0].temperatures[0]
    more = [f"--temperature {heat:g}"] if heat is not None and heat != HEAT else []
    more += [f"--seeds {len(plan.seeds)}"] if len(plan.seeds) > 1 else []
    more += [f"--new-tokens {plan.new_tokens}"] if plan.new_tokens is not None else []
    more += [f"--template-option {shlex.quote(f'{name}={json.dumps(value)}')}" for name, value in plan.template]
    return " ".join(
        [
            f"kad eval {named} --part test --method {shlex.quote(f'{found.method}:{found.value:g}')} --placement {found.placement} "
            f"--window {found.window}", *more,
        ]
    )  # fmt: skip


def plan_of(
    tasks: tuple[str, ...], name: str, count: int | None, seeds: int, temperature: float, new_tokens: int | None,
    template: tuple[tuple[str, Any], ...] = (),
) -> Plan:  # fmt: skip
    """A plan over development questions."""
    block = Block((Method(name, Method(name).known.default),), temperatures=(temperature,))
    return Plan(tasks, (block,), count, tuple(range(seeds)), new_tokens=new_tokens, part="dev", template=template)
