"""Published accuracies of the paper's methods on its pairs, beside a user's own where pair, task, method and protocol match.

They are those of the follow-up (arXiv 2604.16146) at temperature .7. Its averages were read from its pages; the numbers of
single tasks are second-hand, from notes about it whose averages agree with those.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .configuration import Configuration
from .presets import PRESETS
from .protocol import departures
from .summary import Summary
from .wording import Words, variant

AVERAGED = ("gsm8k", "math500", "svamp", "arc", "csqa")  # the tasks of the columns, and of the average behind them
AVERAGE = "average"
FIRST, SECOND = "read from its pages", "second-hand"
NUMBERS = json.loads(Path(__file__).with_name("published.json").read_text(encoding="utf-8"))  # by pair and method


@dataclass(frozen=True)
class Beside:
    """A published number and a user's own.

    Attributes:
        task: its name, or `AVERAGE`.
        method, setting: of the user's own.
        own: the accuracy in percent; ``low`` and ``high`` are its interval, None for an average.
        published: the same in percent.
        sure: how the published number was come by: `FIRST` or `SECOND`.
    """

    task: str
    method: str
    setting: str
    own: float
    low: float | None
    high: float | None
    published: float
    sure: str


def accuracy_of(pair: str, method: str, task: str) -> tuple[float, str] | None:
    """A published accuracy in percent and how sure it is; None where none is known.

    >>> accuracy_of("qwen3", "dual λ=0.4", "csqa"), accuracy_of("qwen3", "nudging λ=0.4", "csqa")
    ((80.7, 'second-hand'), None)
    """
    columns = dict(zip((*AVERAGED, AVERAGE), NUMBERS.get(pair, {}).get(method, ()), strict=False))
    found = columns.get(task)
    return None if found is None else (found, FIRST if task == AVERAGE else SECOND)


def pair_of(c: Configuration, names: Mapping[tuple[str, str], str]) -> str | None:
    """The paper's pair that a result's models are, by their names; ``names`` by role and fingerprint."""
    own = {role: names.get((role, mark), "").rstrip("/").split("/")[-1] for role, mark in c.models}
    for pair, preset in PRESETS.items():
        if own and all(name and name == preset.places.get(role, "").split("/")[-1] for role, name in own.items()):
            return pair
    return None


def names_of(manifest: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    """What the models of a folder are called, by role and fingerprint."""
    return {
        (role, model.get("fingerprint", "")): str(model.get("name", ""))
        for session in manifest.get("sessions", [])
        for role, model in session.get("models", {}).items()
    }


def beside(lines: Iterable[Summary], manifest: Mapping[str, Any], words: Words | None = None) -> list[Beside]:
    """Every result of the paper's protocol and settings that has a published one, then the averages of those that have all tasks.

    A result of kad's own protocol never stands beside a published one.
    """
    names, found = names_of(manifest), list[Beside]()
    averages = dict[tuple[str, str, str], list[Summary]]()
    for s in lines:
        c = s.configuration
        pair = pair_of(c, names)
        if pair is None or c.protocol != "paper" or departures(c) or not s.complete:
            continue
        setting, label = variant(c, words), c.of.label
        averages.setdefault((pair, label, setting), []).append(s)
        known = accuracy_of(pair, label, c.task)
        if known is not None:
            share, low, high = (100 * x for x in (s.accuracy.share, s.accuracy.low, s.accuracy.high))
            found.append(Beside(c.task, label, setting, share, low, high, *known))
    for place, own in averages.items():
        found += average(*place, own)
    return found


def average(pair: str, label: str, setting: str, own: Sequence[Summary]) -> list[Beside]:
    """The average over the tasks, if they are all there and one is published."""
    shares = {s.configuration.task: s.accuracy.share for s in own}
    known = accuracy_of(pair, label, AVERAGE)
    if known is None or not set(AVERAGED) <= set(shares):
        return []
    mean = 100 * sum(shares[task] for task in AVERAGED) / len(AVERAGED)
    return [Beside(AVERAGE, label, setting, mean, None, None, *known)]
