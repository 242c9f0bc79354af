"""``check_solver``."""

from __future__ import annotations

import torch
from torch import Tensor

from ..solvers import CLAIMS, Brute, Solver
from ..solvers.base import risk_of
from .claims import ROUNDING, a_decision, a_value, claim, companion, distributions, right_kind, same_twice


def check_solver(solver: Solver, seed: int = 0) -> None:
    """Check a solver: d in [0, 1], rows decided on their own, its `cut`, and its claims, against the exhaustive optimum.

    Also that it is a function: the same input gives the same decision, and its claims are no arguments of its constructor.

    Raises:
        AssertionError: one sentence that says which claim failed and on what input.

    >>> from kad import Primal
    >>> check_solver(Primal(budget=0.6))
    """
    right_kind(solver, Solver)
    a_value(solver, CLAIMS)
    name = type(solver).__name__
    claim(not solver.per_row, f"{name} holds numbers of single rows; check it with one number, which is each row's.")
    claim(
        solver.limit is not None or not (solver.feasible or solver.exact or solver.fills),
        f"{name} claims something about a budget but has none: give it a field `budget`.",
    )
    generator = torch.Generator().manual_seed(seed)
    problems = [
        (p, loss, f"for mass {p.tolist()} and loss {loss.tolist()}")
        for p in distributions(seed)
        for loss in (-p.log(), (1 - p) ** 2, torch.rand(len(p), generator=generator, dtype=p.dtype).round(decimals=1))
    ]
    for p, loss, at in problems:  # before anything else: a solver that draws lots fails every claim, and none says why
        d = solver.defer(loss, p)
        a_decision(d, p, f"{name}'s d", at)
        same_twice(d, solver.defer(loss, p), f"{name}'s d", at)
    for p, loss, at in problems:
        check_decision(solver, solver.defer(loss, p), p, loss, at)


def check_decision(solver: Solver, d: Tensor, p: Tensor, loss: Tensor, at: str) -> None:
    """What a solver claims, of its decision d on one problem."""
    limit, name = solver.limit, type(solver).__name__
    if not solver.fractional:
        claim(((d == 0) | (d == 1)).all(), f"{name} returns a fractional d but does not claim it, {at}.")
    finite = loss.flip(0).nan_to_num(posinf=50.0)  # only tokens of mass zero may cost infinity
    both = solver.defer(torch.stack([loss, finite]), torch.stack([p, companion(p)]))
    claim(torch.equal(both[0], d), f"{name} decides a row of a batch otherwise than alone, {at}.")
    cut = solver.cut(p)
    if cut is not None:
        by_price = solver.defer(1 - p, p)
        claim(torch.equal(cut.dense(p), by_price), f"{name}'s cut differs from its d for the loss 1 - p, {at}.")
        claim(abs(float(cut.alpha - (p * by_price).sum())) <= ROUNDING, f"{name}'s cut has a wrong α, {at}.")
    if limit is None:
        return
    budget, mass = float(limit), float((p * d).sum())
    if solver.feasible:
        claim(mass <= budget + ROUNDING, f"{name} defers {mass} > budget {budget}, {at}.")
    if solver.fills:
        claim(abs(mass - budget) <= ROUNDING, f"{name} claims to fill the budget {budget} but defers {mass}, {at}.")
    if solver.exact:
        best = float(risk_of(loss, p, Brute(budget).defer(loss, p)))
        risk = float(risk_of(loss, p, d))
        claim(risk <= best + ROUNDING, f"{name} claims to be exact but its risk is {risk} > {best}, {at}.")
