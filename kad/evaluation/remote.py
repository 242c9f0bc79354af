"""What a worker process does: it loads the models itself, makes the job again, and answers only as the driver would.

Plans, positions and hashes come in, rows go out; models, questions and code do not travel. Everything that the key of a result is
made of is compared with the driver's before the first answer.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import torch

from ..checkpoints import Checkpoints, Described, load_checkpoints
from ..decoding.packed import pack_weights
from ..errors import said
from ..version import LAW_VERSION, VERSION
from .answering import trace_of
from .attempts import Attempts
from .configuration import Configuration
from .failures import Failure
from .job import Job, Unit
from .plan import Plan
from .schema import Line
from .task import digest

JOBS_KEPT = 8  # jobs that a worker keeps: a search over windows goes round five


@dataclass(frozen=True)
class Recipe:
    """How a worker loads the models.

    Attributes:
        places: folders or hub ids by role; none is the embedded pair.
        dtype, device: as for `kad.checkpoints.load_checkpoints`.
        pack: whether the weights are packed for a CPU.
        threads: of torch.
        folder: where the driver was started; paths and modules of the user's own are looked for there.
    """

    places: Mapping[str, str | None]
    dtype: str
    device: str
    pack: bool
    threads: int
    folder: str

    def load(self) -> Checkpoints:
        os.chdir(self.folder)
        torch.set_num_threads(self.threads)
        checkpoints = load_checkpoints(self.places, self.dtype, self.device)
        for model in checkpoints.models.values() if self.pack else ():
            pack_weights(model)
        return checkpoints


@dataclass(frozen=True)
class Outline:
    """A job without its models and questions: what it is made of, and what must come of it.

    Attributes:
        plan, data, batch, compile: see `Job`.
        configurations: all, in order.
        digests: hashes of the questions, by task.

    >>> from kad.checkpoints import load_checkpoints
    >>> from kad.evaluation import Block, Method
    >>> pair = load_checkpoints({})
    >>> job = Job(Plan(("embedded",), (Block((Method("dual", 0.4),)),), count=5), pair)
    >>> Outline.of(Outline.of(job).job(pair)) == Outline.of(job)
    True
    """

    plan: Plan
    data: Path | None
    batch: int
    compile: bool
    configurations: tuple[Configuration, ...]
    digests: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, job: Job) -> Outline:
        digests = tuple((q.task.name, digest(q.items)) for q in job.questions)
        return cls(job.plan, job.data, job.batch, job.compile, tuple(job.configurations()), digests)

    def job(self, checkpoints: Checkpoints) -> Job:
        """The job, made again.

        Raises:
            ValueError: as `Job`, or something else comes of it here.
        """
        job = Job(self.plan, checkpoints, self.data, self.batch, self.compile)
        mine = Outline.of(job)
        for (task, there), (_, here) in zip(self.digests, mine.digests, strict=True):
            if there != here:
                raise ValueError(
                    f"the questions of {task} are others than the driver's; give every node the same data."
                )
        for driver, own in zip(self.configurations, mine.configurations, strict=True):
            if own != driver:
                raise ValueError(
                    f"{own.task} would be asked under another {different(own, driver)} than the driver's; "
                    "give every node the same files, libraries and devices."
                )
        return job


def different(own: Configuration, other: Configuration) -> str:
    """What two configurations differ in.

    >>> different(Configuration("gsm8k", "p", engine="torch on cpu"), Configuration("gsm8k", "p", engine="torch on cuda"))
    "engine ('torch on cpu', 'torch on cuda')"
    """
    pairs = {field.name: (getattr(own, field.name), getattr(other, field.name)) for field in fields(own)}
    return ", ".join(f"{name} ({one!r}, {two!r})" for name, (one, two) in pairs.items() if one != two)


@dataclass(frozen=True)
class Share:
    """A unit as it travels: the key of its configuration, its seed, and the positions of its questions among their task's.

    >>> Share("ab12", 0, (4, 5)).positions
    (4, 5)
    """

    key: str
    seed: int
    positions: tuple[int, ...]

    @classmethod
    def of(cls, unit: Unit) -> Share:
        asked = {item.id for item in unit.items}
        positions = tuple(i for i, item in enumerate(unit.questions.items) if item.id in asked)
        return cls(unit.configuration.key, unit.seed, positions)

    def unit(self, job: Job, by_key: Mapping[str, Configuration]) -> Unit:
        c = by_key[self.key]
        questions = next(q for q in job.questions if q.task.name == c.task)
        return Unit(questions, c, self.seed, tuple(questions.items[i] for i in self.positions), self.positions[0])


@dataclass(frozen=True)
class Reply:
    """What comes back: pieces of what was found, and what stops the run: whether a library is missing, and a sentence."""

    pieces: tuple[list[Line] | Failure, ...]
    stopped: tuple[bool, str] | None = None


class Worker:
    """The models in a process of their own, and some jobs over them. Errors are returned: one that is raised is a fault of this file.

    >>> from kad.checkpoints import describe_checkpoints
    >>> recipe = Recipe({}, "auto", "cpu", False, torch.get_num_threads(), os.getcwd())
    >>> Worker().prepare(recipe, describe_checkpoints({}).described, (VERSION, LAW_VERSION)) is None
    True
    """

    def __init__(self) -> None:
        self.jobs = dict[int, tuple[Job, dict[str, Configuration]]]()
        self.run, self.attempts = -1, Attempts(0)

    def prepare(self, recipe: Recipe, known: Mapping[str, Described], versions: tuple[str, int]) -> str | None:
        """Load the models; a sentence if that fails or they are not the driver's."""
        node = platform.node()
        if versions != (VERSION, LAW_VERSION):
            return f"{node} has kad {VERSION} (law {LAW_VERSION}), the driver {versions[0]} (law {versions[1]}); install one version."
        try:
            self.checkpoints = recipe.load()
        except FileNotFoundError as error:
            return f"a worker on {node} cannot start in the driver's folder: {said(error)}; start from one that every node has."
        except Exception as error:
            return f"a worker on {node} cannot load the models: {said(error)}"
        own = self.checkpoints.described
        for role, there in known.items():
            for what in ("fingerprint", "settings", "dtype"):
                mine, other = getattr(own[role], what), getattr(there, what)
                if mine != other:
                    return (
                        f"a worker on {node} has another {role} than the driver read: its {what} is {mine}, not {other}; "
                        "give every node the same checkpoints, and leave them alone during a run."
                    )
        return None

    def made(self, number: int, outline: Outline) -> tuple[Job, dict[str, Configuration]]:
        """The driver's job of this number."""
        if number not in self.jobs:
            self.jobs[number] = outline.job(self.checkpoints), {c.key: c for c in outline.configurations}
            if len(self.jobs) > JOBS_KEPT:
                del self.jobs[next(iter(self.jobs))]
        return self.jobs[number]

    def answer(self, number: int, outline: Outline, run: int, part: Share) -> Reply:
        """The rows of a part, and its questions that fail; ``run``: what was learned of memory in another one is forgotten."""
        pieces = list[list[Line] | Failure]()
        try:
            job, by_key = self.made(number, outline)
            if run != self.run:
                self.run, self.attempts = run, Attempts(job.batch)
            for piece in self.attempts.of(job, part.unit(job, by_key)):
                pieces.append(piece)
        except Exception as error:
            return Reply(tuple(pieces), stopped(error))
        return Reply(tuple(pieces))

    def trace(self, number: int, outline: Outline, run: int, part: Share, row: Line) -> Reply:
        """One answer by token."""
        try:
            job, by_key = self.made(number, outline)
            return Reply(([trace_of(job, part.unit(job, by_key), row)],))
        except Exception as error:
            return Reply((), stopped(error))


def stopped(error: Exception) -> tuple[bool, str]:
    """What is left of an error on its way to another process."""
    return isinstance(error, ImportError), f"a worker on {platform.node()} stopped: {said(error)}"
