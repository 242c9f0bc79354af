"""Best-first branch and bound on the LP relaxation, for any loss.

Tokens by rising loss, heavier first among equals. A node fixes a few tokens (kept or deferred); its bound is the LP
over the others, which splits one token, the critical one; the two children fix that token either way. Heavy tokens
get fixed within a few nodes, and where the critical token is light the bound is tight: it errs by less than its cost.
"""

from __future__ import annotations

import heapq
import math
from itertools import count
from typing import NamedTuple

import numpy as np

from .knapsack import Clock, Incumbent, Kept, Row


class Node(NamedTuple):
    """Fixed tokens, ascending; of them ``kept`` are kept. Besides these, the LP keeps the free ones of [0, critical)."""

    fixed: tuple[int, ...]
    kept: tuple[int, ...]
    critical: int


def relax(row: Row, fixed: tuple[int, ...], kept: tuple[int, ...]) -> tuple[float, int, np.longdouble, np.longdouble]:
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


def ranges_of(row: Row, node: Node, stop: int) -> Kept | None:
    """The kept set: free tokens of [0, stop), and the fixed ones that are kept."""
    kept: Kept | None = None
    start = 0
    for token in node.fixed:
        if token >= stop:
            break
        if token > start:
            kept = (kept, start, token)
        start = token + 1
    if stop > start:
        kept = (kept, start, stop)
    for token in node.kept:
        kept = (kept, token, token + 1)
    return kept


def search(best: Incumbent, clock: Clock) -> float:
    """Improve ``best``, whose row stands by rising loss; a certified lower bound on the optimal risk."""
    row, ticket = best.row, count()
    heap: list[tuple[float, int, Node]] = []
    floor = math.inf

    def push(fixed: tuple[int, ...], kept: tuple[int, ...]) -> None:
        nonlocal floor
        bound, critical, mass, cost = relax(row, fixed, kept)
        node = Node(fixed, kept, critical)
        if critical < row.n:
            extra = critical + 1 if critical >= 0 else 0
            if critical >= 0:
                mass, cost = mass + row.mass[critical], cost + row.cost[critical]
            best.offer(cost, mass, ranges_of(row, node, extra))
        if critical < 0 or bound >= best.cost:
            floor = min(floor, bound)
        else:
            heapq.heappush(heap, (bound, next(ticket), node))

    push((), ())
    nodes = 0
    while heap and not clock.enough(best.cost, min(floor, heap[0][0]), nodes):
        node = heapq.heappop(heap)[2]
        nodes += 1
        fixed = tuple(sorted((*node.fixed, node.critical)))
        push(fixed, (*node.kept, node.critical))
        push(fixed, node.kept)
    return min(floor, best.cost, heap[0][0] if heap else math.inf) - row.slack
