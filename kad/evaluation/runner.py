"""Running a plan: batch by batch into a store, from where an earlier run stopped."""

from __future__ import annotations

import datetime
import functools
import hashlib
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import transformers

from ..checkpoints import Checkpoints
from ..checks import whole
from ..decoding.decoder import Output
from ..decoding.generate import generate
from ..decoding.trace import Trace
from ..extras import need
from ..version import VERSION
from . import sources
from .attempts import Attempts, Refused
from .failures import Failure, Unanswered
from .plan import Configuration, Plan, seed_of
from .schema import Line
from .store import Store
from .task import Item, Task, digest, messages, render
from .tasks import task_of

DECIMALS = 5  # of α in the results


@dataclass(frozen=True)
class Questions:
    """A task's questions, and the exemplary ones before them."""

    task: Task
    items: list[Item]
    examples: tuple[Item, ...]


@dataclass(frozen=True)
class Unit:
    """What is decoded in one call: some questions under one configuration and seed."""

    questions: Questions
    configuration: Configuration
    seed: int
    items: tuple[Item, ...]


@dataclass
class Job:
    """A plan with its models and questions.

    Attributes:
        plan: what to run.
        checkpoints: with what.
        data: a folder of local files; None: the hub.
        batch: questions decoded at once.
        compile: see `kad.generate`.

    Raises:
        ValueError: a task, method or model that is not there; known before anything runs.

    >>> from kad.checkpoints import load
    >>> from kad.evaluation import Block, Method
    >>> job = Job(Plan(("embedded",), (Block((Method("dual", 0.4),)),), count=5), load({}), batch=2)
    >>> [len(unit.items) for unit in job.units()]
    [2, 2, 1]
    """

    plan: Plan
    checkpoints: Checkpoints
    data: Path | None = None
    batch: int = 64
    compile: bool = False
    questions: list[Questions] = field(init=False)
    marks: tuple[tuple[str, str], ...] = field(init=False)

    def __post_init__(self) -> None:
        whole("the batch", self.batch, 1)
        ready(self.plan)
        self.questions = [questions_of(spec, self.plan, self.data) for spec in self.plan.tasks]
        names = [q.task.name for q in self.questions]
        if len(set(names)) < len(names):
            raise ValueError(f"two tasks of the plan have the same name: {', '.join(names)}.")
        self.marks = self.checkpoints.fingerprints
        for configuration in self.configurations():
            self.target(configuration)  # a missing model or a bad parameter is known before anything runs

    def configurations_of(self, task: Task) -> Iterator[Configuration]:
        return self.plan.configurations(task.name, task.new_tokens, self.marks)

    def configurations(self) -> Iterator[Configuration]:
        for questions in self.questions:
            yield from self.configurations_of(questions.task)

    def target(self, configuration: Configuration) -> Any:
        kind, models = configuration.of.kind, self.checkpoints.models
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
                        yield Unit(questions, configuration, seed, tuple(items))

    def manifest(self, before: dict[str, Any]) -> dict[str, Any]:
        """What makes the results; ``before`` is that of the folder so far."""
        tasks = {q.task.name: {"questions": len(q.items), "digest": digest(q.items)} for q in self.questions}
        models = {}
        for role, fingerprinted in self.marks:
            model = self.checkpoints.models[role]
            models[role] = {
                "name": getattr(model, "name_or_path", "") or type(model).__name__, "fingerprint": fingerprinted,
                "parameters": sum(p.numel() for p in model.parameters()), "dtype": str(model.dtype).removeprefix("torch."),
            }  # fmt: skip
        session = {
            "when": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), "kad": VERSION,
            "torch": torch.__version__, "transformers": transformers.__version__, "python": platform.python_version(),
            "device": str(self.checkpoints.models["base"].device), "threads": torch.get_num_threads(), "batch": self.batch,
            "seeds": list(self.plan.seeds), "part": self.plan.part, "models": models, "tasks": tasks,
        }  # fmt: skip
        return {"sessions": [*before.get("sessions", []), session]}


