"""Whether a pair intervenes at all, and not everywhere: how much of the texts is deferred, where, and when to doubt it.

The bounds are a rule of thumb, measured on the embedded pair and pairs made from it (docs/studies/deferral.md says on what, and how
little that is). They are about the share alone: a proxy that does not know the format hardly helps at any share.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..decoding.deferral import DeferralShare, deferral_of
from .configuration import Configuration
from .schema import Line

LITTLE, MUCH = 0.01, 0.25  # of the mass; the second for rules that do not look at q*
FEW_TOKENS = 200  # tokens, below which a share says nothing yet
REASONS = {
    "little": f"less than {LITTLE:.0%} of the mass is deferred, so these are p's own texts almost everywhere; of 62 such mixtures the best gained 11 "
    "points, and half at most 2",
    "much": f"more than {MUCH:.0%} of the mass is deferred by a rule that does not look at q*, so what p is sure of is lost too; of 34 such "
    "mixtures one gained five points, and half lost 27 or more",
}
BASIS = "a rule of thumb, measured on the embedded pair and its like alone; see the study How much is deferred?"


def deferral(rows: Iterable[Line]) -> DeferralShare:
    """How much of the texts of some results was deferred, by mass and by origin, and where in them.

    Args:
        rows: as `read` gives them; usually those of one configuration. Origins that are not of a row's positions tell nothing.

    >>> deferral([{"alphas": [1.0, 0.0, 0.0, None], "origins": "qbbb"}]).first[:4]
    (1.0, 0.0, 0.0, None)
    """
    return deferral_of((row.get("alphas", ()), told(row)) for row in rows)


def told(row: Line) -> str:
    """A row's origins; unknown ones where it has none, or has others than α."""
    found = row.get("origins", "")
    length = len(row.get("alphas", ()))
    whole = len(found) == length and not set(found) - set("bqt")
    return str(found) if whole else "t" * length


def doubt(c: Configuration, found: DeferralShare | None) -> str | None:
    """Why this mixture can hardly help, as a key of `REASONS`: ``"little"`` or ``"much"``; None where nothing speaks against it.

    >>> c = Configuration("gsm8k", "fractional", 0.9)
    >>> doubt(c, deferral([{"alphas": [0.9] * 300}])), doubt(c, deferral([{"alphas": [0.1] * 300}]))
    ('much', None)
    """
    if found is None or found.mass is None or one_model(c) or found.tokens < FEW_TOKENS:
        return None
    return "little" if found.mass < LITTLE else "much" if found.mass > MUCH and blind(c) else None


def blind(c: Configuration) -> bool:
    """Whether it is a rule of kad's that defers without a look at q*; one that compares p with q* may defer where they agree.

    >>> [blind(Configuration("t", *method)) for method in (("dual", 0.4), ("confidence-bet", 0.1), ("mine.Own", None))]
    [True, False, False]
    """
    if c.of.kind.own:  # not imported for this
        return False
    try:
        return not c.of.target(c.placement, reference="not asked").reads_proxy
    except ValueError:  # another version's values
        return False


def one_model(c: Configuration) -> bool:
    """Whether it is one of kad's models alone, which defers nothing by its nature."""
    return c.of.kind.alone and not c.of.kind.own


def doubts(found: Iterable[tuple[Configuration, DeferralShare | None]]) -> list[str]:
    """One sentence for every task and reason, with the methods that it is about.

    >>> little = deferral([{"alphas": [0.001] * 300}])
    >>> print(doubts([(Configuration("svamp", "dual", 0.01), little)])[0][:60])
    svamp: dual λ=0.01 (0.1%) can hardly help: less than 1% of t
    """
    named = dict[tuple[str, str], list[str]]()
    for c, own in found:
        why = doubt(c, own)
        if why is not None and own is not None and own.mass is not None:
            named.setdefault((c.task, why), []).append(f"{c.of.label} ({own.mass:.{0 if own.mass >= 0.1 else 1}%})")
    return [
        f"{task}: {', '.join(dict.fromkeys(labels))} can hardly help: {REASONS[why]} ({BASIS})."
        for (task, why), labels in named.items()
    ]
