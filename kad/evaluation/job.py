"""A plan with its models and questions, and the units that it is answered in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..checkpoints import Checkpoints
from ..checks import whole
from ..engines import Engine, HuggingFace, Settings
from ..extras import need
from .configuration import Configuration
from .plan import Plan
from .protocol import task_under
from .questions import Questions, questions_of
from .task import Item, Task


@dataclass(frozen=True)
class Unit:
    """What is decoded in one call: some questions, from the ``start``-th on, under one configuration and seed."""

    questions: Questions
    configuration: Configuration
    seed: int
    items: tuple[Item, ...]
    start: int = 0


@dataclass
class Job:
    """A plan with its models and questions.

    Attributes:
        plan: what to run.
        checkpoints: with what.
        data: a folder of local files; None: the hub.
        batch: questions decoded at once.
        compile: see `kad.generate`.
        engine: what decodes; by default kad's own loop over the checkpoints.

    Raises:
        ValueError: a task, method or model that is not there; known before anything runs.

    >>> from kad.checkpoints import load_checkpoints
    >>> from kad.evaluation import Block, Method
    >>> job = Job(Plan(("embedded",), (Block((Method("dual", 0.4),)),), count=5), load_checkpoints({}), batch=2)
    >>> [len(unit.items) for unit in job.units()]
    [2, 2, 1]
    """

    plan: Plan
    checkpoints: Checkpoints
    data: Path | None = None
    batch: int = 64
    compile: bool = False
    engine: Engine = None  # type: ignore[assignment] # settled at once
    questions: list[Questions] = field(init=False)
    marks: tuple[tuple[str, str], ...] = field(init=False)
    common: dict[str, tuple[str, str]] = field(init=False)

    def __post_init__(self) -> None:
        whole("the batch", self.batch, 1)
        self.engine = self.engine or HuggingFace(self.checkpoints, self.compile)
        ready(self.plan)
        self.questions = [questions_of(spec, self.plan, self.data) for spec in self.plan.tasks]
        names = [q.task.name for q in self.questions]
        if len(set(names)) < len(names):
            raise ValueError(f"two tasks of the plan have the same name: {', '.join(names)}.")
        self.marks = self.checkpoints.fingerprints
        self.common = {q.task.name: q.common(self.checkpoints) for q in self.questions}
        for c in self.configurations():  # a missing model or a bad parameter is known before anything runs
            self.engine.accepts(self.target(c), settings_of(c), c.of.kind.base)

    def configurations_of(self, task: Task) -> Iterator[Configuration]:
        prompt = self.common[task.name][1]
        return self.plan.configurations(
            task.name, task.new_tokens, self.marks, prompt, self.engine.name, self.checkpoints.settings
        )

    @property
    def tasks(self) -> dict[str, Task]:
        """By name."""
        return {q.task.name: q.task for q in self.questions}

    def configurations(self) -> Iterator[Configuration]:
        for questions in self.questions:
            yield from self.configurations_of(questions.task)

    def target(self, configuration: Configuration) -> Any:
        """What is sampled, around the reference model, or its description where that is held elsewhere."""
        kind, models = configuration.of.kind, self.checkpoints.by_role
        if kind.base not in models:
            raise ValueError(f"{configuration.method} needs the large aligned model p*: give --{kind.base}.")
        return configuration.of.target(configuration.placement, models.get("reference"))

    def units(self) -> Iterator[Unit]:
        """Everything, in order; the batches are the same in every run."""
        for questions in self.questions:
            for configuration in self.configurations_of(questions.task):
                for seed in self.plan.seeds_of(configuration):
                    for start in range(0, len(questions.items), self.batch):
                        items = questions.items[start : start + self.batch]
                        yield Unit(questions, configuration, seed, tuple(items), start)

    def asked(self, unit: Unit) -> list[tuple[str, str]]:
        """A unit's questions with the hashes of their prompts."""
        tokenizer = self.checkpoints.aligned_tokenizer
        return [(item.id, unit.questions.mark(tokenizer, item)) for item in unit.items]


def settings_of(c: Configuration) -> Settings:
    """How an engine draws its texts."""
    filters = {} if c.temperature is None else {"top_k": c.top_k, "top_p": c.top_p, "min_p": c.min_p}
    return Settings(c.new_tokens, c.temperature, window=c.window, **filters)  # type: ignore[arg-type]


def ready(plan: Plan) -> None:
    """Raise an ImportError if a library is missing that a task's answers need, before anything is loaded."""
    for spec in plan.tasks:
        task = task_under(plan.protocol, spec, plan.shuffle)
        need(task.name, *task.answer.needs)
