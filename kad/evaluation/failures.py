"""Questions that could not be answered, and where they are kept. The next run asks them again.

Failures stand in ``failures.json`` beside the results and not among them: a number is a function of answers alone. The file is
for people, and for the next run, which then asks these questions and not their whole batches; without it they are simply missing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from .files import read_json, write_whole
from .schema import RowId

FAILURES, SHOWN = "failures.json", 3


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
