"""Choosing a method's parameter on questions for development, and then the window for speed. Optuna does the search.

The test questions are never asked here: tasks are parted by a hash of each question's id (`Task.part_of`; the embedded task
draws its own), and ``kad eval --part test`` asks the others.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..checkpoints import Checkpoints
from ..extras import need
from ..mixture import Placement
from .files import write_whole
from .methods import Method
from .plan import Block, Plan
from .runner import Job, answers
from .runner import run as run_job
from .store import Store, read
from .summary import Summary, summaries

STEP, WINDOWS, ROUNDS, RESULT = 0.05, (0, 1, 3, 5, 7), 3, "tuned.json"
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
    data: Path | None = None, batch: int = 64, told: Told = lambda text: None,
) -> Tuned:  # fmt: skip
    """Search a method's parameter (and the placement, if there are several) under a budget of trials.

    Every trial is a configuration in the folder's store, so a stopped search goes on, and ``kad report`` shows it.

    Args:
        name: a method with a parameter, such as ``dual``.
        plan: tasks, count, seeds and the temperature of its first block; its part must be "dev".
        trials: settings to try; those of an earlier search in the folder count.

    Raises:
        ImportError: Optuna is missing.
        ValueError: a method without a parameter, trials < 1, or a plan over other questions than development's.
    """
    need("kad tune", "optuna")
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    kind = Method(name).kind
    if kind.default is None:
        raise ValueError(f"the method {name} has no parameter to tune.")
    if trials < 1:
        raise ValueError(f"the number of trials must be ≥ 1, got {trials}.")
    if plan.part != "dev":
        raise ValueError("tuning asks development questions alone: its plan has the part 'dev'.")
    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def job_of(value: float, placement: Placement, window: int = 0, count: int | None = plan.count) -> Job:
        chosen: dict[str, Any] = {"methods": (Method(name, value),), "placements": (placement,), "windows": (window,)}
        return Job(replace(plan, blocks=(replace(plan.blocks[0], **chosen),), count=count), checkpoints, data, batch)

    with Store(folder) as store:
        low, high = kind.range

        def setting_of(parameters: dict[str, Any]) -> tuple[float, Placement]:
            return round(parameters["value"], 4), parameters.get("placement", placements[0])

        def objective(trial: optuna.Trial) -> float:
            trial.suggest_float("value", low, high, step=STEP)
            if len(placements) > 1:
                trial.suggest_categorical("placement", list(placements))
            value, placement = setting_of(trial.params)
            found = statistics.mean(s.accuracy.share for s in asked(job_of(value, placement), store))
            told(
                f"trial {trial.number + 1} of {trials}: {name} {kind.parameter}={value:g} on the {placement}: {found:.3f}"
            )
            return found

        study = optuna.create_study(
            study_name="kad", direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed), load_if_exists=True,
            storage=JournalStorage(JournalFileBackend(str(folder / "optuna.log"))),
        )  # fmt: skip
        done = sum(t.state == optuna.trial.TrialState.COMPLETE for t in study.trials)
        study.optimize(objective, n_trials=max(0, trials - done))
        value, placement = setting_of(study.best_params)
        lines = asked(job_of(value, placement), store)  # they are there: nothing is decoded
        speeds = speeds_of({window: job_of(value, placement, window, batch) for window in WINDOWS}, told)
    share, bottom, top = (statistics.mean(getattr(s.accuracy, x) for s in lines) for x in ("share", "low", "high"))
    fastest = max(speeds, key=lambda window: speeds[window])
    questions = sum(s.questions for s in lines)
    found = Tuned(name, value, placement, share, bottom, top, max(done, trials), questions, fastest, speeds)
    write_whole(folder / RESULT, json.dumps(asdict(found) | {"test_questions_asked": 0}, indent=1) + "\n")
    return found


def asked(job: Job, store: Store) -> list[Summary]:
    """A line per task, after asking what the store lacks."""
    run_job(job, store)
    rows = read(store.folder)[1]
    wanted = {c.key: c for c in job.configurations()}
    return summaries(wanted, [row for row in rows if row["key"] in wanted])


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


def command(found: Tuned, tasks: tuple[str, ...]) -> str:
    """What to run on the test questions."""
    named = " ".join(f"--task {task}" for task in tasks)
    return (
        f"kad eval {named} --part test --method {found.method}:{found.value:g} --placement {found.placement} "
        f"--window {found.window}"
    )


def plan_of(
    tasks: tuple[str, ...], name: str, count: int | None, seeds: int, temperature: float, new_tokens: int | None
) -> Plan:
    """A plan over development questions."""
    block = Block((Method(name, Method(name).kind.default),), temperatures=(temperature,))
    return Plan(tasks, (block,), count, tuple(range(seeds)), new_tokens=new_tokens, part="dev")
