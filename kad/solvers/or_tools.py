"""The knapsack by OR-Tools: the only file that imports it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np

from ..checks import whole
from ..distributions import check_budget
from .base import RowProof, RowSolver
from .branch import relax
from .exact import conclude
from .knapsack import Floats, Incumbent, Instance, Mask, Order, Wide, first_incumbent
from .parameters import one_number, setting

UNIT_BITS = 61  # all weights, and all profits, add up to less than 2^61 units: sums stay inside int64
INT64_BOUND = 2.0**-44  # relative: OR-Tools computes the bounds of its search in float64


def knapsack_module() -> Any:
    """ortools' knapsack solver, or one sentence on how to get it."""
    try:
        from ortools.algorithms.python import knapsack_solver
    except ImportError:
        raise ImportError("OrTools needs the package ortools: pip install 'kad-align[ortools]'.") from None
    return knapsack_solver


@final
@dataclass(frozen=True)
class OrTools(RowSolver):
    """The 0-1 knapsack by OR-Tools' branch and bound, for any loss, with a certificate in real arithmetic.

    OR-Tools solves in integers. Rounded carelessly, a vocabulary's light tail vanishes and the "optimum" comes out
    worse than the greedy. So, per row and on the CPU: start from `Primal` and its best exchange of two tokens; fix
    every token that the LP's reduced cost |P_v (ℓ_v − μ)| decides; hand the ``core`` heaviest of the others to
    OR-Tools, twice, near the top of int64. Inner problem: weights rounded up, profits and budget down, so whatever it
    returns fits. Outer problem: the other way round, and the light tokens outside the core may go at no weight, so its
    optimum, if OR-Tools proves it, bounds the real one. The better of that and the LP is the certificate: engine
    "or-tools" or "relaxation".

    OPTIMAL means a gap of at most 1e-11; CERTIFIED_GAP that the solution's ``gap`` is what could be proved; TIME_LIMIT
    that OR-Tools was stopped before it finished and the gap exceeds ``tolerance``. `Exact` proves more, and faster;
    this one is independent of it.

    Attributes:
        budget: b in [0, 1], one number for all rows.
        tolerance: the gap, in units of the loss, at which running out of time does not matter.
        core: how many tokens OR-Tools is given at most.
        time_limit: seconds for one row's search, shared by its two problems.

    Raises:
        ValueError: a parameter outside its range.
        ImportError: ortools is not installed.

    >>> import kad, pytest, torch
    >>> _ = pytest.importorskip("ortools")
    >>> p = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    >>> s = kad.solve(kad.Logistic()(p), p, kad.OrTools(budget=0.4))
    >>> s.d.tolist(), s.status, s.engine
    ([0.0, 1.0, 0.0], ['OPTIMAL'], ['or-tools'])
    """

    budget: float
    tolerance: float = 5e-7
    core: int = 5000
    time_limit: float = 1.0
    feasible: ClassVar[bool] = True
    exact: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "budget", one_number("OrTools budget", self.budget))
        check_budget(self.budget)
        for name in ("tolerance", "time_limit"):
            object.__setattr__(self, name, setting(f"OrTools {name}", getattr(self, name)))
        whole("OrTools core", self.core)
        if not (self.tolerance >= 0 and self.core >= 1 and self.time_limit > 0):
            raise ValueError("OrTools takes tolerance ≥ 0, core ≥ 1 token and time_limit > 0 seconds.")

    def prove_row(self, loss: Floats, mass: Floats, budget: float) -> RowProof:
        knapsack_module()
        heavy = np.flatnonzero(mass > 0)
        order = heavy[np.lexsort((-mass[heavy], loss[heavy]))]
        row = Instance(loss, mass, order, budget)
        if budget >= 1 or row.demand <= 0:
            return np.ones_like(mass), 0.0, "OPTIMAL", "relaxation"
        best = first_incumbent(row, loss)
        bound, critical, _, _ = relax(row, (), ())
        lower, engine, expired = bound - row.slack, "relaxation", False
        if best.cost - lower > 0 and critical >= 0:
            reduced = np.abs(row.cost - row.mass * (row.cost[critical] / row.mass[critical]))
            open_tokens = np.flatnonzero(reduced <= best.cost - lower + row.slack)
            core = np.sort(open_tokens[np.argsort(-row.mass[open_tokens], kind="stable")][: self.core])
            kept = np.arange(row.n) <= critical
            kept[core] = False
            upper = best.cost
            proved = improve(self.time_limit, row, core, np.setdiff1d(open_tokens, core), kept, best)
            expired = proved is None
            # A decision that differs on a token that was fixed costs at least what the first incumbent did.
            if proved is not None and min(proved, upper) > lower:
                lower, engine = min(proved, upper), "or-tools"
        return conclude(best, lower, expired, self.tolerance, engine)


