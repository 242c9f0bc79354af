"""p and q* at the steps of texts: those of prompts that are answered now, or of stored results, read once more."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..checkpoints import Checkpoints
from ..checks import whole
from ..defaults import EVALUATED_AT, NEW_TOKENS
from ..engines import HuggingFace
from ..mixture import dual
from ..version import LAW_VERSION
from .configuration import Configuration
from .job import settings_of
from .methods import Method
from .plan import Block, Plan
from .questions import Questions, ids_of, questions_of
from .schema import Line
from .store import read
from .task import Item, render
from .tasks import task_of
from .wording import variant

StepId = tuple[str, int, int]  # the question's id, the seed, the step


@dataclass(frozen=True)
class Text:
    """One reply, as ids, with the prompt before it."""

    item: str
    seed: int
    prompt: list[int]
    ids: list[int]


@dataclass(frozen=True)
class Texts:
    """The replies of one configuration: of a task, a method, models and settings."""

    configuration: Configuration
    texts: tuple[Text, ...]

    @property
    def label(self) -> str:
        """The method that wrote them, and its settings."""
        return ", ".join(filter(None, [self.configuration.of.label, variant(self.configuration)]))


@dataclass(frozen=True)
class Steps:
    """What rules read at N steps.

    Attributes:
        p, q: the distributions of both models, ``(N, V)``, float64, with the temperature where the placement says.
        places: which steps they are.
        total: how many steps there were to choose from.
    """

    p: Tensor
    q: Tensor
    places: list[StepId]
    total: int


def written(
    checkpoints: Checkpoints, prompts: Sequence[str], method: Method, temperature: float | None = EVALUATED_AT,
    new_tokens: int = NEW_TOKENS, seed: int = 0, chat: bool = False,
) -> Texts:  # fmt: skip
    """Replies that a method writes now, without filters.

    Args:
        temperature: of sampling; None: greedily.
        seed: of the first reply; the next has the next.
        chat: put the prompts through the chat template.
    """
    one_vocabulary(checkpoints)
    tokenizer, models = checkpoints.tokenizer, checkpoints.models
    if chat and not tokenizer.chat_template:
        raise ValueError("--chat needs a tokenizer with a chat template.")
    configuration = Configuration(
        "prompts", method.name, method.value, temperature=temperature, new_tokens=new_tokens, law=LAW_VERSION
    )
    if chat:
        ids = ids_of([render(tokenizer, [{"role": "user", "content": text}]) for text in prompts], tokenizer, tokenizer)
    else:
        ids = [list(tokenizer(text)["input_ids"]) for text in prompts]
    target, seeds = method.target("models", models.get("reference")), [seed + i for i in range(len(prompts))]
    out = HuggingFace(checkpoints).generate(
        ids, target, settings_of(configuration), seeds if temperature is not None else None, base=method.kind.base
    )
    rows = zip(ids, seeds, out.texts, strict=True)
    return Texts(configuration, tuple(Text(str(i), s, ask, list(x.ids)) for i, (ask, s, x) in enumerate(rows)))


def stored(
    folder: Path, checkpoints: Checkpoints, data: Path | None = None, tasks: Sequence[str] = (), along: str | None = None
) -> tuple[list[Texts], list[Configuration]]:  # fmt: skip
    """The replies of a folder of results, and the configurations left out because other models made them.

    Args:
        checkpoints: the models; only texts whose base and proxy have their fingerprints are taken.
        tasks: YAML files or import paths of tasks that are none of kad's own.
        along: only the texts of this method, a name or a label.

    Raises:
        ValueError: no results, none of these models or this method, or questions that have changed since.
    """
    one_vocabulary(checkpoints)
    configurations, rows, manifest = read(folder)
    marks, found, others = dict(checkpoints.fingerprints), list[Texts](), list[Configuration]()
    for key, c in configurations.items():
        own = [row for row in rows if row["key"] == key and row.get("ids")]
        if not own or along not in (None, c.method, c.of.label):
            continue
        if any(marks[role] != made for role, made in c.models if role in ("base", "proxy")):
            others.append(c)
            continue
        questions = questions_asked(c, manifest, data, tasks)
        items = {item.id: item for item in questions.items}
        found.append(Texts(c, tuple(text_of(row, questions, items, checkpoints, folder) for row in own)))
    if not found:
        why = f"{len(others)} configurations are of other models; give theirs" if others else "run kad eval first"
        what = "texts" if along is None else f"texts of the method {along}"
        raise ValueError(f"{folder} holds no {what} of these models ({why}).")
    return found, others


def one_vocabulary(checkpoints: Checkpoints) -> None:
    if checkpoints.proxy_tokenizer is not None:
        raise ValueError("kad gaps reads both models over the same tokens: choose a proxy with the base's tokenizer.")


def questions_asked(c: Configuration, manifest: dict[str, Any], data: Path | None, tasks: Sequence[str]) -> Questions:
    """The questions of a configuration, as the run had them: so many, of that part."""
    spec = next((spec for spec in tasks if task_of(spec, c.shuffle).name == c.task), c.task)
    seeds = manifest.get("asked", {}).get(c.key, {}).get("seeds", {})
    plan = Plan(
        (spec,), (Block((c.of,)),), max(seeds.values(), default=None), shots=c.shots, shuffle=c.shuffle,
        part=c.part or "all", template=c.template,
    )  # fmt: skip
    return questions_of(spec, plan, data)


def text_of(
    row: Line, questions: Questions, items: Mapping[str, Item], checkpoints: Checkpoints, folder: Path
) -> Text:  # fmt: skip
    """A stored reply with its prompt, made again."""
    item, aligned = items.get(row["item"]), checkpoints.aligned_tokenizer
    if item is None or questions.mark(aligned, item) != row["question"]:
        raise ValueError(
            f"question {row['item']} of {questions.task.name} is not the one that {folder} has a text for; give its --data."
        )
    ids = ids_of([questions.prompt(aligned, item)], checkpoints.tokenizer, aligned)[0]
    return Text(row["item"], row["seed"], ids, list(row["ids"]))


def steps(
    checkpoints: Checkpoints, texts: Texts, count: int | None = None, seed: int = 0, told: Callable[[], None] = lambda: None
) -> Steps:  # fmt: skip
    """p and q* at ``count`` steps of the texts, drawn without replacement (None: all of them), in their order.

    One full pass of both models over every text that has one of them; ``told`` is called after each.
    """
    every = [(i, step) for i, text in enumerate(texts.texts) for step in range(len(text.ids))]
    if count is not None:
        whole("the number of steps", count, 1)
    if not every:
        raise ValueError(f"the texts of {texts.label} have no steps.")
    drawn = every if count is None else sorted(random.Random(seed).sample(every, min(count, len(every))))
    p, q, places = list[Tensor](), list[Tensor](), list[StepId]()
    for i in sorted({i for i, _ in drawn}):
        text, wanted = texts.texts[i], [step for row, step in drawn if row == i]
        for rows, kept in zip(readings(checkpoints, texts.configuration, text), (p, q), strict=True):
            chosen = rows[wanted].double()
            kept.append(chosen / chosen.sum(-1, keepdim=True))  # float32's rounding, out of which a proof cannot see
        places += [(text.item, text.seed, step) for step in wanted]
        told()
    return Steps(torch.cat(p), torch.cat(q), places, len(every))


def readings(checkpoints: Checkpoints, c: Configuration, text: Text) -> tuple[Tensor, Tensor]:
    """What a rule reads of the base and the proxy at every step of a text, ``(steps, V)``, under its settings."""
    carrier = replace(dual(0.0), placement=c.placement)  # any mixture: only its placement is asked
    ids = torch.tensor([[*text.prompt, *text.ids[:-1]]])
    found = HuggingFace(checkpoints).score(ids, carrier, settings_of(c), start=len(text.prompt) - 1)
    return found.base.for_rule(carrier)[0].cpu(), found.proxy.for_rule(carrier)[0].cpu()
