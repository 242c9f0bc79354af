"""Questions that could not be answered: how they are found, and where they are kept. The next run asks them again.

A call that fails is asked again in halves, down to the question that fails alone: a row does not depend on the batch that it
is decoded in (but for the rounding of the models' logits). Failures stand in ``failures.json`` beside the results and not
among them: a number is a function of answers alone. The file is for people, and for the next run, which then asks these
questions and not their whole batches; without it they are simply missing.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from ..errors import said
from .files import read_json, write_whole
from .job import Unit
from .schema import Line, RowId

IN_A_ROW = 20  # failures one after another, after which it is not the questions
MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory")
FAILURES, SHOWN = "failures.json", 3

LOST: type[Exception] = getattr(torch, "AcceleratorError", ImportError)  # no later call on that device can succeed


@dataclass(frozen=True)
class Failure:
    """One question that could not be answered, and why, in one sentence.

    >>> print(Failure("ab12", 0, "7", "gsm8k", "dual λ=0.4", "no memory."))
    question 7 of gsm8k under dual λ=0.4, seed 0: no memory.
    """

    key: str
    seed: int
    item: str
    task: str
    method: str
    why: str

    @property
    def place(self) -> RowId:
        return self.key, self.seed, self.item

    def __str__(self) -> str:
        return f"question {self.item} of {self.task} under {self.method}, seed {self.seed}: {self.why}"


class Unanswered(ValueError):
    """A run has ended, and some questions have no answer.

    Attributes:
        failures: which, and why.
        answered: how many questions the run did answer.

    >>> print(Unanswered([Failure("ab12", 0, "7", "gsm8k", "p", "no memory.")], 63, Path("kad-eval")))
    1 question has no answer: question 7 of gsm8k under p, seed 0: no memory; the others are in kad-eval, run again to ask for the rest.
    """

    def __init__(self, failures: list[Failure], answered: int, folder: Path) -> None:
        self.failures, self.answered = failures, answered
        named = "; ".join(str(failure).rstrip(".") for failure in failures[:SHOWN])
        more = f"; {len(failures) - SHOWN} more in {folder / FAILURES}" if len(failures) > SHOWN else ""
        count = "1 question has" if len(failures) == 1 else f"{len(failures)} questions have"
        super().__init__(
            f"{count} no answer: {named}{more}; the others are in {folder}, run again to ask for the rest."
        )


@dataclass
class Attempts:
    """What a run has learned about its calls.

    Attributes:
        size: questions that a call may take; halved when the memory is exhausted, for the rest of the run.
        failed: how many questions have failed since one was answered.
    """

    size: int
    failed: int = 0

    def of(self, unit: Unit, ask: Callable[[Unit], list[Line]]) -> Iterator[list[Line] | Failure]:
        """Rows as they come, and the questions that cannot be answered.

        Raises:
            ImportError, torch.AcceleratorError: a library is missing, or the device is lost, for every question alike.
            ValueError: so many questions failed one after another that it must be something else.
        """
        if len(unit.items) > self.size:
            yield from self.halves(unit, ask)
            return
        try:
            rows = ask(unit)
        except (ImportError, LOST):
            raise
        except Exception as error:  # whatever a model, a target or a task's scoring may raise
            memory, why = out_of_memory(error), said(error)
        else:
            self.failed = 0
            yield rows
            return
        if memory:  # only here, where the error no longer holds the call's tensors
            gc.collect()
            torch.cuda.empty_cache()
        if len(unit.items) > 1:
            if memory:
                self.size = min(self.size, max(1, len(unit.items) // 2))
            yield from self.halves(unit, ask)
            return
        c = unit.configuration
        yield Failure(c.key, unit.seed, unit.items[0].id, c.task, c.of.label, why)
        self.failed += 1
        if self.failed >= IN_A_ROW:
            raise ValueError(f"{IN_A_ROW} questions in a row could not be answered, the last because: {why}")

    def halves(self, unit: Unit, ask: Callable[[Unit], list[Line]]) -> Iterator[list[Line] | Failure]:
        middle = (len(unit.items) + 1) // 2
        for items in (unit.items[:middle], unit.items[middle:]):
            yield from self.of(replace(unit, items=items), ask)


def out_of_memory(error: Exception) -> bool:
    """Whether a smaller batch may help.

    >>> out_of_memory(torch.OutOfMemoryError("CUDA out of memory.")), out_of_memory(ValueError("NaN"))
    (True, False)
    """
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in MEMORY)


def read_failures(folder: Path) -> list[Failure]:
    """Those of a folder; none if there is no such file, and a ValueError if it is damaged."""
    found = read_json(folder / FAILURES, default=[])
    try:
        return [Failure(**entry) for entry in found]
    except TypeError as error:
        raise ValueError(f"{folder / FAILURES} is damaged (it is no list of failures); delete it.") from error


def write_failures(folder: Path, failures: Iterable[Failure]) -> None:
    """All of them, at once and whole; no file if there are none."""
    entries = [asdict(failure) for failure in failures]
    if entries:
        write_whole(folder / FAILURES, json.dumps(entries, indent=1, ensure_ascii=False) + "\n")
    else:
        (folder / FAILURES).unlink(missing_ok=True)