def improve(time_limit: float, row: Instance, core: Order, light: Order, kept: Mask, best: Incumbent) -> float | None:
    """Offer what OR-Tools finds on the core; if it proves that, a lower bound over all decisions on open tokens.

    ``kept``: which tokens outside the core are kept. The bound lets the ``light`` open ones go at no weight.
    """
    room = np.longdouble(row.budget) - row.mass[~kept].sum() + row.mass[core].sum()
    weight, profit = row.mass[core], row.cost[core]
    base = row.cost[kept].sum() + profit.sum()  # the cost with the whole core kept
    bound = None
    gift, free = row.mass[light[~kept[light]]].sum(), row.cost[light[kept[light]]].sum()
    for outer in (False, True):
        space = room + gift + row.margin if outer else room - row.margin
        chosen, value, proved = integers(time_limit, weight, profit, space, outer)
        final = kept.copy()
        final[core[~chosen]] = True
        best.offer_mask(final)
        if outer and proved:
            bound = float(base - free - value) - row.slack - INT64_BOUND * float(profit.sum())
    return bound


def integers(
    time_limit: float, weight: Wide, profit: Wide, room: np.longdouble, outer: bool
) -> tuple[Any, np.longdouble, bool]:
    """(chosen, an upper bound on their profit, proved): rounded outwards for a bound, inwards for a decision."""
    up, down = (np.floor, np.ceil) if outer else (np.ceil, np.floor)
    by_weight = UNIT_BITS - math.frexp(float(weight.sum()))[1]
    by_profit = UNIT_BITS - math.frexp(float(profit.sum()) or 1.0)[1]
    weights = up(np.ldexp(weight, by_weight)).astype(np.int64)
    profits = down(np.ldexp(profit, by_profit)).astype(np.int64)
    room_units = int(down(np.ldexp(min(max(room, np.longdouble(0)), weight.sum()), by_weight)))
    chosen = np.zeros(len(weight), dtype=bool)
    # OR-Tools aborts the process on a negative number and divides by weights: what is free is simply taken.
    free = weights <= 0
    fits = ~free & (weights <= room_units) & (profits > 0)
    chosen[free] = True
    items, total, proved = np.flatnonzero(fits), int(profits[free].sum()), True
    if len(items) and int(weights[items].sum()) <= room_units:
        chosen[items] = True
        total += int(profits[items].sum())
    elif len(items):
        module = knapsack_module()
        search = module.KnapsackSolver(module.SolverType.KNAPSACK_MULTIDIMENSION_BRANCH_AND_BOUND_SOLVER, "deferral")
        search.set_use_reduction(False)  # its reduction is quadratic in the number of items
        search.set_time_limit(time_limit / 2)
        search.init(profits[items].tolist(), [weights[items].tolist()], [room_units])
        total += int(search.solve())
        proved = bool(search.is_solution_optimal())
        chosen[items] = [search.best_solution_contains(i) for i in range(len(items))]
    return chosen, np.ldexp(np.longdouble(total), -by_profit), proved
