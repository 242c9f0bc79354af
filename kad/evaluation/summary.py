"""What a store says: one line per configuration, and each method against another on the same questions.

Everything here is a function of the store's lines, so every number can be had again from them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..decoding.deferral import DeferralShare
from ..statistics import Rate, difference, holm, paired_p, rate
from .configuration import Configuration
from .doubts import deferral
from .schema import Line


@dataclass(frozen=True)
class Summary:
    """One configuration over its questions and seeds.

    Attributes:
        questions, seeds: how many; a question counts with as many seeds as it has answers.
        accuracy: the share of right answers with a 95% Wilson interval.
        answered: the share of texts with an answer in them.
        ended: the share of texts that ended by themselves.
        tokens: mean length.
        deferred: mean deferred mass α over all tokens; None if the target is not a mixture.
        acceptance: accepted over drafted tokens; None without drafts.
        tokens_per_pass: emitted tokens per row and pass of the base; None where the engine did not count.
        base_fed, proxy_fed: mean tokens fed to each model per question, prompt included; None likewise.
        tokens_per_second: over all batches, on the machine that ran them.
        unfilled: b − α of every position, for methods with a budget.
        answers: over all questions and seeds.
        wanted, planned: how many answers the runs asked for, and with how many seeds; None if that is not known.
        total: how many questions the data hold; None if that is not known.
        where: how much was deferred, by mass and by origin, and where in a text.

    `summaries` makes them.

    >>> c = Configuration("gsm8k", "p")
    >>> row = {"key": c.key, "seed": 0, "answer": "18", "alphas": [0.0, 0.0], "tokens": 2, "seconds": 0.1}
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
    tokens_per_pass: float | None
    base_fed: float | None
    proxy_fed: float | None
    tokens_per_second: float
    unfilled: tuple[float, ...]
    answers: int = 0
    wanted: int | None = None
    planned: int = 1
    total: int | None = None
    where: DeferralShare | None = None

    @property
    def complete(self) -> bool:
        """Whether everything that was asked for is answered, as far as it is known."""
        return self.wanted is None or self.answers >= self.wanted

    @property
    def size(self) -> str:
        """How many questions, of how many that were asked for, or that the data hold.

        >>> c = Configuration("gsm8k", "p")
        >>> row = {"key": c.key, "seed": 0, "item": "1", "answer": "18", "correct": True, "tokens": 2, "seconds": 0.1}
        >>> summaries({c.key: c}, [row], {c.key: {"of": 1319, "seeds": {"0": 20}}})[0].size
        '1 of 20'
        """
        if not self.complete and self.wanted is not None:
            return f"{self.answers} of {self.wanted}{' answers' if self.planned > 1 else ''}"
        if self.total is not None and self.questions < self.total:
            return f"{self.questions} of {self.total:,}"
        return str(self.questions)

    @property
    def more(self) -> str:
        """How many questions the data hold, where `size` does not say it; empty where it does."""
        unsaid = not self.complete and self.total is not None and self.total != self.wanted
        return f" (the data hold {self.total:,})" if unsaid else ""

    @property
    def shape(self) -> str:
        """Questions times seeds; where questions have unequally many, with the number of answers."""
        even = self.answers in (0, self.questions * self.seeds)
        return f"{self.questions}×{self.seeds}" + ("" if even else f" ({self.answers} answers)")

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the numbers of the report."""
        c, apart = self.configuration, ("configuration", "accuracy", "unfilled", "where")
        fields = {name: value for name, value in self.__dict__.items() if name not in apart}
        rest = sorted(self.unfilled)
        return {
            "key": c.key, "task": c.task, "method": c.of.label, "placement": c.placement, "window": c.window,
            "temperature": c.temperature, "filter": c.filtered, "shots": c.shots, "accuracy": self.accuracy.share,
            "low": self.accuracy.low, "high": self.accuracy.high, **fields,
            "unfilled_median": rest[len(rest) // 2] if rest else None, "complete": self.complete, "part": c.part,
            "new_tokens": c.new_tokens, "prompt": c.prompt, "template": dict(c.template),
            "engine": c.engine, "law": c.law, "protocol": c.protocol,
            "deferral": None if self.where is None else asdict(self.where),
        }  # fmt: skip


Answers = dict[str, dict[int, bool]]


def answers_of(rows: Iterable[Line]) -> Answers:
    """Question → seed → right."""
    found: Answers = defaultdict(dict)
    for row in rows:
        found[row["item"]][row["seed"]] = bool(row["correct"])
    return found


def summarise(configuration: Configuration, rows: Sequence[Line], asked: Mapping[str, Any]) -> Summary:
    """One configuration's line, of a row at least."""
    answers = answers_of(rows)
    alphas = [a for row in rows for a in row.get("alphas", ()) if a is not None]
    drafted, tokens = sum(r.get("drafted", 0) for r in rows), sum(r["tokens"] for r in rows)
    counted = [r for r in rows if "rounds" in r]  # other engines may not count
    rounds, n = sum(r["rounds"] for r in counted), len(counted)
    method, wanted = configuration.of, asked.get("seeds")
    budget = method.value if method.kind.budget and configuration.placement != "draws" else None
    return Summary(
        configuration, len(answers), len({row["seed"] for row in rows}), rate([list(own.values()) for own in answers.values()]),
        sum(r["answer"] is not None for r in rows) / len(rows),
        sum(r["tokens"] < configuration.new_tokens for r in rows) / len(rows),
        tokens / len(rows), sum(alphas) / len(alphas) if alphas else None,
        sum(r["accepted"] for r in rows) / drafted if drafted else None,
        sum(r["tokens"] for r in counted) / max(1, rounds) if counted else None,
        sum(r["base_fed"] for r in counted) / n if n else None, sum(r["proxy_fed"] for r in counted) / n if n else None,
        tokens / max(1e-9, sum(r["seconds"] for r in rows)),
        tuple(budget - a for a in alphas) if budget is not None else (),
        len(rows), sum(wanted.values()) if wanted else None, len(wanted or [0]), asked.get("of"), deferral(rows),
    )  # fmt: skip


