"""A run of questions with a bar: which method, how many of its answers are right so far, how fast, and how long it will take."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rich.progress import TextColumn

from ..evaluation.failures import Failure
from ..evaluation.job import Job, Unit
from ..evaluation.runner import run as run_job
from ..evaluation.schema import Line
from ..evaluation.store import Store
from ..evaluation.workers import HERE, Workers
from ..terminal import Console, bar


class Counted(Workers):
    """Workers whose answers are counted on their way to the store.

    Args:
        workers: who answers.

    Attributes:
        right, answers: of the configuration that was answered last.
        tokens: of all.
    """

    def __init__(self, workers: Workers) -> None:
        self.workers, self.start = workers, time.perf_counter()
        self.key, self.right, self.answers, self.tokens = "", 0, 0, 0

    def map(self, job: Job, units: Iterable[Unit]) -> Iterator[tuple[Unit, list[Line] | Failure | None]]:
        for unit, found in self.workers.map(job, units):
            if isinstance(found, list):
                self.count(unit.configuration.key, found)
            yield unit, found

    def count(self, key: str, rows: Sequence[Line]) -> None:
        """These are answered."""
        if key != self.key:
            self.key, self.right, self.answers = key, 0, 0
        self.right += sum(bool(row["correct"]) for row in rows)
        self.answers += len(rows)
        self.tokens += sum(int(row["tokens"]) for row in rows)

    @property
    def so_far(self) -> str:
        """Accuracy of the configuration, and tokens a second of the run."""
        if not self.answers:
            return ""
        speed = self.tokens / max(time.perf_counter() - self.start, 1e-9)
        return f"{100 * self.right / self.answers:.0f}% right {speed:.0f} tok/s"

    def traces(self, job: Job, wanted: Sequence[tuple[Unit, Line]]) -> list[Line]:
        return self.workers.traces(job, wanted)

    def about(self) -> dict[str, Any]:
        return self.workers.about()


def with_progress(jobs: Sequence[Job], store: Store, console: Console, workers: Workers = HERE) -> int:
    """Run with a bar over the questions that are not answered; only these are in the estimate."""
    todo = sum(len(store.missing(u.configuration, u.seed, job.asked(u))) for job in jobs for u in job.units())
    watched = Counted(workers)
    with bar(console, TextColumn("{task.fields[so_far]}", markup=False)) as progress:
        task = progress.add_task("starting", total=todo, so_far="")

        def told(unit: Unit, added: int) -> None:
            c = unit.configuration
            progress.update(task, description=f"{c.task}: {c.of.label}", advance=added, so_far=watched.so_far)

        return sum(run_job(job, store, told, watched) for job in jobs)