def ready(plan: Plan) -> None:
    """Raise an ImportError if a library is missing that a task's answers need, before anything is loaded."""
    for spec in plan.tasks:
        task = task_of(spec, plan.shuffle)
        need(task.name, *task.answer.needs)


def questions_of(spec: str, plan: Plan, data: Path | None) -> Questions:
    """A task's questions; exemplary ones are the last of the data, whatever the count, and are not asked."""
    task = task_of(spec, plan.shuffle)
    items = sources.items(task, data, None if plan.shots else plan.count, plan.part)
    if plan.shots >= len(items):
        raise ValueError(f"{task.name} has {len(items)} questions, too few for {plan.shots} shots.")
    examples = tuple(items[len(items) - plan.shots :])
    return Questions(task, items[: len(items) - plan.shots][: plan.count], examples)


def run(job: Job, store: Store, told: Callable[[Unit, int], None] = lambda unit, rows: None) -> int:
    """Answer what the store lacks; how many questions that was.

    A question that cannot be answered (its logits are NaN, say, or it alone exhausts the memory) is noted in the store, and
    the rest is answered all the same. The next run asks it again.

    Args:
        told: called after every batch with the rows that it has added.

    Raises:
        Unanswered: at the end, if there were such questions.
        ValueError: the store holds answers to other questions of the same names, or cannot be written; or one question after
            another could not be answered.

    >>> import tempfile
    >>> from kad.checkpoints import load
    >>> from kad.evaluation import Block, Method
    >>> job = Job(Plan(("embedded",), (Block((Method("dual", 0.4),)),), count=4), load({}))
    >>> folder = tempfile.mkdtemp()
    >>> with Store(folder) as store:
    ...     run(job, store), run(job, store)
    (4, 0)
    """
    for unit in job.units():
        for item in unit.items:
            known = store.done.get((unit.configuration.key, unit.seed, item.id))
            if known is not None and known != mark(item, unit.questions.examples):
                raise ValueError(
                    f"{store.folder} holds results for other questions of {unit.configuration.task} (question {item.id} has "
                    "changed); choose another folder."
                )
    store.describe(job.manifest(store.manifest()))
    answered, failures, attempts = 0, list[Failure](), Attempts(job.batch)
    for unit in job.units():
        missing = set(store.missing(unit.configuration, unit.seed, (item.id for item in unit.items)))
        if not missing:
            told(unit, 0)
            continue
        # The whole batch again, so that its rows are what they would have been; but of one that was asked to its end only
        # what failed.
        failed = {item for key, seed, item in store.failed if (key, seed) == (unit.configuration.key, unit.seed)}
        items = tuple(item for item in unit.items if item.id in missing or not missing <= failed)
        before = len(store.done)
        for found in attempts.of(items, functools.partial(part_of, job, unit)):
            if isinstance(found, Refused):
                failures.append(failure_of(unit, found))
                store.fail(failures[-1])
            else:
                store.append(unit.configuration, found)
        answered += len(store.done) - before
        told(unit, len(store.done) - before)
    if failures:
        raise Unanswered(failures, answered, store.folder)
    return answered


def part_of(job: Job, unit: Unit, items: tuple[Item, ...]) -> list[Line]:
    """`answers` for some of a unit's questions."""
    return answers(job, replace(unit, items=items))


def failure_of(unit: Unit, refused: Refused) -> Failure:
    c = unit.configuration
    return Failure(c.key, unit.seed, refused.item.id, c.task, c.of.label, refused.why)


