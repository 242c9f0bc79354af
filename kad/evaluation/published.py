"""Published accuracies of the paper's methods on its pairs, beside a user's own where pair, task, method and protocol match.

They are those of the follow-up (arXiv 2604.16146) at temperature .7. Its averages were read from its pages; the numbers of
single tasks are second-hand, from notes about it whose averages agree with those.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .configuration import Configuration
from .presets import PRESETS
from .protocol import departures
from .summary import Summary
from .wording import Words, variant

AVERAGED = ("gsm8k", "math500", "svamp", "arc", "csqa")  # the tasks of the columns, and of the average behind them
AVERAGE = "average"
FIRST, SECOND = "read from its pages", "second-hand"
CITED = "arXiv 2604.16146, temperature .7"
ABOUT = (
    f"Published: {CITED}; averages are of {', '.join(AVERAGED)}, and were read from its pages. Numbers marked second-hand come from notes "
    "about it whose averages agree with those. Its implicit reward is set beside β = 1; which β it had is not known here."
)

Row = tuple[float | None, ...]
UNKNOWN: Row = (None,) * len(AVERAGED)
NUMBERS: dict[str, dict[str, Row]] = {
    "olmo2": {
        "p": (54.5, 9.4, 57.6, 29.6, 19.4, 34.1), "q*": (62.5, 16.4, 70.3, 43.8, 48.4, 48.2),
        "implicit-reward β=1": (58.4, 18.2, 73.0, 63.3, 55.8, 53.7), "nudging λ=0.4": (*UNKNOWN, 50.2),
        "dual λ=0.4": (72.3, 23.4, 75.3, 61.9, 55.6, 57.7), "confidence-bet m=0": (*UNKNOWN, 56.0),
        "confidence-bet m=0.1": (*UNKNOWN, 58.4), "confidence-bet m=0.2": (71.7, 26.4, 79.0, 62.6, 54.9, 58.9),
        "p*": (84.3, 39.6, 87.6, 82.5, 76.9, 74.1),
    },
    "qwen3": {
        "p": (75.5, 51.8, 80.0, 86.6, 76.9, 74.1), "q*": (75.3, 53.0, 86.6, 82.9, 68.7, 73.3),
        "implicit-reward β=1": (80.7, 60.6, 89.0, 88.9, 78.1, 79.4), "nudging λ=0.4": (*UNKNOWN, 78.7),
        "dual λ=0.4": (81.7, 60.6, 87.3, 91.5, 80.7, 80.3), "confidence-bet m=0": (*UNKNOWN, 78.4),
        "confidence-bet m=0.1": (*UNKNOWN, 79.9), "confidence-bet m=0.2": (82.1, 61.6, 89.3, 90.5, 79.3, 80.5),
        "p*": (82.4, 64.0, 88.3, 93.8, 83.1, 82.3),
    },
}  # fmt: skip


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


def number(pair: str, method: str, task: str) -> tuple[float, str] | None:
    """A published accuracy in percent and how sure it is; None where none is known.

    >>> number("qwen3", "dual λ=0.4", "csqa"), number("qwen3", "nudging λ=0.4", "csqa")
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
        known = number(pair, label, c.task)
        if known is not None:
            share, low, high = (100 * x for x in (s.accuracy.share, s.accuracy.low, s.accuracy.high))
            found.append(Beside(c.task, label, setting, share, low, high, *known))
    return found + [
        line for (pair, label, setting), own in averages.items() for line in average(pair, label, setting, own)
    ]


def average(pair: str, label: str, setting: str, own: Sequence[Summary]) -> list[Beside]:
    """The average over the tasks, if they are all there and one is published."""
    shares = {s.configuration.task: s.accuracy.share for s in own}
    known = number(pair, label, AVERAGE)
    if known is None or not set(AVERAGED) <= set(shares):
        return []
    mean = 100 * sum(shares[task] for task in AVERAGED) / len(AVERAGED)
    return [Beside(AVERAGE, label, setting, mean, None, None, *known)]