def by_configuration(rows: Iterable[Line]) -> dict[str, list[Line]]:
    found: dict[str, list[Line]] = defaultdict(list)
    for row in rows:
        found[row["key"]].append(row)
    return found


def summaries(
    configurations: Mapping[str, Configuration], rows: Iterable[Line], asked: Mapping[str, Any] | None = None
) -> list[Summary]:
    """Every configuration that has answers, in the order of the store.

    Args:
        asked: how much was asked of each, from the manifest of the folder; with it a summary knows if it is complete.

    >>> import tempfile
    >>> from kad.checkpoints import load_checkpoints
    >>> from kad.evaluation import Block, Job, Method, Plan, Store, read, run
    >>> job = Job(Plan(("embedded",), (Block((Method("dual", 0.4),)),), count=4), load_checkpoints({}))
    >>> folder = tempfile.mkdtemp()
    >>> with Store(folder) as store:
    ...     _ = run(job, store)
    >>> [(s.configuration.of.label, s.questions) for s in summaries(*read(folder)[:2])]
    [('dual λ=0.4', 4)]
    """
    grouped = by_configuration(rows)
    return [
        summarise(c, grouped[key], (asked or {}).get(key, {})) for key, c in configurations.items() if key in grouped
    ]


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
    apart: dict[str, Any] = {
        "method": "",
        "value": None,
        "placement": "models",
        "models": (),
        "code": "",
        "settings": (),
    }
    if replace(a, **apart) != replace(b, **apart):
        return False
    for ours, theirs in ((dict(a.models), dict(b.models)), (dict(a.settings), dict(b.settings))):
        if any(ours[role] != theirs[role] for role in ours.keys() & theirs.keys()):
            return False
    return a.placement == b.placement or b.of.kind.alone


def paired(ours: Answers, theirs: Answers) -> tuple[list[list[bool]], list[list[bool]]]:
    """Both methods' answers to every question, with the seeds that they have in common there."""
    common = [(i, [s for s in own if s in theirs[i]]) for i, own in ours.items() if i in theirs]
    a, b = ([[answers[i][s] for s in seeds] for i, seeds in common if seeds] for answers in (ours, theirs))
    return a, b


def comparisons(
    configurations: Mapping[str, Configuration], rows: Iterable[Line], reference: str = "dual"
) -> list[Comparison]:
    """The reference (a method's name or label; of several values the first) against every other method.

    >>> comparisons({}, [])
    []
    """
    grouped = {key: answers_of(found) for key, found in by_configuration(rows).items()}
    label = next((c.of.label for c in configurations.values() if reference in (c.method, c.of.label)), None)
    answered = {key: c for key, c in configurations.items() if key in grouped}
    found = list[Comparison]()
    for other, theirs in answered.items():
        for key, ours in answered.items():
            if ours.of.label != label or theirs.of.label == label or not comparable(ours, theirs):
                continue
            a, b = paired(grouped[key], grouped[other])
            if len(a) < 2:
                continue
            mean, error = difference(a, b)
            found.append(Comparison(key, other, len(a), mean, error, paired_p(a, b), 1.0))
    return [replace(c, adjusted=p) for c, p in zip(found, holm([c.p for c in found]), strict=True)]
