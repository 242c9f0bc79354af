"""Best-first branch and bound on the LP relaxation, for any loss.

Tokens by rising loss, heavier first among equals. A node fixes a few tokens (kept or deferred); its bound is the LP
over the others, which splits one token, the critical one; the two children fix that token either way. Heavy tokens
get fixed within a few nodes, and where the critical token is light the bound is tight: it errs by less than its cost.
"""

from __future__ import annotations

import math

import numpy as np

from .knapsack import Frontier, Instance


def relax(
    row: Instance, fixed: tuple[int, ...], kept: tuple[int, ...]
) -> tuple[float, int, np.longdouble, np.longdouble]:
    """(LP bound, critical token, mass and cost of what is kept before it); the bound is infinite if nothing suffices."""
    mass, cost = row.mass[list(kept)].sum(), row.cost[list(kept)].sum()
    goal = row.relaxed - mass  # of free mass
    skipped, saved = np.longdouble(0), np.longdouble(0)
    for token in fixed:
        if row.through[token] >= goal + skipped:
            break
        skipped, saved = skipped + row.mass[token], saved + row.cost[token]
    s = int(np.searchsorted(row.through, goal + skipped)) - 1
    if s >= row.n:
        return math.inf, row.n, mass, cost
    if s < 0:  # what is fixed as kept suffices
        return float(cost), -1, mass, cost
    mass, cost = mass + row.through[s] - skipped, cost + row.paid[s] - saved
    rest = row.relaxed - mass
    return float(cost + rest * row.cost[s] / row.mass[s]), s, mass, cost


def search_by_relaxation(frontier: Frontier) -> float:
    """Improve its ``best``, whose row stands by rising loss; a certified lower bound on the optimal risk."""
    best, row = frontier.best, frontier.best.row

    def push(fixed: tuple[int, ...], kept: tuple[int, ...]) -> None:
        """A node: the tokens ``fixed``, ascending, of which ``kept`` are kept; the LP keeps the free ones of [0, critical)."""
        bound, critical, mass, cost = relax(row, fixed, kept)
        if critical >= row.n:  # nothing suffices
            return
        if critical >= 0:
            mass, cost = mass + row.mass[critical], cost + row.cost[critical]
        if float(cost) < best.cost:
            chosen = np.arange(row.n) <= critical
            chosen[list(fixed)] = False
            chosen[list(kept)] = True
            best.offer(cost, mass, chosen)
        if critical < 0:
            frontier.set_aside(bound)
        else:
            frontier.push(bound, (fixed, kept, critical))

    push((), ())
    for _, (fixed, kept, critical) in frontier:
        both = tuple(sorted((*fixed, critical)))
        push(both, (*kept, critical))
        push(both, kept)
    return min(frontier.least(), best.cost) - row.slack
