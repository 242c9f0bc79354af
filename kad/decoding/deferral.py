"""How much of a text was deferred to the proxy, and where in it: by mass, and by where the tokens came from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

PARTS, FIRST = 10, 8  # parts of a text, and tokens at its beginning, that are looked at by themselves
Means = tuple[float | None, ...]


@dataclass(frozen=True)
class DeferralShare:
    """The deferred share of some texts. What `Trace.deferral` and `kad.evaluation.deferral` return.

    Attributes:
        texts, tokens: how many were looked at.
        mass: mean deferred mass α over all positions; None if no position has one, because the target is no mixture.
        origin: the share of tokens that the proxy has drawn; None if that is not told of every one. Without drafts its expectation, for
            sampled texts, is ``mass``; with drafts, those that passed are counted too.
        tenths: mean α in every tenth of a text, by relative position; None where no text has a token.
        first: mean α at the first tokens of a text, one by one; None beyond the longest.

    >>> from kad.decoding.deferral import deferral_of
    >>> found = deferral_of([([1.0, 0.0, 0.0, 0.5], "qbbq"), ([1.0], "q")])
    >>> found.mass, found.origin, found.first[:5]
    (0.5, 0.6, (1.0, 0.0, 0.0, 0.5, None))
    >>> found.tenths
    (1.0, None, 0.0, None, None, 0.0, None, 0.5, None, None)
    """

    texts: int
    tokens: int
    mass: float | None
    origin: float | None
    tenths: Means
    first: Means

    @property
    def opening(self) -> float | None:
        """Mean α over the first tokens, each place counted once."""
        return mean_alpha([x for x in self.first if x is not None])


def deferral_of(texts: Iterable[tuple[Sequence[float | None], str]]) -> DeferralShare:
    """The deferred share of texts, each as its α by position (None or NaN where there is none) and its origins.

    Origins are letters: b for the base, q for the proxy, t for a target that does not tell.

    Raises:
        ValueError: a text with more or fewer origins than positions, or a letter that is none.

    >>> deferral_of([([0.25, 0.75], "bq")]).mass
    0.5
    """
    everywhere, letters = list[float](), list[str]()
    tenths: list[list[float]] = [[] for _ in range(PARTS)]
    first: list[list[float]] = [[] for _ in range(FIRST)]
    for alphas, origins in texts:
        if len(alphas) != len(origins) or set(origins) - set("bqt"):
            raise ValueError(
                f"a text needs one origin (b, q or t) a position; got {len(alphas)} α and {origins[:20]!r}."
            )
        letters.append(origins)
        for place, alpha in enumerate(alphas):
            if alpha is None or math.isnan(alpha):
                continue
            everywhere.append(alpha)
            tenths[PARTS * place // len(alphas)].append(alpha)
            if place < FIRST:
                first[place].append(alpha)
    told = "".join(letters)
    origin = told.count("q") / len(told) if told and "t" not in told else None
    places = tuple(mean_alpha(x) for x in tenths), tuple(mean_alpha(x) for x in first)
    return DeferralShare(len(letters), len(told), mean_alpha(everywhere), origin, *places)


def mean_alpha(values: Sequence[float]) -> float | None:
    """None of nothing."""
    return fmean(values) if values else None
