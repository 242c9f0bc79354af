"""The interface: who answers the units of a sweep. The driver alone writes the store."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch

from .answering import trace_of
from .attempts import Attempts
from .failures import Failure
from .job import Job, Unit
from .schema import Line


class Workers(ABC):
    """Map the units of a job to what was found for them: in any order, each at least once, several pieces of a unit as they come."""

    @abstractmethod
    def map(self, job: Job, units: Iterable[Unit]) -> Iterator[tuple[Unit, list[Line] | Failure | None]]:
        """A unit and one piece of what was found: rows, or a question that failed; None after its last.

        Raises:
            ImportError, torch.AcceleratorError, ValueError: what stops a run; see `kad.evaluation.attempts`.
        """

    def traces(self, job: Job, wanted: Sequence[tuple[Unit, Line]]) -> list[Line]:
        """Answers by token, for the report: units of one question, each with its row. By default read in this process."""
        return [trace_of(job, unit, row) for unit, row in wanted]

    def about(self) -> dict[str, Any]:
        """What a manifest says of them."""
        return {"threads": torch.get_num_threads()}


class Here(Workers):
    """In this process, one after another.

    >>> from kad.checkpoints import load_checkpoints
    >>> from kad.evaluation import Block, Method, Plan
    >>> job = Job(Plan(("embedded",), (Block((Method("p"),)),), count=3), load_checkpoints({}), batch=2)
    >>> [None if rows is None else len(rows) for _, rows in Here().map(job, job.units())]
    [2, None, 1, None]
    """

    def map(self, job: Job, units: Iterable[Unit]) -> Iterator[tuple[Unit, list[Line] | Failure | None]]:
        attempts = Attempts(job.batch)
        for unit in units:
            for found in attempts.of(job, unit):
                yield unit, found
            yield unit, None


HERE = Here()
