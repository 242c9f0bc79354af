"""Running methods of decoding over held-out problems, and the statistics of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..decoding.generate import generate
from ..mixture import (
    Base,
    Placement,
    Target,
    confidence_bet,
    dual,
    fractional,
    implicit_reward,
    nudging,
    primal,
)
from . import Pair
from .answers import extract, extract_strictly
from .problems import Problem, prompt

TEMPERATURE, NEW_TOKENS, FILTER = 0.7, 72, 0.3
Make = Callable[[Pair, Placement], Target]


@dataclass(frozen=True)
class Method:
    """A way of decoding: which model takes the place of the base, and the target.

    Attributes:
        name: as the tables print it.
        make: the target for a placement of the temperature.
        base: attribute of `Pair`.
        single: one model alone, for which the placement makes no difference.
    """

    name: str
    make: Make
    base: str = "base"
    single: bool = False


METHODS = [
    Method("p (large base)", lambda pair, at: Base(), single=True),
    Method("q* (small aligned)", lambda pair, at: Base(), base="proxy", single=True),
    Method("nudging .4", lambda pair, at: nudging(0.4, at)),
    Method("implicit reward", lambda pair, at: implicit_reward(pair.proxy_base, placement=at)),
    Method("dual .4", lambda pair, at: dual(0.4, at)),
    Method("primal .9", lambda pair, at: primal(0.9, at)),
    Method("fractional .9", lambda pair, at: fractional(0.9, at)),
    Method("confidence bet .1", lambda pair, at: confidence_bet(0.1, at)),
    Method("p* (large aligned)", lambda pair, at: Base(), base="base_aligned", single=True),
]
MORE_METHODS = [
    Method("dual .3", lambda pair, at: dual(0.3, at)),
    Method("dual .5", lambda pair, at: dual(0.5, at)),
    Method("primal .6", lambda pair, at: primal(0.6, at)),
    Method("fractional .6", lambda pair, at: fractional(0.6, at)),
    Method("confidence bet 0", lambda pair, at: confidence_bet(0.0, at)),
    Method("confidence bet .2", lambda pair, at: confidence_bet(0.2, at)),
]


@dataclass(frozen=True)
class Run:
    """One method over all problems with one seed.

    Attributes:
        method, placement, window, seed: what was run; ``seed`` is None for greedy decoding.
        filtered: under the common truncation filter (min-p .3 on every model).
        correct, strict: per problem.
        seconds: wall time.
        totals: the trace's summary.
    """

    method: str
    placement: str
    window: int
    seed: int | None
    filtered: bool
    correct: list[bool]
    strict: list[bool]
    seconds: float
    totals: dict[str, Any]


def run(
    pair: Pair,
    method: Method,
    problems: Sequence[Problem],
    *,
    placement: Placement = "models",
    window: int = 0,
    seed: int | None = None,
    filtered: bool = False,
) -> Run:
    """Decode every problem in one batch and score it."""
    options: dict[str, Any] = {"max_new_tokens": NEW_TOKENS}
    if seed is not None:
        options |= {"do_sample": True, "temperature": TEMPERATURE}
        if filtered:
            options["min_p"] = FILTER
    start = time.perf_counter()
    out = generate(
        getattr(pair, method.base), pair.proxy, [prompt(problem) for problem in problems],
        target=method.make(pair, placement), tokenizer=pair.tokenizer, window=window, seed=seed, **options,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    texts = pair.tokenizer.batch_decode(out.trace.emitted, skip_special_tokens=True)
    return Run(
        method.name, placement, window, seed, filtered,
        [extract(t) == p.answer for t, p in zip(texts, problems, strict=True)],
        [extract_strictly(t) == p.answer for t, p in zip(texts, problems, strict=True)],
        seconds, out.trace.summary(),
    )  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """Everything that one demo runs."""

    runs: list[tuple[Method, dict[str, Any]]]

    @staticmethod
    def of(seeds: Sequence[int], windows: Sequence[int] = (3, 5, 7), full: bool = False) -> Plan:
        methods = METHODS[:-1] + (MORE_METHODS if full else []) + METHODS[-1:]
        runs: list[tuple[Method, dict[str, Any]]] = []
        for filtered in (False, True) if full else (False,):
            for method in methods:
                for placement in ("models",) if method.single else ("models", "mixture"):
                    runs += [(method, {"placement": placement, "seed": s, "filtered": filtered}) for s in seeds]
        runs += [(method, {}) for method in methods]  # greedy
        speculative = [m for m in methods if m.base == "base"]
        runs += [(m, {"window": w, "seed": seeds[0]}) for m in speculative for w in windows]
        return Plan(runs)


def records(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """The runs, ready for JSON: outcomes as strings of 0 and 1, one character per problem."""
    out = []
    for one in runs:
        row = asdict(one)
        for key in ("correct", "strict"):
            row[key] = "".join("1" if x else "0" for x in row[key])
        out.append(row)
    return out
