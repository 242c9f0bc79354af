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
    """The share of correct answers with a Wilson interval on the number of answers that the seeds amount to."""
    from scipy.stats import binomtest

    share, error = clustered([[float(x) for x in row] for row in samples])
    questions = len(samples[0])
    n = questions
    if error > 0 and 0 < share < 1:  # as many independent answers as would have this standard error
        n = min(len(samples) * questions, max(questions, round(share * (1 - share) / error**2)))
    interval = binomtest(round(share * n), n).proportion_ci(0.95, method="wilson")
    return Rate(share, float(interval.low), float(interval.high))


def difference(ours: Sequence[Sequence[bool]], theirs: Sequence[Sequence[bool]]) -> tuple[float, float]:
    """Mean difference and its standard error, paired by question."""
    return clustered(
        [[float(a) - float(b) for a, b in zip(x, y, strict=True)] for x, y in zip(ours, theirs, strict=True)]
    )


def paired_p(ours: Sequence[Sequence[bool]], theirs: Sequence[Sequence[bool]], resamples: int = 9999) -> float:
    """The two-sided p-value of no difference: of one answer a question McNemar's exact test, of several a permutation test.

    The permutation swaps both methods' answers to a question, all seeds at once; seeded, so that it is reproducible.

    >>> paired_p([[True] * 10], [[False] * 10])
    0.001953125
    """
    import numpy as np
    from scipy.stats import binomtest, permutation_test

    a, b = (np.asarray(x, dtype=float).mean(0) for x in (ours, theirs))
    better, worse = int((a > b).sum()), int((a < b).sum())
    if better + worse == 0:
        return 1.0
    if len(ours) == len(theirs) == 1:
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
