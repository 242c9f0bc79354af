"""One row of the problem in extended precision, and the best decision found so far, checked by exact summation.

What the searches of `majorise` and `branch` share. Tokens of positive mass stand in the order that a search wants;
tokens of mass zero cost nothing and are always deferred. Decisions are written as *kept* tokens: keep a set R of mass
at least D = Σ P − b at the least cost Σ_R P ℓ.
"""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .greedy import Primal

Floats = NDArray[np.float64]
Wide = NDArray[np.longdouble]
Order = NDArray[np.int64]
# The kept tokens of a decision, by their places in a row's order: a linked list of [start, stop) ranges, so that a
# search tree shares its paths; or a mask.
Kept = tuple["Kept | None", int, int]
Mask = NDArray[np.bool_]

EPSILON = float(np.finfo(np.longdouble).eps)  # 1e-19 on x86, 2e-16 where the machine has nothing wider
PROVED = 1e-11  # nats, or of the risk where that is larger: a gap that is rounding, not choice


def proved(gap: float, cost: float) -> bool:
    """Whether a gap above a bound is nothing but rounding."""
    return gap <= PROVED * max(1.0, cost)


class Instance:
    """Masses, costs and their prefix sums, tokens in one order.

    Attributes:
        mass, cost: P_v and P_v ℓ_v, ``(n,)``.
        through, paid: their prefix sums from 0, ``(n + 1,)``.
        demand: W = Σ P − b over all tokens, those that are not in the order among them, rounded; the true value lies within ``margin`` of it.
        margin: a bound on the rounding of every sum of masses here. Bounds use ``demand − margin``, so they hold for
            the real numbers; a decision within ``margin`` of the demand is summed exactly before it is believed.
        slack: the same for every sum of costs.
    """

    def __init__(
        self, loss: Floats, mass: Floats, order: Order, budget: float, demand: np.longdouble | None = None
    ) -> None:
        self.order, self.size, self.budget = order, len(mass), budget
        self.all_mass = mass
        self.mass: Wide = mass[order].astype(np.longdouble)
        self.cost: Wide = self.mass * loss[order].astype(np.longdouble)
        self.through: Wide = np.insert(np.cumsum(self.mass), 0, 0)
        self.paid: Wide = np.insert(np.cumsum(self.cost), 0, 0)
        self.n = len(order)
        operations = 4 * self.n + 64  # two prefix sums, and a difference of them for each level of a search
        self.margin = operations * EPSILON + 4e-16  # the last term: the float64 that a sum is compared with
        self.slack = operations * EPSILON * (1 + float(self.paid[-1])) + 1e-16
        self.demand = self.through[-1] - np.longdouble(budget) if demand is None else demand
        self.relaxed = self.demand - self.margin

    def fits(self, kept_mass: np.longdouble, kept: Kept | Mask | None) -> bool:
        """Whether deferring everything else stays within the budget; summed exactly where rounding could decide."""
        spare = float(kept_mass - self.demand)
        if abs(spare) > self.margin:
            return spare > 0
        return math.fsum(self.all_mass[self.decision(kept) > 0].tolist()) <= self.budget

    def decision(self, kept: Kept | Mask | None) -> Floats:
        """d over the whole vocabulary: 1 for every token that is not kept."""
        d = np.ones(self.size)
        if isinstance(kept, np.ndarray):
            d[self.order[kept]] = 0
        else:
            while kept is not None:
                kept, start, stop = kept
                d[self.order[start:stop]] = 0
        return d


@dataclass
class Incumbent:
    """The cheapest decision so far. Only strictly cheaper ones that fit replace it."""

    row: Instance
    cost: float = math.inf
    kept: Kept | Mask | None = None

    def offer(self, cost: np.longdouble, kept_mass: np.longdouble, kept: Kept | Mask | None) -> None:
        if float(cost) < self.cost and self.row.fits(kept_mass, kept):
            self.cost, self.kept = float(cost), kept

    def offer_mask(self, kept: Mask) -> None:
        self.offer(self.row.cost[kept].sum(), self.row.mass[kept].sum(), kept)


