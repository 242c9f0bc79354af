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

from ..checkpoints import Checkpoints
from ..mixture import Placement
from .methods import Method
from .plan import Block, Plan
from .runner import Job, Unit, answers
from .runner import run as run_job
from .store import Store, read, write_whole
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
    try:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend
    except ImportError as error:
        raise ImportError("kad tune needs Optuna: pip install 'kad-align[tune]'.") from error

    kind = Method(name).kind
    if kind.default is None:
        raise ValueError(f"the method {name} has no parameter to tune.")
    if trials < 1:
        raise ValueError(f"the number of trials must be ≥ 1, got {trials}.")
    if plan.part != "dev":
        raise ValueError("tuning asks development questions alone: its plan has the part 'dev'.")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with Store(folder) as store:
        low, high = kind.range

        def objective(trial: optuna.Trial) -> float:
            value = round(trial.suggest_float("value", low, high, step=STEP), 4)
            placement = (
                trial.suggest_categorical("placement", list(placements)) if len(placements) > 1 else placements[0]
            )
            found = score(Method(name, value), placement, plan, checkpoints, store, data, batch)
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
        done = max(done, trials)
        best = study.best_params
        value, placement = round(best["value"], 4), best.get("placement", placements[0])
        speeds = window_speeds(Method(name, value), placement, plan, checkpoints, data, batch, told)
    lines = of_setting(summaries(*read(folder)[:2]), name, value, placement)
    share, bottom, top = (statistics.mean(getattr(s.accuracy, x) for s in lines) for x in ("share", "low", "high"))
    fastest = max(speeds, key=lambda w: speeds[w])
    found = Tuned(name, value, placement, share, bottom, top, done, sum(s.questions for s in lines), fastest, speeds)
    write_whole(folder / RESULT, json.dumps(asdict(found) | {"test_questions_asked": 0}, indent=1) + "\n")
    return found


def of_setting(lines: list[Summary], name: str, value: float, placement: Placement) -> list[Summary]:
    """One line per task."""
    wanted = (name, value)
    found = [s for s in lines if (s.configuration.method, s.configuration.value) == wanted]
    return [s for s in found if s.configuration.placement == placement] or found


def with_method(plan: Plan, method: Method, placement: Placement, window: int = 0) -> Plan:
    block = replace(plan.blocks[0], methods=(method,), placements=(placement,), windows=(window,))
    return replace(plan, blocks=(block,))


def score(
    method: Method,
    placement: Placement,
    plan: Plan,
    checkpoints: Checkpoints,
    store: Store,
    data: Path | None,
    batch: int,
) -> float:
    """Accuracy on the development questions, the mean over tasks."""
    job = Job(with_method(plan, method, placement), checkpoints, data, batch)
    run_job(job, store)
    keys = {c.key for c in job.configurations()}
    configurations, rows, _ = read(store.folder)
    wanted = {key: c for key, c in configurations.items() if key in keys}
    found = summaries(wanted, [r for r in rows if r["key"] in wanted])
    return statistics.mean(s.accuracy.share for s in found)


def window_speeds(
    method: Method,
    placement: Placement,
    plan: Plan,
    checkpoints: Checkpoints,
    data: Path | None,
    batch: int,
    told: Told,
) -> dict[int, float]:
    """Tokens a second at every window, one batch a round in turn; the law is the same at all of them."""
    units = dict[int, Unit]()
    jobs = dict[int, Job]()
    for window in WINDOWS:
        jobs[window] = Job(with_method(replace(plan, count=batch), method, placement, window), checkpoints, data, batch)
        units[window] = next(jobs[window].units())
    found: dict[int, list[float]] = {window: [] for window in WINDOWS}
    for turn in range(ROUNDS + 1):
        for window in WINDOWS:
            rows = answers(jobs[window], units[window])
            if turn:  # the first warms up
                found[window].append(sum(r["tokens"] for r in rows) / sum(r["seconds"] for r in rows))
        told(f"windows: round {turn} of {ROUNDS}")
    return {window: statistics.median(values) for window, values in found.items()}


def command(found: Tuned, tasks: tuple[str, ...], rest: str = "") -> str:
    """What to run on the test questions."""
    asked = " ".join(f"--task {task}" for task in tasks)
    return (
        f"kad eval {asked} --part test --method {found.method}:{found.value:g} --placement {found.placement} "
        f"--window {found.window}{rest}"
    )


def plan_of(
    tasks: tuple[str, ...], name: str, count: int | None, seeds: int, temperature: float, new_tokens: int | None
) -> Plan:
    """A plan over development questions."""
    block = Block((Method(name, Method(name).kind.default),), temperatures=(temperature,))
    return Plan(tasks, (block,), count, tuple(range(seeds)), new_tokens=new_tokens, part="dev")
