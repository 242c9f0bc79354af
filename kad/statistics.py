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


@dataclass(frozen=True)
class Ratio:
    """How many times as fast, with its 95% interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}-{self.high:.2f}]"


def ratio(theirs: Sequence[float], ours: Sequence[float], turns: int = 1, resamples: int = 9999) -> Ratio:
    """How many times as fast as theirs ours is, from the seconds of paired runs, of which some make a round.

    A round's log ratio is the median of its turns', and the value the mean of the middle half of the rounds': one run, or one
    round, that something else disturbed moves it little. The interval is a seeded bootstrap of the rounds. With few rounds the
    percentiles of resamples lie too close together, so they are taken further out, as far as Student's distribution lies beyond
    the normal one ("expanded percentiles", Hesterberg 2015, The American Statistician 69): Φ(−√(n / (n − 1)) t(.975, n − 1)) in
    place of .025.

    Args:
        theirs: seconds of every run, those of a round one after another.
        ours: likewise, in the same turns.
        turns: runs of each that make a round.
        resamples: of the bootstrap.

    >>> print(ratio([2.0, 2.2, 1.8, 2.0], [1.0, 1.0, 1.0, 1.0]))
    2.00 [1.80-2.20]
    >>> print(ratio([2.0, 9.0, 2.2, 1.8, 2.0, 2.0], [1.0] * 6, turns=3))
    2.10 [2.00-2.20]
    """
    import numpy as np
    from scipy.stats import norm, t, trim_mean

    logs = np.median((np.log(theirs) - np.log(ours)).reshape(-1, turns), axis=1)
    n = len(logs)
    if n == 1:  # nothing is known of how far rounds differ
        return Ratio(math.exp(logs[0]), 0.0, math.inf)
    drawn = logs[np.random.default_rng(0).integers(n, size=(resamples, n))]
    tail = float(norm.cdf(-math.sqrt(n / (n - 1)) * t.ppf(0.975, n - 1)))
    low, high = np.quantile(trim_mean(drawn, 0.25, axis=1), [tail, 1 - tail])
    return Ratio(*(float(np.exp(x)) for x in (trim_mean(logs, 0.25), low, high)))


def mean(values: Sequence[float]) -> tuple[float, float]:
    """The mean of the questions' values, and its standard error.

    >>> mean([1.0, 0.0, 1.0, 0.5])
    (0.625, 0.23935677693908453)
    """
    import numpy as np

    n = len(values)
    return float(np.mean(values)), float(np.std(values, ddof=1) / math.sqrt(n)) if n > 1 else math.inf


def rate(answers: Sequence[Sequence[bool]]) -> Rate:
    """The share of correct answers, given per question, with a Wilson interval on the number of answers that they amount to.

    Every question counts once, with the mean of its own answers: some may have more of them than others.

    >>> print(rate([[True, False], [True], [True]]))
    83.3 [30-95]
    """
    from scipy.stats import binomtest

    share, error = mean(means_of(answers))
    n = len(answers)
    if error > 0 and 0 < share < 1:  # as many independent answers as would have this standard error
        n = min(sum(len(own) for own in answers), max(n, round(share * (1 - share) / error**2)))
    interval = binomtest(round(share * n), n).proportion_ci(0.95, method="wilson")
    return Rate(share, float(interval.low), float(interval.high))


def means_of(answers: Sequence[Sequence[bool]]) -> list[float]:
    """Every question's mean."""
    return [sum(own) / len(own) for own in answers]


def difference(ours: Sequence[Sequence[bool]], theirs: Sequence[Sequence[bool]]) -> tuple[float, float]:
    """Mean difference and its standard error, of answers given per question, as many of one method as of the other.

    >>> difference([[True, True], [False]], [[True, False], [False]])
    (0.25, 0.25)
    """
    return mean([a - b for a, b in zip(means_of(ours), means_of(theirs), strict=True)])


def paired_p(ours: Sequence[Sequence[bool]], theirs: Sequence[Sequence[bool]], resamples: int = 9999) -> float:
    """The two-sided p-value of no difference: of one answer a question McNemar's exact test, of several a permutation test.

    Answers are given per question, as many of one method as of the other. The permutation swaps both methods' answers to a
    question, all seeds at once; seeded, so that it is reproducible.

    >>> paired_p([[True]] * 10, [[False]] * 10)
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
    found = permutation_test(
        (a, b), lambda x, y, axis: (x - y).mean(axis), permutation_type="samples", vectorized=True, n_resamples=resamples,
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
