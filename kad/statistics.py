"""Shares with intervals, and differences of methods on the same questions.

Several answers to one question (one per sampling seed) are not independent, so the question is the unit everywhere.
SciPy computes what has a name; it is imported when something is asked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Rate:
    """A share with its 95% interval."""

    share: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{100 * self.share:.1f} [{100 * self.low:.0f}-{100 * self.high:.0f}]"


def clustered(samples: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Mean and standard error over questions, of values given per seed and question.

    Answers of several seeds to one question are not independent, so the question is the unit.
    """
    import numpy as np

    per_question = np.mean(np.asarray(samples, dtype=float), axis=0)
    n = len(per_question)
    return float(per_question.mean()), float(per_question.std(ddof=1) / math.sqrt(n)) if n > 1 else math.inf


def rate(samples: Sequence[Sequence[bool]]) -> Rate:
    """The share of correct answers, given per seed and question, with a Wilson interval; see `rate_of`."""
    return rate_of(list(zip(*samples, strict=True)))


def rate_of(answers: Sequence[Sequence[bool]]) -> Rate:
    """The share of correct answers, given per question, with a Wilson interval on the number of answers that they amount to.

    Every question counts once, with the mean of its own answers: some may have more of them than others.

    >>> print(rate_of([[True, False], [True], [True]]))
    83.3 [30-95]
    """
    means, total = means_of(answers), sum(len(own) for own in answers)
    share, error = clustered([means])
    questions = len(means)
    n = questions
    if error > 0 and 0 < share < 1:  # as many independent answers as would have this standard error
        n = min(total, max(questions, round(share * (1 - share) / error**2)))
    interval = wilson(share, n)
    return Rate(share, *interval)


def wilson(share: float, n: int) -> tuple[float, float]:
    """The 95% interval of a share of n answers."""
    from scipy.stats import binomtest

    interval = binomtest(round(share * n), n).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def means_of(answers: Sequence[Sequence[float]]) -> list[float]:
    """Every question's mean."""
    import numpy as np

    return [float(np.mean(np.asarray(own, dtype=float))) for own in answers]


def difference(ours: Sequence[Sequence[bool]], theirs: Sequence[Sequence[bool]]) -> tuple[float, float]:
    """Mean difference and its standard error, of answers given per seed and question, paired by question."""
    return difference_of(list(zip(*ours, strict=True)), list(zip(*theirs, strict=True)))


def difference_of(ours: Sequence[Sequence[bool]], theirs: Sequence[Sequence[bool]]) -> tuple[float, float]:
    """`difference`, of answers given per question, as many of one method as of the other.

    >>> difference_of([[True, True], [False]], [[True, False], [False]])
    (0.25, 0.25)
    """
    return clustered([[a - b for a, b in zip(means_of(ours), means_of(theirs), strict=True)]])


def paired_p(ours: Sequence[Sequence[bool]], theirs: Sequence[Sequence[bool]], resamples: int = 9999) -> float:
    """The two-sided p-value of no difference, of answers given per seed and question; see `paired_p_of`.

    >>> paired_p([[True] * 10], [[False] * 10])
    0.001953125
    """
    return paired_p_of(list(zip(*ours, strict=True)), list(zip(*theirs, strict=True)), resamples)


def paired_p_of(ours: Sequence[Sequence[bool]], theirs: Sequence[Sequence[bool]], resamples: int = 9999) -> float:
    """The two-sided p-value of no difference: of one answer a question McNemar's exact test, of several a permutation test.

    Answers are given per question, as many of one method as of the other. The permutation swaps both methods' answers to a
    question, all seeds at once; seeded, so that it is reproducible.

    >>> paired_p_of([[True]] * 10, [[False]] * 10)
    0.001953125
    """
    import numpy as np
    from scipy.stats import binomtest, permutation_test

    a, b = np.asarray(means_of(ours)), np.asarray(means_of(theirs))
    better, worse = int((a > b).sum()), int((a < b).sum())
    if better + worse == 0:
        return 1.0
    if all(len(own) == 1 for own in (*ours, *theirs)):
        return float(binomtest(better, better + worse).pvalue)

    def mean_difference(x: np.ndarray, y: np.ndarray, axis: int) -> np.ndarray:
        return np.asarray((x - y).mean(axis))

    found = permutation_test(
        (a, b), mean_difference, permutation_type="samples", vectorized=True, n_resamples=resamples,
        rng=np.random.default_rng(0), batch=500,
    )  # fmt: skip
    return float(found.pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for their number (Holm 1979): below 0.05 all at once with a chance of 5% for one false alarm.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted
