"""What a store says: one line per configuration, and each method against another on the same questions.

Everything here is a function of the store's lines, so every number can be had again from them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..statistics import Rate, difference, holm, paired_p, rate
from .plan import Configuration
from .schema import Line

REFERENCE = "dual"


@dataclass(frozen=True)
class Summary:
    """One configuration over its questions and seeds.

    Attributes:
        questions, seeds: how many; only questions that were answered with every seed count.
        accuracy: the share of right answers with a 95% Wilson interval.
        answered: the share of texts with an answer in them.
        ended: the share of texts that ended by themselves.
        tokens: mean length.
        deferred: mean deferred mass α over all tokens; None if the target is not a mixture.
        acceptance: accepted over drafted tokens; None without drafts.
        tokens_per_pass: emitted tokens per row and pass of the base.
        base_fed, proxy_fed: mean tokens fed to each model per question, prompt included.
        tokens_per_second: over all batches, on the machine that ran them.
        unfilled: b − α of every position, for methods with a budget.

    `summaries` makes them.

    >>> c = Configuration("gsm8k", "p")
    >>> row = {"key": c.key, "seed": 0, "answer": "18", "alphas": [0.0, 0.0], "tokens": 2, "rounds": 2, "drafted": 0}
    >>> row |= {"accepted": 0, "base_fed": 9, "proxy_fed": 0, "seconds": 0.1}
    >>> rows = [row | {"item": str(i), "correct": i < 3} for i in range(4)]
    >>> print(summaries({c.key: c}, rows)[0].accuracy)
    75.0 [30-95]
    """

    configuration: Configuration
    questions: int
    seeds: int
    accuracy: Rate
    answered: float
    ended: float
    tokens: float
    deferred: float | None
    acceptance: float | None
    tokens_per_pass: float
    base_fed: float
    proxy_fed: float
    tokens_per_second: float
    unfilled: tuple[float, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the numbers of the report."""
        c, fields = self.configuration, dict(self.__dict__)
        for name in ("configuration", "accuracy", "unfilled"):
            fields.pop(name)
        rest = sorted(self.unfilled)
        return {
            "key": c.key, "task": c.task, "method": c.of.label, "placement": c.placement, "window": c.window,
            "temperature": c.temperature, "filter": c.filtered, "shots": c.shots, "accuracy": self.accuracy.share,
            "low": self.accuracy.low, "high": self.accuracy.high, **fields,
            "unfilled_median": rest[len(rest) // 2] if rest else None,
        }  # fmt: skip


Answers = dict[int, dict[str, bool]]


def answers_by_seed(rows: Iterable[Line]) -> Answers:
    """Seed → question → right, over the questions that have an answer for every seed."""
    found: Answers = defaultdict(dict)
    for row in rows:
        found[row["seed"]][row["item"]] = bool(row["correct"])
    everywhere = set.intersection(*(set(answers) for answers in found.values())) if found else set()
    return {seed: {i: r for i, r in found[seed].items() if i in everywhere} for seed in sorted(found)}


def samples(answers: Answers, items: Sequence[str]) -> list[list[bool]]:
    return [[answers[seed][item] for item in items] for seed in answers]


def summarise(configuration: Configuration, rows: Sequence[Line]) -> Summary | None:
    """One configuration's line; None if no question has an answer for every seed."""
    answers = answers_by_seed(rows)
    items = list(next(iter(answers.values()))) if answers else []
    if not items:
        return None
    wanted = set(items)
    rows = [row for row in rows if row["item"] in wanted]
    alphas = [a for row in rows for a in row["alphas"] if a is not None]
    drafted, tokens = sum(r["drafted"] for r in rows), sum(r["tokens"] for r in rows)
    method = configuration.of
    budget = method.value if method.kind.budget and configuration.placement != "draws" else None
    return Summary(
        configuration, len(items), len(answers), rate(samples(answers, items)),
        sum(r["answer"] is not None for r in rows) / len(rows),
        sum(r["tokens"] < configuration.new_tokens for r in rows) / len(rows),
        tokens / len(rows), sum(alphas) / len(alphas) if alphas else None,
        sum(r["accepted"] for r in rows) / drafted if drafted else None,
        tokens / max(1, sum(r["rounds"] for r in rows)),
        sum(r["base_fed"] for r in rows) / len(rows), sum(r["proxy_fed"] for r in rows) / len(rows),
        tokens / max(1e-9, sum(r["seconds"] for r in rows)),
        tuple(budget - a for a in alphas) if budget is not None else (),
    )  # fmt: skip


def by_configuration(rows: Iterable[Line]) -> dict[str, list[Line]]:
    found: dict[str, list[Line]] = defaultdict(list)
    for row in rows:
        found[row["key"]].append(row)
    return found


def summaries(configurations: Mapping[str, Configuration], rows: Iterable[Line]) -> list[Summary]:
    """Every configuration that has answers, in the order of the store.

    >>> import tempfile
    >>> from kad.checkpoints import load
    >>> from kad.evaluation import Block, Job, Method, Plan, Store, read, run
    >>> job = Job(Plan(("embedded",), (Block((Method("dual", 0.4),)),), count=4), load({}))
    >>> folder = tempfile.mkdtemp()
    >>> with Store(folder) as store:
    ...     _ = run(job, store)
    >>> [(s.configuration.of.label, s.questions) for s in summaries(*read(folder)[:2])]
    [('dual λ=0.4', 4)]
    """
    grouped = by_configuration(rows)
    found = [summarise(c, grouped[key]) for key, c in configurations.items() if key in grouped]
    return [summary for summary in found if summary is not None]


@dataclass(frozen=True)
class Comparison:
    """The reference method against another, on the questions that both have answered and under the same settings.

    Attributes:
        key, against: the reference's and the other's configuration.
        questions: in common.
        difference, error: mean difference of accuracy (reference minus other) and its standard error, with the question as the unit.
        p: of McNemar's exact test (one seed) or of a permutation test.
        adjusted: p after Holm, for all comparisons of the report.

    >>> c = Comparison("0123", "4567", questions=400, difference=0.12, error=0.014, p=0.0002, adjusted=0.003)
    >>> f"{100 * c.difference:+.1f} ± {100 * c.error:.1f}"
    '+12.0 ± 1.4'
    """

    key: str
    against: str
    questions: int
    difference: float
    error: float
    p: float
    adjusted: float


def comparable(a: Configuration, b: Configuration) -> bool:
    """Whether two methods ran under the same settings; one model alone stands for every placement."""
    same = ("task", "window", "temperature", "filtered", "shots", "shuffle", "new_tokens")
    if any(getattr(a, name) != getattr(b, name) for name in same):
        return False
    ours, theirs = dict(a.models), dict(b.models)
    shared = ours.keys() & theirs.keys()
    return all(ours[role] == theirs[role] for role in shared) and (a.placement == b.placement or b.of.kind.alone)


def comparisons(
    configurations: Mapping[str, Configuration], rows: Iterable[Line], reference: str = REFERENCE
) -> list[Comparison]:
    """The reference (a method's name or label; of several values the first) against every other method.

    >>> comparisons({}, [])
    []
    """
    grouped = {key: answers_by_seed(found) for key, found in by_configuration(rows).items()}
    label = next((c.of.label for c in configurations.values() if reference in (c.method, c.of.label)), None)
    answered = {key: c for key, c in configurations.items() if key in grouped}
    found = list[Comparison]()
    for other, theirs in answered.items():
        for key, ours in answered.items():
            if ours.of.label != label or theirs.of.label == label or not comparable(ours, theirs):
                continue
            seeds = [s for s in grouped[key] if s in grouped[other]]
            items = [i for i in grouped[key][seeds[0]] if i in grouped[other][seeds[0]]] if seeds else []
            if len(items) < 2:
                continue
            a, b = (samples({s: grouped[x][s] for s in seeds}, items) for x in (key, other))
            mean, error = difference(a, b)
            found.append(Comparison(key, other, len(items), mean, error, paired_p(a, b), 1.0))
    return [replace(c, adjusted=p) for c, p in zip(found, holm([c.p for c in found]), strict=True)]
