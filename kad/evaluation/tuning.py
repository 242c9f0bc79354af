"""Choosing a method's parameter on questions for development, and then the window for speed. Optuna does the search.

The test questions are never asked here: tasks are parted by a hash of each question's id (`Task.part_of`; the embedded task
draws its own), and ``kad eval --part test`` asks the others.
"""

from __future__ import annotations

import hashlib
import json
import math
import shlex
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..chances import seed_from
from ..checkpoints import Checkpoints
from ..checks import number
from ..defaults import EVALUATED_AT
from ..extras import need
from ..mixture import Placement
from .failures import Failure
from .files import write_whole
from .grading import grader_of, regraded
from .job import Job, Unit
from .methods import Method
from .plan import Block, Plan
from .runner import run as run_job
from .schema import Line, row_id
from .store import Store, read
from .summary import Summary, summaries
from .task import digest
from .workers import HERE, Workers

WINDOWS, ROUNDS, RESULT = (0, 1, 3, 5, 7), 3, "tuned.json"
LOG, STEP = "optuna.log", 0.05
Told = Callable[[str], None]
Setting = tuple[float, Placement]


@dataclass(frozen=True)
class Subject:
    """What a search over a method's parameter is of: another of it is another search, with trials of its own.

    Attributes:
        code: a hash of code of the user's own.
        low, high: where its parameter is looked for.
        asked: by task, what is asked and how it is scored: counts, prompts, golds, grader, models, settings.

    >>> one = Subject("dual", "", 0.05, 0.95, ("models",), 0, {})
    >>> one.name == Subject("primal", "", 0.05, 0.95, ("models",), 0, {}).name
    False
    """

    method: str
    code: str
    low: float
    high: float
    placements: tuple[Placement, ...]
    seed: int
    asked: dict[str, Any]

    @property
    def name(self) -> str:
        """Of the study in the folder's log; a hash of all of it."""
        text = json.dumps(asdict(self), sort_keys=True)
        return f"kad {self.method} {hashlib.sha256(text.encode()).hexdigest()[:16]}"


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
    workers: Workers = HERE,
) -> Tuned:  # fmt: skip
    """Search a method's parameter (and the placement, if there are several) under a budget of trials.

    Every trial is a configuration in the folder's store, so a stopped search goes on, and ``kad report`` shows it. A search
    of something else (another method, count, temperature, model, grader, ...) in the same folder is another search.

    Args:
        name: a method with a parameter, such as ``dual``.
        plan: tasks, count, seeds and the temperature of its first block; its part must be "dev".
        trials: settings to try; those of an earlier search of the same count.
        low, high: where to look for the parameter; by default the method's own range.
        workers: who answers; one of them alone is timed.

    Raises:
        ImportError: Optuna is missing.
        ValueError: a method without a parameter, a range that is none, trials < 1, or a plan whose part is not "dev".
    """
    low, high = search_range(name, plan, trials, low, high)

    def job_of(value: float, placement: Placement, window: int = 0, count: int | None = plan.count) -> Job:
        block = replace(plan.blocks[0], methods=(Method(name, value),), placements=(placement,), windows=(window,))
        return Job(replace(plan, blocks=(block,), count=count), checkpoints, data, batch)

    with Store(folder) as store:

        def ask(index: int, value: float, placement: Placement) -> float:
            found = mean_accuracy(summaries_of(job_of(value, placement), store, workers))
            told(f"trial {index + 1} of {trials}: {Method(name, value).label} on the {placement}: {found:.3f}")
            return found

        of_all = subject_of(job_of(low, placements[0]))
        subject = Subject(name, Method(name, low).code, low, high, placements, seed, of_all)
        tried = search(subject, folder, trials, ask)
        # The best by the lines as they are graded today; they are there: nothing is decoded.
        lines = {setting: summaries_of(job_of(*setting), store, workers) for setting in dict.fromkeys(tried)}
        best = max(lines, key=lambda setting: mean_accuracy(lines[setting]))
        speeds = speeds_of({window: job_of(*best, window, batch) for window in WINDOWS}, told, workers)
    found = tuned_of(name, best, lines[best], len(tried), speeds)
    told_of = asdict(found) | {"of": asdict(subject), "test_questions_asked": 0}
    write_whole(folder / RESULT, json.dumps(told_of, indent=1) + "\n")
    return found


def search_range(name: str, plan: Plan, trials: int, low: float | None, high: float | None) -> tuple[float, float]:
    """Where the parameter is looked for, or an error of `tune`."""
    need("kad tune", "optuna")
    kind = Method(name).known
    if kind.parameter is None:
        raise ValueError(f"the method {name} has no parameter to tune.")
    if trials < 1:
        raise ValueError(f"the number of trials must be ≥ 1, got {trials}.")
    if plan.part != "dev":
        raise ValueError("tuning asks development questions alone: its plan has the part 'dev'.")
    return bounds(kind.range, low, high)


def bounds(usual: tuple[float, float], low: float | None, high: float | None) -> tuple[float, float]:
    """Where a parameter is looked for, a whole number of steps wide; a ValueError if it is less than one.

    >>> bounds((0.05, 0.95), None, 0.53)
    (0.05, 0.5)
    """
    bottom = number("the lowest value", usual[0] if low is None else low)
    top = number("the highest value", usual[1] if high is None else high)
    if top - bottom < STEP - 1e-9:
        raise ValueError(f"the range of the parameter must be {STEP:g} wide at least, got {bottom:g} to {top:g}.")
    return bottom, round(bottom + STEP * math.floor((top - bottom) / STEP + 1e-9), 10)


