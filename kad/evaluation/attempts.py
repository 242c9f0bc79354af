"""Calls that fail are asked again in halves, down to the question that fails alone.

A row does not depend on the batch that it is decoded in (but for the rounding of the models' logits): its seed is its own. So a
run whose memory does not hold its batch has the rows of one whose memory does.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from ..errors import said
from .answering import answers, prompts_of_unit
from .failures import Failure
from .job import Job, Unit
from .schema import Line

logger = logging.getLogger(__name__)
IN_A_ROW = 20  # failures one after another, after which it is not the questions
MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory")
LOST: type[Exception] = getattr(torch, "AcceleratorError", ImportError)  # no later call on that device can succeed


@dataclass
class Attempts:
    """What a run has learned about its calls.

    Attributes:
        size: questions that a call may take; halved when the memory is exhausted, for the rest of the run.
        failed: how many questions have failed since one was answered.
    """

    size: int
    failed: int = 0

    def of(self, job: Job, unit: Unit) -> Iterator[list[Line] | Failure]:
        """Rows as they come, and the questions that cannot be answered.

        Raises:
            ImportError, torch.AcceleratorError: a library is missing, or the device is lost, for every question alike.
            ValueError: so many questions failed one after another that it must be something else.
        """
        if len(unit.items) > self.size:
            yield from self.halves(job, unit)
            return
        try:
            rows = answers(job, unit)
        except (ImportError, LOST):
            raise
        except Exception as error:  # whatever a model, a target or a task's scoring may raise
            memory, why = out_of_memory(error), said(error)
        else:
            self.failed = 0
            yield rows
            return
        if memory:  # only here, where the error no longer holds the call's tensors
            make_room(job)
            self.learn(unit, why)
        if len(unit.items) > 1:
            yield from self.halves(job, unit)
            return
        c, why = unit.configuration, too_large(job, unit) if memory else why
        yield Failure(c.key, unit.seed, unit.items[0].id, c.task, c.of.label, why)
        self.failed += 1
        if self.failed >= IN_A_ROW:
            raise ValueError(f"{IN_A_ROW} questions in a row could not be answered, the last because: {why}")

    def learn(self, unit: Unit, why: str) -> None:
        """Ask for half as many from now on."""
        rows, c = len(unit.items), unit.configuration
        if rows > 1:
            self.size = min(self.size, max(1, rows // 2))
            logger.warning(
                "the memory did not hold a batch of %d (%s under %s); from here on at most %d questions are asked at once: %s",
                rows, c.task, c.of.label, self.size, why,
            )  # fmt: skip

    def halves(self, job: Job, unit: Unit) -> Iterator[list[Line] | Failure]:
        middle = (len(unit.items) + 1) // 2
        for items in (unit.items[:middle], unit.items[middle:]):
            yield from self.of(job, replace(unit, items=items))


def make_room(job: Job) -> None:
    """Free what the failed call has left, and what the engine keeps between calls."""
    job.engine.release()
    gc.collect()
    torch.cuda.empty_cache()


def too_large(job: Job, unit: Unit) -> str:
    """Why a question that exhausts the memory alone has no answer, and what may help."""
    tokens = max(map(len, prompts_of_unit(job, unit)[0]))
    return (
        f"the memory does not hold a batch of 1, with {tokens} tokens of prompt and up to {unit.configuration.new_tokens} of reply; "
        "allow fewer with --new-tokens or --shots, take a narrower --dtype or smaller models, or a device with more memory."
    )


def out_of_memory(error: BaseException) -> bool:
    """Whether a smaller batch may help: the error, or the one that it was raised from, is of memory.

    >>> out_of_memory(torch.OutOfMemoryError("CUDA out of memory.")), out_of_memory(ValueError("NaN"))
    (True, False)
    """
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    if isinstance(error, RuntimeError) and any(words in str(error).lower() for words in MEMORY):
        return True
    return error.__cause__ is not None and out_of_memory(error.__cause__)
