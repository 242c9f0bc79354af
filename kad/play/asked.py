"""What a visitor asks for: read from JSON of a stranger, and refused in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from ..checks import number, seed, whole
from ..decoding.window import AutoWindow
from ..evaluation.methods import Method, methods_of
from ..evaluation.own import LOSSES, WAYS
from ..kinds import KINDS
from ..target import Placement, check_placement

MOST_COLUMNS, MOST_CHARACTERS, MOST_DRAFTS, HOTTEST = 4, 20_000, 32, 5.0
OFFERED = {name: way for name, way in WAYS.items() if name != "or-tools"}  # which is there for comparison, and an extra


@dataclass(frozen=True)
class Column:
    """One method, and how it is drawn from.

    Attributes:
        method: what is sampled.
        placement: where the temperature enters.
        window: γ, or auto.
        temperature: 0 is greedy.
    """

    method: Method
    placement: Placement
    window: Any
    temperature: float

    @property
    def drawing(self) -> dict[str, Any]:
        """As options of `kad.generate`; what is not in it comes from the aligned model's settings."""
        return {"do_sample": True, "temperature": self.temperature} if self.temperature else {"do_sample": False}


@dataclass(frozen=True)
class Question:
    """What is asked of every column.

    Attributes:
        prompt: a text, or the messages of a chat.
        columns: the methods side by side.
        seed: of each.
        new_tokens: at most.
    """

    prompt: str | list[dict[str, str]]
    columns: list[Column]
    seed: int
    new_tokens: int


def question_of(told: object, most: int) -> Question:
    """A visitor's question.

    Args:
        told: what came as JSON.
        most: the longest answer that is allowed.

    Raises:
        ValueError: what is wrong with it, in one sentence.

    >>> column = {"method": "dual", "value": 0.3}
    >>> question_of({"prompt": "2 + 2 ?", "columns": [column]}, 100).columns[0].method.label
    'dual λ=0.3'
    >>> question_of({"prompt": " ", "columns": [column]}, 100)
    Traceback (most recent call last):
    ValueError: the prompt is empty.
    """
    asked = fields_told(told, "a question", "prompt", "chat", "system", "columns", "seed", "new_tokens")
    columns = asked.get("columns")
    if not isinstance(columns, list) or not 1 <= len(columns) <= MOST_COLUMNS:
        raise ValueError(f"a question has one to {MOST_COLUMNS} methods.")
    text, system = text_under(asked, "prompt"), text_under(asked, "system")
    if not text.strip():
        raise ValueError("the prompt is empty.")
    head = [{"role": "system", "content": system}] if system.strip() else []
    if head and asked.get("chat") is not True:
        raise ValueError("a system prompt needs the chat template; turn it on, or leave the system prompt out.")
    tokens = whole("the number of new tokens", asked.get("new_tokens", most), 1)
    if tokens > most:
        raise ValueError(f"at most {most} new tokens are written here, got {tokens}.")
    return Question(
        [*head, {"role": "user", "content": text}] if asked.get("chat") is True else text,
        [column_of(column) for column in columns], seed(asked.get("seed", 0), "the seed"), tokens,
    )  # fmt: skip


def column_of(told: object) -> Column:
    """One method; errors as for `question_of`."""
    asked = fields_told(told, "a method", "method", "loss", "solver", "value", "placement", "window", "temperature")
    placement = asked.get("placement", get_args(Placement)[0])
    check_placement(placement)
    window = asked.get("window", 0)
    if window != "auto" and whole("the window", window, 0) > MOST_DRAFTS:
        raise ValueError(f"the window must be at most {MOST_DRAFTS} drafts, got {window}.")
    temperature = number("the temperature", asked.get("temperature", 0.0), 0, HOTTEST)
    return Column(method_of(asked), placement, AutoWindow() if window == "auto" else window, temperature)


def method_of(asked: Mapping[str, Any]) -> Method:
    """A method of kad's, or one of kad's losses with one of its solvers: no import path, which a page must not name."""
    name = asked.get("method")
    if name == "mixture":
        pair = [
            choice_of(what, asked.get(what), list(offered)) for what, offered in (("loss", LOSSES), ("solver", OFFERED))
        ]
        name, takes = "*".join(pair), True
    else:
        name = choice_of("method", name, [*KINDS, "mixture"])
        takes = KINDS[name].parameter is not None
    if not takes or asked.get("value") is None:
        return methods_of(name)[0]
    return methods_of(f"{name}:{number('the value of ' + name, asked['value'])!r}")[0]


def choice_of(what: str, name: object, offered: list[str]) -> str:
    if not isinstance(name, str) or name not in offered:
        raise ValueError(f"the {what} is one of {', '.join(offered)}, got {short(name)}.")
    return name


def fields_told(told: object, what: str, *names: str) -> dict[str, Any]:
    """A mapping that has none but these names."""
    if not isinstance(told, dict):
        raise ValueError(f"{what} is a mapping of names to values, got {short(told)}.")
    if strange := [name for name in told if name not in names]:
        raise ValueError(f"{what} has no {short(strange[0])}; it has {', '.join(names)}.")
    return told


def text_under(asked: Mapping[str, Any], name: str) -> str:
    text = asked.get(name) or ""
    if not isinstance(text, str):
        raise ValueError(f"the {name} must be a text, got {short(text)}.")
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"the {name} has {len(text):,} characters; at most {MOST_CHARACTERS:,} are read here.")
    return text


def short(value: object) -> str:
    """What was given, as far as a sentence has room for it."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
