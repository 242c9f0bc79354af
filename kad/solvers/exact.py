"""The exact optimum at vocabulary size, with a certificate in real arithmetic."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from .base import RowProof, RowSolver, Status
from .branch import search_by_relaxation
from .knapsack import Floats, Frontier, Incumbent, Instance, first_incumbent, proved
from .majorise import match, search_by_majorisation
from .parameters import Parameter, Parameters, budgets, setting

DEAR = 100  # times the risk that is known: what all tokens together may cost


@final
@dataclass(frozen=True, eq=False, repr=False)
class Exact(Parameters, RowSolver):
    """The 0-1 knapsack by branch and bound, at the size of a real vocabulary.

    Where the cost of keeping a token, h(P_v) = P_v ℓ_v, is nearly a concave function of its mass, the bounds are those
    of theory S13, engine "majorisation"; elsewhere those of the LP, engine "relaxation". Which of the two is found out
    on the numbers, for any loss; of kad's own all are that look at p alone, those that read q* sometimes not. Rows are solved one by one,
    on the CPU. The decision never exceeds the budget (exact summation) and is never worse than `Primal` or than the
    best exchange of two tokens after it. `kad.solve` shows the certificate.

    It searches ``effort`` nodes for a proof and after that only until the gap is within ``tolerance``. OPTIMAL means a gap
    of at most 1e-11 nats (of the risk, where that is above 1), CERTIFIED_GAP that the solution's ``gap`` is what could be
    proved, TIME_LIMIT that time was up before it came within the tolerance. With float32 inputs a proof cannot see past
    their rounding (1e-8 to 1e-6): pass float64.

    Attributes:
        budget: b in [0, 1]; in Python also a tensor with one for every row or position, broadcastable to ``(*batch,)``.
        tolerance: the gap that is good enough, in units of the loss.
        effort: nodes spent on a proof before such a gap is accepted.
        time_limit: seconds for one row.

    Raises:
        ValueError: a parameter outside its range; when used, a tensor of budgets that does not fit the rows.

    >>> import kad, torch
    >>> p = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    >>> s = kad.solve(kad.Logistic()(p), p, kad.Exact(budget=0.4))
    >>> s.d.tolist(), s.status, s.engine
    ([0.0, 1.0, 0.0], ['OPTIMAL'], ['majorisation'])
    """

    budget: Parameter
    tolerance: float = 5e-7
    effort: int = 1000
    time_limit: float = 0.9
    feasible: ClassVar[bool] = True
    exact: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "budget", budgets(self.budget))
        for name in ("tolerance", "effort", "time_limit"):
            object.__setattr__(self, name, setting(f"Exact {name}", getattr(self, name)))
        if not (self.tolerance >= 0 and self.effort >= 0 and self.time_limit > 0):
            raise ValueError("Exact takes tolerance ≥ 0, effort ≥ 0 and time_limit > 0 seconds.")

    def prove_row(self, loss: Floats, mass: Floats, budget: float) -> RowProof:
        deadline = time.monotonic() + self.time_limit
        positive = np.flatnonzero(mass > 0)
        order = positive[np.argsort(-mass[positive], kind="stable")]
        row = Instance(loss, mass, order, budget)
        if budget >= 1 or row.demand <= 0:
            return np.ones_like(mass), 0.0, "OPTIMAL", "relaxation"
        row = without_hopeless(row, loss)
        matched = match(row)
        if not matched:
            order = row.order[np.argsort(loss[row.order], kind="stable")]
            row = Instance(loss, mass, order, budget, row.demand)
        best = first_incumbent(row, loss)
        frontier = Frontier(best, self.tolerance, self.effort, deadline)
        lower = search_by_majorisation(frontier, *matched) if matched else search_by_relaxation(frontier)
        engine = "majorisation" if matched else "relaxation"
        return conclude(best, lower, frontier.expired, self.tolerance, engine)


def without_hopeless(row: Instance, loss: Floats) -> Instance:
    """The row without the tokens that cost more than a whole decision that is known: no better one keeps any of them.

    They are taken out where they are so dear that the rounding of sums with them in it would drown what is to be proved.
    """
    if row.paid[-1] <= DEAR:
        return row
    cost = first_incumbent(row, loss).cost
    if row.paid[-1] <= DEAR * (1 + cost):
        return row
    return Instance(loss, row.all_mass, row.order[row.cost <= cost * (1 + 1e-12)], row.budget, row.demand)


def conclude(best: Incumbent, lower: float, expired: bool, tolerance: float, engine: str) -> RowProof:
    """The decision, its certified bound, and what the gap between the two entitles a solver to say."""
    lower = min(max(lower, 0.0), best.cost)
    gap = best.cost - lower
    status: Status = (
        "OPTIMAL" if proved(gap, best.cost) else "TIME_LIMIT" if expired and gap > tolerance else "CERTIFIED_GAP"
    )
    return best.row.decision(best.kept), lower, status, engine
