"""Asking a batch of questions when the call may fail: smaller batches, down to the question that fails alone.

A row does not depend on the batch that it is decoded in (but for the rounding of the models' logits), so a batch that is
too large for the memory is halved, and a batch with a question that cannot be answered is halved until that question
stands alone.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch

from ..errors import said
from .failures import Failure
from .job import Unit
from .schema import Line

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
