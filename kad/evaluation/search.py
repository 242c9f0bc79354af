"""A search over a method's parameter: what it is of, and its trials, which a stopped search goes on from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..chances import seed_from
from ..mixture import Placement

LOG, STEP = "optuna.log", 0.05
Setting = tuple[float, Placement]


@dataclass(frozen=True)
class Subject:
    """What a search is of: another of it is another search, with trials of its own.

    Attributes:
        method: its name.
        code: a hash of code of the user's own.
        low, high: where its parameter is looked for.
        placements: to choose from.
        seed: of the search.
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
