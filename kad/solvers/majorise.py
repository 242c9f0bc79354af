"""Best-first branch and bound on the majorisation bounds of theory S13, for concave costs.

Tokens by falling mass. A node has decided tokens [0, i) and still needs some mass from the rest. All bounds and sums
follow the names of `kad.theory.majorisation`; the derivation is on the documentation site (Theory, S13).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from .knapsack import Frontier, Incumbent, Instance, Kept

MATCHES = 1e-6  # nats: how far, weighted by mass, losses may lie from a concave cost and still be treated as one


class Cost(NamedTuple):
    """A concave function h with h(0) = 0, of one mass or of an array of them, and where it is largest."""

    at: Callable[[Any], Any]
    peak: float


def named_costs(top: float, square: float) -> list[Cost]:
    """h(z) = z ℓ(z), for each loss for which that is concave on [0, max p]; ``square`` is ‖p‖². For z > 0."""
    costs = [
        Cost(lambda x: -x * np.log(x), 1 / math.e),  # logistic
        Cost(lambda x: x * (np.log(np.longdouble(top)) - np.log(x)), top / math.e),  # perceptron, log-probabilities
        Cost(lambda x: x * (top - x), top / 2),  # perceptron, probabilities
        Cost(lambda x: x * (1 + square - 2 * x), (1 + square) / 4),  # Brier
    ]
    return [*costs, Cost(lambda x: x * (1 - x) ** 2, 1 / 3)] if top <= 2 / 3 else costs  # squared


def envelope(row: Instance) -> Cost:
    """The least concave function through the origin and above the points (P_v, P_v ℓ_v): for a loss of any form.

    Andrew's monotone chain from the lightest token up. Of more than 20,000 tokens those within a factor of 1 + 5e-4
    of each other share a corner.
    """
    mass, cost = row.mass[::-1].astype(np.float64), row.cost[::-1].astype(np.float64)
    corner = np.ones(len(mass), dtype=bool)
    if len(mass) > 20_000:
        corner[1:-1] = np.diff(np.floor(np.log(mass[:-1]) / math.log1p(5e-4))) > 0
    xs, ys = [0.0], [0.0]
    for x, y in zip(mass[corner].tolist(), cost[corner].tolist(), strict=True):
        if x == xs[-1]:
            ys[-1] = max(ys[-1], y)
            continue
        while len(xs) > 1 and (ys[-1] - ys[-2]) * (x - xs[-2]) <= (y - ys[-2]) * (xs[-1] - xs[-2]):
            xs.pop()
            ys.pop()
        xs.append(x)
        ys.append(y)
    return Cost(lambda x: np.interp(np.asarray(x, dtype=np.float64), xs, ys), xs[int(np.argmax(ys))])


def match(row: Instance) -> tuple[Cost, float] | None:
    """The concave cost h that these losses are, and δ = Σ |h(P_v) − P_v ℓ_v|; None if they are far from any.

    Nothing is taken on trust. First the named costs, which are also right between the tokens; then the concave
    envelope of the tokens' own costs. Keeping a set costs Σ P ℓ ≥ Σ h(P) − δ for whatever h it is, so δ, rounding
    included, is taken off every bound, and only a small δ makes the bounds of S13 worth having.
    """
    rounding = 1e-15 * (1 + float(row.paid[-1]))  # of h itself, which is evaluated in float64 at worst

    def measured(cost: Cost) -> tuple[float, Cost]:
        return float(np.abs(cost.at(row.mass) - row.cost).sum()) + rounding, cost

    found = [measured(c) for c in named_costs(float(row.mass[0]), float((row.mass * row.mass).sum()))]
    deviation, best = min(found, key=itemgetter(0))
    if deviation > 1e-12:
        deviation, best = min((deviation, best), measured(envelope(row)), key=itemgetter(0))
    return (best, deviation) if deviation <= MATCHES else None


class Node(NamedTuple):
    """Tokens [0, start) are decided; ``kept`` of them have mass ``mass`` and cost ``cost``."""

    start: int
    mass: np.longdouble
    cost: np.longdouble
    kept: Kept | None


class Bounds:
    """The two lower bounds of S13 for a node; row sums in extended precision, demand relaxed by their rounding."""

    def __init__(self, row: Instance, cost: Cost, best: Incumbent) -> None:
        self.row, self.cost, self.best = row, cost, best
        self.rising = -row.mass.astype(np.float64)  # what bisection wants
        self.run_ends = np.searchsorted(self.rising, self.rising, side="right")

    def lightest(self, at_least: np.longdouble) -> int:
        """The last token of at least this mass; −1 if there is none."""
        return int(np.searchsorted(self.rising, np.float64(-at_least), side="right")) - 1

    def without(self, node: Node, j: int, start: int) -> Node:
        """The node that keeps [node.start, j) besides and goes on from ``start``."""
        row = self.row
        return Node(
            start,
            node.mass + row.through[j] - row.through[node.start],
            node.cost + row.paid[j] - row.paid[node.start],
            (node.kept, node.start, j) if j > node.start else node.kept,
        )

    def critical(self, node: Node) -> tuple[int, np.longdouble]:
        """(s, ρ): the node needs tokens [start, s) whole and ρ more, 0 < ρ ≤ mass of s; s = n if nothing suffices."""
        row = self.row
        goal = row.through[node.start] + (row.relaxed - node.mass)
        s = max(int(np.searchsorted(row.through, goal)) - 1, node.start)
        return s, goal - row.through[s]

    def first(self, node: Node) -> float:
        """Σ h of the whole tokens + min(h(ρ), h of token s)."""
        s, rest = self.critical(node)
        if s >= self.row.n:
            return math.inf
        if rest <= 0:
            return float(node.cost)
        whole = node.cost + self.row.paid[s] - self.row.paid[node.start]
        return float(whole + min(self.cost.at(rest), self.row.cost[s]))

    def second(self, node: Node) -> float:
        """At least k tokens are needed: the j largest, one of free size and the rest smallest cost least.

        Also offers the decision that rounds the free size up to a token.
        """
        row, (s, rest) = self.row, self.critical(node)
        if s >= row.n or rest <= 0:
            return self.first(node)
        i, n, k = node.start, row.n, s + 1 - node.start
        need = row.relaxed - node.mass

        def reach(j: int) -> Any:
            return row.through[i + j] - row.through[i] + row.through[n] - row.through[n - k + j]

        low, high = -1, k  # reach(k) ≥ need: the k largest suffice
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if reach(middle) < need else (low, middle)
        j = high
        heavy, light = row.paid[i + j : i + k + 1], row.paid[n - k + j : n + 1]
        rises = row.mass[i] <= self.cost.peak  # h rises over all that is left, and so do the corners
        steps = heavy[:1] - light[:1] if rises else heavy - light
        corners = node.cost - row.paid[i] + row.paid[n] + steps.min()
        if j == 0:
            return float(corners)
        free = need - (row.through[i + j - 1] - row.through[i]) - (row.through[n] - row.through[n - k + j])
        ends = node.cost + row.paid[i + j - 1] - row.paid[i] + row.paid[n] - row.paid[n - k + j]
        token = min(self.lightest(free + row.margin), n - k + j - 1)
        if token >= i + j - 1:
            kept: Kept = (((node.kept, i, i + j - 1), token, token + 1), n - k + j, n)
            mass = node.mass + row.through[i + j - 1] - row.through[i] + row.mass[token]
            self.best.offer(ends + row.cost[token], mass + row.through[n] - row.through[n - k + j], kept)
        return float(min(ends + self.cost.at(free), corners))


def search_by_majorisation(frontier: Frontier, cost: Cost, deviation: float) -> float:
    """Improve its ``best``, whose row stands by falling mass; a certified lower bound on the optimal risk."""
    best, row = frontier.best, frontier.best.row
    bounds = Bounds(row, cost, best)

    # Items: (node, j). j < 0: the node itself; else its children that first exclude token j, and after it those that
    # first exclude j − 1, j − 2, ...: their first bounds only rise. (The second does not rise with falling j and must
    # not end the row of siblings; what it proved of their parent holds for them all.)
    def push(inherited: float, node: Node) -> None:
        frontier.push(max(inherited, bounds.first(node), bounds.second(node)), (node, -1))

    def push_siblings(inherited: float, node: Node, j: int) -> None:
        if j >= node.start:
            frontier.push(max(inherited, bounds.first(bounds.without(node, j, j + 1))), (node, j))

    push(-math.inf, Node(0, np.longdouble(0), np.longdouble(0), None))
    for bound, (node, j) in frontier:
        if j >= 0:
            push(bound, bounds.without(node, j, int(bounds.run_ends[j])))  # equal tokens are excluded as a run
            push_siblings(bound, node, j - 1)
            continue
        s, rest = bounds.critical(node)
        if rest <= 0:  # what is kept already meets the relaxed demand
            best.offer(node.cost, node.mass, node.kept)
            frontier.set_aside(float(node.cost))
            continue
        whole = bounds.without(node, s, s)
        # One token of [s, t] ends it: h is unimodal, so the cheapest is s or t.
        t, sure = max(s, bounds.lightest(rest)), max(s, bounds.lightest(rest + 2 * row.margin))
        for token in {s, t, sure}:
            best.offer(whole.cost + row.cost[token], whole.mass + row.mass[token], (whole.kept, token, token + 1))
        frontier.set_aside(float(whole.cost + min(row.cost[s], row.cost[t])))
        if t + 1 < row.n:
            push(bound, whole._replace(start=t + 1))
        push_siblings(bound, node, s - 1)
    return min(frontier.least(), best.cost) - deviation - row.slack