def search(subject: Subject, folder: Path, trials: int, ask: Callable[[int, float, Placement], float]) -> list[Setting]:
    """Try settings until there are as many as wanted; all that were tried, in order.

    Args:
        ask: the number of the trial and its setting; the accuracy there.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    placements = subject.placements

    def setting_of(parameters: dict[str, Any]) -> Setting:
        return round(parameters["value"], 4), parameters.get("placement", placements[0])

    def objective(trial: optuna.Trial) -> float:
        trial.suggest_float("value", subject.low, subject.high, step=STEP)
        if len(placements) > 1:
            trial.suggest_categorical("placement", list(placements))
        return ask(done, *setting_of(trial.params))

    study = optuna.create_study(
        study_name=subject.name, direction="maximize", load_if_exists=True,
        storage=JournalStorage(JournalFileBackend(str(folder / LOG))),
    )  # fmt: skip

    def tried() -> list[Setting]:
        return [setting_of(t.params) for t in study.trials if t.state == optuna.trial.TrialState.COMPLETE]

    for done in range(len(tried()), trials):
        # Every trial draws from a seed of its own, so that a search which was stopped tries what it would have tried.
        study.sampler = optuna.samplers.TPESampler(seed=seed_from(f"{subject.seed}/{done}") % 2**32)
        study.optimize(objective, n_trials=1)
    return tried()


def tuned_of(name: str, setting: Setting, lines: list[Summary], trials: int, speeds: dict[int, float]) -> Tuned:
    """What a search found, from the lines of its best setting, one a task, and the speeds by window."""
    share, low, high = (statistics.mean(getattr(s.accuracy, x) for s in lines) for x in ("share", "low", "high"))
    fastest = max(speeds, key=lambda window: speeds[window])
    return Tuned(name, *setting, share, low, high, trials, sum(s.questions for s in lines), fastest, speeds)


def mean_accuracy(lines: list[Summary]) -> float:
    """Every task counts once."""
    return statistics.mean(s.accuracy.share for s in lines)


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


def summaries_of(job: Job, store: Store, workers: Workers) -> list[Summary]:
    """A line per task, after asking what the store lacks."""
    run_job(job, store, workers=workers)
    wanted = {c.key: c for c in job.configurations()}
    there = {(unit.configuration.key, unit.seed, item.id) for unit in job.units() for item in unit.items}
    rows = [row for row in read(store.folder)[1] if row_id(row) in there]
    return summaries(wanted, regraded(wanted, rows, job.tasks)[0])


def speeds_of(jobs: dict[int, Job], told: Told, workers: Workers) -> dict[int, float]:
    """Tokens a second at every window, one batch a round in turn, which one worker has then alone; the law is the same at all of them."""
    units = {window: next(job.units()) for window, job in jobs.items()}
    found: dict[int, list[float]] = {window: [] for window in jobs}
    for turn in range(ROUNDS + 1):
        for window, job in jobs.items():
            rows = rows_of_one(job, units[window], workers)
            if turn:  # the first warms up
                found[window].append(sum(r["tokens"] for r in rows) / sum(r["seconds"] for r in rows))
        told(f"windows: round {turn} of {ROUNDS}")
    return {window: statistics.median(values) for window, values in found.items()}


def rows_of_one(job: Job, unit: Unit, workers: Workers) -> list[Line]:
    """A unit's rows; a ValueError if a question of it fails."""
    rows = list[Line]()
    for _, found in workers.map(job, [unit]):
        if isinstance(found, Failure):
            raise ValueError(f"no speed can be measured: {found}")
        rows += found or []
    return rows


def command(found: Tuned, plan: Plan) -> str:
    """What to run on the test questions, under what the search was under."""
    named = " ".join(f"--task {shlex.quote(task)}" for task in plan.tasks)
    heat = plan.blocks[0].temperatures[0]
    more = [f"--temperature {heat:g}"] if heat is not None and heat != EVALUATED_AT else []
    more += [f"--seeds {len(plan.seeds)}"] if len(plan.seeds) > 1 else []
    more += [f"--new-tokens {plan.new_tokens}"] if plan.new_tokens is not None else []
    more += [f"--template-option {shlex.quote(f'{name}={json.dumps(value)}')}" for name, value in plan.template]
    method = shlex.quote(f"{found.method}:{found.value:g}")
    chosen = f"--part test --method {method} --placement {found.placement} --window {found.window}"
    return " ".join([f"kad eval {named} {chosen}", *more])


def plan_of(
    tasks: tuple[str, ...], name: str, count: int | None, seeds: int, temperature: float, new_tokens: int | None,
    template: tuple[tuple[str, Any], ...] = (),
) -> Plan:  # fmt: skip
    """A plan over development questions."""
    block = Block((Method(name, Method(name).known.default),), temperatures=(temperature,))
    return Plan(tasks, (block,), count, tuple(range(seeds)), new_tokens=new_tokens, part="dev", template=template)