class Frontier:
    """What is open in a best-first search for something cheaper than ``best``, and the least bound of what was set aside.

    It ends at a proof; after ``effort`` nodes, once the gap is tolerated; or at the deadline, and then it is ``expired``.
    """

    def __init__(self, best: Incumbent, tolerance: float, effort: int, deadline: float) -> None:
        self.best, self.tolerance, self.effort, self.deadline = best, tolerance, effort, deadline
        self.heap, self.ticket = list[tuple[float, int, Any]](), count()
        self.floor, self.expired = math.inf, False

    def push(self, bound: float, item: Any) -> None:
        if bound < self.best.cost:
            heapq.heappush(self.heap, (bound, next(self.ticket), item))
        else:
            self.set_aside(bound)

    def set_aside(self, bound: float) -> None:
        self.floor = min(self.floor, bound)

    def least(self) -> float:
        """The least bound of anything that was pushed or set aside."""
        return min(self.floor, self.heap[0][0] if self.heap else math.inf)

    def __iter__(self) -> Iterator[tuple[float, Any]]:
        """Bounds and items, the least bound first."""
        for nodes in count():
            gap = self.best.cost - self.least()
            good_enough = proved(gap, self.best.cost) or (nodes >= self.effort and gap <= self.tolerance)
            if not self.heap or good_enough:
                return
            self.expired = nodes % 16 == 0 and time.monotonic() >= self.deadline
            if self.expired:
                return
            bound, _, item = heapq.heappop(self.heap)
            yield bound, item


def single_swap(row: Instance, stop: int) -> tuple[int, int] | None:
    """From the kept prefix [0, stop): the exchange of one kept for one deferred token that saves most and still fits.

    Sort the deferred tokens by mass; the cheapest at least as heavy as x is a suffix minimum, so every kept token
    finds its best partner by bisection.
    """
    if not 0 < stop < row.n:
        return None
    spare = row.through[stop] - row.demand
    mass, cost = row.mass[stop:].astype(np.float64), row.cost[stop:]
    by_mass = np.argsort(mass, kind="stable")
    ascending = mass[by_mass]
    falling = cost[by_mass][::-1]
    cheapest = np.minimum.accumulate(falling)[::-1]
    first = np.searchsorted(ascending, (row.mass[:stop] - spare).astype(np.float64) + row.margin)
    possible = first < len(ascending)
    if not possible.any():
        return None
    saving = np.where(possible, row.cost[:stop] - cheapest[np.minimum(first, len(ascending) - 1)], -1)
    out = int(saving.argmax())
    if saving[out] <= 0:
        return None
    partners = by_mass[first[out] :]
    return out, stop + int(partners[cost[partners].argmin()])


def first_incumbent(row: Instance, loss: Floats) -> Incumbent:
    """The best of `Primal`, the shortest prefix of ``row`` that meets the demand, and its best single swap."""
    best = Incumbent(row)
    primal = Primal(row.budget).defer(torch.from_numpy(loss), torch.from_numpy(row.all_mass))
    best.offer_mask(primal.numpy()[row.order] == 0)
    stop = int(np.searchsorted(row.through, row.demand))
    for end in {min(stop, row.n), min(stop + 1, row.n), row.n}:  # the others: should rounding have cut one too few
        best.offer(row.paid[end], row.through[end], (None, 0, end))
    swap = single_swap(row, min(stop, row.n))
    if swap:
        out, extra = swap
        kept: Kept = (((None, 0, out), out + 1, stop), extra, extra + 1)
        best.offer(
            row.paid[stop] - row.cost[out] + row.cost[extra],
            row.through[stop] - row.mass[out] + row.mass[extra],
            kept,
        )
    return best
