"""The models that a page plays with, and what becomes of a question: several answers, round by round in turn."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any, get_args

from ..checkpoints import Checkpoints
from ..decoding.pair import Pair
from ..defaults import EVALUATED_AT, WINDOW
from ..demo.problems import draw_from
from ..errors import said
from ..evaluation.methods import methods_of
from ..evaluation.own import LOSSES
from ..kinds import KINDS, Kind
from ..target import Placement
from .asked import HOTTEST, MOST_COLUMNS, MOST_DRAFTS, OFFERED, Column, Question
from .watched import Event, Watched

EMBEDDED_TOKENS = 100  # of an answer, if nobody says: these models were trained on texts of 256


@dataclass
class Stage:
    """Models by role, and the pairs that methods make of them.

    Attributes:
        checkpoints: the models.
        most: new tokens of an answer.
        embedded: whether these are the models that kad brings, which want problems of their own kind.
    """

    checkpoints: Checkpoints
    most: int
    embedded: bool = False
    pairs: dict[str, Pair] = field(default_factory=dict, init=False, repr=False)

    def pair(self, kind: Kind) -> Pair:
        """The pair in which a method's base stands in the base's place.

        Raises:
            ValueError: a model that the method needs was not given.
        """
        models, role = self.checkpoints.models, kind.base
        for needed in (role, kind.needs):
            if needed is not None and needed not in models:
                raise ValueError(f"the method needs the model {needed!r}: start again with --{needed}.")
        if role not in self.pairs:
            tokenizer, own = self.checkpoints.tokenizer_of(role), self.checkpoints.proxy_tokenizer
            self.pairs[role] = Pair(models[role], models["proxy"], tokenizer, None if own is tokenizer else own)
        return self.pairs[role]

    def begin(self, question: Question, column: Column) -> Watched:
        """One method's answer before its first round: the same tokens as `kad.generate` writes with these options."""
        pair = self.pair(column.method.kind)
        target = column.method.target(column.placement, self.checkpoints.models.get("reference"))
        options = {"seed": question.seed, "max_new_tokens": question.new_tokens, **column.drawing}
        return Watched(pair, pair.begin(question.prompt, target, window=column.window, **options))

    def answers(self, question: Question) -> Iterator[Event]:
        """What happens to a question, as events of the columns ``k``: tokens and totals, then looks back, then the end.

        What one method cannot do is an event of its own, and the others go on.
        """
        begun = dict[int, Watched]()
        for k, column in enumerate(question.columns):
            try:
                begun[k] = self.begin(question, column)
                yield {"type": "begun", "k": k, "label": column.method.label}
            except Exception as error:
                yield failed(k, error)
        going = {k: watched.events() for k, watched in begun.items()}
        yield from in_turn(going, begun)
        for k, watched in begun.items():
            yield from in_turn({k: watched.looks()}, {}, "unread", "looked")
        yield {"type": "end"}

    @functools.cached_property
    def about(self) -> Event:
        """What a page offers: models, methods with their parameters, losses and solvers, and bounds."""
        models, described = self.checkpoints.models, self.checkpoints.described
        methods = {
            name: offer(kind)
            for name, kind in KINDS.items()
            if kind.base in models and (kind.needs is None or kind.needs in models)
        }
        return {
            "models": [{"role": role, "name": one.name, "parameters": one.parameters} for role, one in described.items()],
            "embedded": self.embedded, "methods": methods, "losses": list(LOSSES),
            "solvers": {name: offer(way) | {"losses": losses_of(name)} for name, way in OFFERED.items()},
            "placements": list(get_args(Placement)), "most": self.most,
            "tokens": min(self.most, EMBEDDED_TOKENS if self.embedded else self.most), "columns": MOST_COLUMNS, "drafts": MOST_DRAFTS,
            "hottest": HOTTEST, "chat": bool(self.checkpoints.aligned_tokenizer.chat_template),
            "window": WINDOW, "temperature": EVALUATED_AT,
        }  # fmt: skip

    def example(self, number: int) -> str:
        """A question that the embedded pair was made for, none of those that it was trained on."""
        return draw_from(Random(f"play-{number}"), "dev").text


def in_turn(
    going: dict[int, Iterator[Event]], begun: dict[int, Any], failure: str = "failed", end: str | None = None
) -> Iterator[Event]:
    """One event of each at a time, until none has any; who fails is told of, and no longer in ``begun``."""
    while going:
        for k, events in list(going.items()):
            try:
                yield {"k": k, **next(events)}
            except StopIteration:
                del going[k]
                if end is not None:
                    yield {"type": end, "k": k}
            except Exception as error:
                del going[k]
                begun.pop(k, None)
                yield failed(k, error, failure)


def failed(k: int, error: Exception, failure: str = "failed") -> Event:
    return {"type": failure, "k": k, "sentence": said(error)}


def offer(kind: Kind) -> Event:
    """A method, or a solver, as a page offers it."""
    default = 0.5 if kind.default is None and kind.parameter else kind.default
    return {"about": kind.about, "parameter": kind.parameter, "default": default, "range": list(kind.range)}


def losses_of(solver: str) -> list[str]:
    """The losses that a solver takes: a threshold wants one that falls strictly with p."""
    found = []
    for loss in LOSSES:
        try:
            methods_of(f"{loss}*{solver}:0.5")
        except ValueError:
            continue
        found.append(loss)
    return found