@functools.cache
def mark(item: Item, examples: tuple[Item, ...]) -> str:
    """A short hash of a question, its answer and what stands before it; asked under every configuration."""
    text = repr((item.question, item.gold, *((e.question, e.solution) for e in examples)))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def answers(job: Job, unit: Unit) -> list[Line]:
    """Decode one batch and score it."""
    start = time.perf_counter()
    out = decode(job, unit)
    seconds = time.perf_counter() - start
    trace, kind = out.trace, unit.questions.task.answer
    texts = tokenizer_of(job, unit.configuration).batch_decode(trace.emitted, skip_special_tokens=True)
    lines = []
    for row, (item, text) in enumerate(zip(unit.items, texts, strict=True)):
        # A row that ends at the limit by its own last token counts as cut off too: the trace does not tell them apart.
        finished = int(trace.lengths[row]) < unit.configuration.new_tokens
        answer, correct = kind.score(text, item.gold, finished, item.options)
        lines.append(
            {"key": unit.configuration.key, "seed": unit.seed, "item": item.id, "question": mark(item, unit.questions.examples), "text": text,
             "answer": answer, "gold": item.gold, "correct": correct, "finished": finished, **figures(trace, row),
             "seconds": round(seconds / len(unit.items), 6)}
        )  # fmt: skip
    return lines


def tokenizer_of(job: Job, configuration: Configuration) -> Any:
    """The tokenizer of the ids that come out: the base's, or that of the model which stands in its place."""
    alone = configuration.of.kind.base == "proxy"
    return job.checkpoints.aligned_tokenizer if alone else job.checkpoints.tokenizer


def decode(job: Job, unit: Unit) -> Output:
    """One call of `kad.generate`."""
    configuration, models, checkpoints = unit.configuration, job.checkpoints.models, job.checkpoints
    conversations = [messages(unit.questions.task, item, unit.questions.examples) for item in unit.items]
    prompts = [render(checkpoints.aligned_tokenizer, turns) for turns in conversations]
    # What a checkpoint's own settings would add is not in the configuration, so it is not in the run.
    options: dict[str, Any] = {
        "max_new_tokens": configuration.new_tokens, "do_sample": False, "repetition_penalty": 1.0, "no_repeat_ngram_size": 0,
    }  # fmt: skip
    if configuration.temperature is not None:
        options |= {"do_sample": True, "temperature": configuration.temperature, "top_k": configuration.top_k or 0}
        options |= {"top_p": configuration.top_p or 1.0, "min_p": configuration.min_p}
        options["seed"] = [seed_of(configuration, item.id, unit.seed) for item in unit.items]
    tokenizer, other = tokenizer_of(job, configuration), checkpoints.proxy_tokenizer
    if other is not None and tokenizer is not other:
        options |= {"proxy_tokenizer": other, "proxy_prompt": ids_of(prompts, other)}
    return generate(
        models[configuration.of.kind.base], models["proxy"], ids_of(prompts, tokenizer), tokenizer=tokenizer,
        target=job.target(configuration), window=configuration.window, compile=job.compile, **options,
    )  # fmt: skip


def ids_of(prompts: Sequence[str], tokenizer: Any) -> list[list[int]]:
    """Token ids; a chat template has put the special tokens already."""
    special = not tokenizer.chat_template
    return [list(tokenizer(prompt, add_special_tokens=special)["input_ids"]) for prompt in prompts]


def figures(trace: Trace, row: int) -> dict[str, Any]:
    """What the trace says of one row, as numbers that JSON holds."""
    length = int(trace.lengths[row])
    drafted = [int(r.drafted[row]) for r in trace.rounds if r.drafted[row] >= 0]
    accepted = [int(r.accepted[row]) for r in trace.rounds if r.drafted[row] >= 0]
    alphas = trace.alphas[row, :length].tolist()
    return {
        "tokens": length, "rounds": len(drafted), "base_fed": int(trace.base_fed[row]), "proxy_fed": int(trace.proxy_fed[row]),
        "drafted": sum(drafted), "accepted": sum(accepted), "ids": trace.ids[row, :length].tolist(),
        "origins": "".join("bqt"[o] for o in trace.origins[row, :length].tolist()),
        "alphas": [None if a != a else round(a, DECIMALS) for a in alphas],
    }  # fmt: skip
