"""``check_loss``, ``check_solver`` and ``check_target``: functions of distributions, which are values themselves."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..checks import forgotten_classvar
from ..cut import Cut
from ..losses import Loss
from ..solvers import Brute, Solver
from ..solvers.base import ROUNDING, risk_of
from ..target import Target
from .claims import claim, distributions, right_kind
from .states import check_states


def check_loss(loss: Loss, seed: int = 0) -> None:
    """Check that a loss is one: shapes, sign, batching, and its claims ``reads_proxy``, ``decreasing`` and ``strict``.

    Also that it is a function: the same input gives the same losses, and its claims are no arguments of its constructor.

    Raises:
        AssertionError: one sentence that says which claim failed and on what input.

    >>> from kad import Logistic
    >>> check_loss(Logistic())
    """
    a_value(loss, Loss)
    name, reads_seen = type(loss).__name__, False

    def losses(p: Tensor, q: Tensor) -> Tensor:
        return loss(p, q) if loss.reads_proxy else loss(p)

    for p, q in zip(distributions(seed), distributions(seed + 1), strict=True):
        at, values = f"for p = {p.tolist()}", losses(p, q)
        per_token(values, p, f"{name}'s losses, one loss per token,", at)
        claim(not torch.isnan(values).any(), f"{name} is NaN {at}.")
        claim((values >= 0).all(), f"{name} is negative {at}.")
        finite = torch.isfinite(values[p > 0]).all()
        claim(finite, f"{name} is infinite for a token of positive mass, p = {p.tolist()}.")
        same_twice(values, losses(p, q), name, at)
        both = losses(torch.stack([p, companion(p)]), torch.stack([q, companion(q).flip(0)]))
        claim(torch.allclose(both[0], values, rtol=1e-12), f"{name} gives a row in a batch another loss than alone.")
        if loss.reads_proxy:
            reads_seen |= not torch.equal(loss(p, torch.full_like(q, 1 / len(q))), values)
        else:
            claim(torch.equal(loss(p, q), values), f"{name} reads q* but does not say so: set reads_proxy = True.")
        order = p.argsort()
        ordered = values[order]
        if loss.decreasing:
            falls = ordered[1:] <= ordered[:-1] + ROUNDING
            claim(falls.all(), f"{name} claims to be decreasing but rises with p_v {at}.")
        if loss.strict:
            claim(loss.decreasing and not loss.reads_proxy, f"{name} is strict, so it must be decreasing in p_v alone.")
            apart = p[order].diff() > ROUNDING
            claim((ordered.diff() < 0)[apart].all(), f"{name} claims to fall strictly with p_v but does not {at}.")
    claim(reads_seen or not loss.reads_proxy, f"{name} claims to read q* but never changes with it.")
    single = torch.softmax(torch.randn(3, 50, generator=torch.Generator().manual_seed(seed)), -1)
    values = losses(single, single)
    claim(values.dtype == torch.float32 and bool((values >= 0).all()), f"{name} fails on float32 batches.")


def check_solver(solver: Solver, seed: int = 0) -> None:
    """Check a solver: d in [0, 1], rows decided on their own, its `cut`, and its claims, against the exhaustive optimum.

    Also that it is a function: the same input gives the same decision, and its claims are no arguments of its constructor.

    Raises:
        AssertionError: one sentence that says which claim failed and on what input.

    >>> from kad import Primal
    >>> check_solver(Primal(budget=0.6))
    """
    a_value(solver, Solver)
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
        check_solution(solver, solver.defer(loss, p), p, loss, at)


def check_solution(solver: Solver, d: Tensor, p: Tensor, loss: Tensor, at: str) -> None:
    """What a solver claims, of its decision d on one problem."""
    limit, name = solver.limit, type(solver).__name__
    if not solver.fractional:
        claim(((d == 0) | (d == 1)).all(), f"{name} returns a fractional d but does not claim it, {at}.")
    finite = loss.flip(0).nan_to_num(posinf=50.0)  # only tokens of mass zero may cost infinity
    both = solver.defer(torch.stack([loss, finite]), torch.stack([p, companion(p)]))
    alike = torch.allclose(both[0], d, rtol=0, atol=1e-12)  # a vector's exp rounds by its place in memory
    claim(alike, f"{name} decides a row of a batch otherwise than alone, {at}.")
    cut = solver.cut(p)
    if cut is not None:
        check_cut(cut, solver.defer(1 - p, p), p, f"{name}'s cut", "d for the loss 1 - p", at)
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


def check_target(target: Target, seed: int = 0) -> None:
    """Check a target: π is a distribution, batched by row, and agrees with its own ``defer`` and ``cut`` if it has them.

    A ``defer`` may return None, which says that the target is no mixture; it must then do so for every input. Also
    that π and d are functions: the same input gives the same, and ``reads_proxy`` is no argument of the constructor. Of a
    `kad.Stateful` also where it begins, what it is at the states of some walks, and how they go on.

    Raises:
        AssertionError: one sentence that says which claim failed and on what input.

    >>> import kad
    >>> check_target(kad.dual(0.4))
    """
    a_value(target, Target)
    if target.stateful is not None:
        check_states(target.stateful, seed)
    name, mixture = type(target).__name__, None
    for p, q in zip(distributions(seed), distributions(seed + 1), strict=True):
        r = torch.full_like(p, 1 / len(p)) if target.reference is not None else None
        given = [x for x in (p, q, r) if x is not None]
        stack = [torch.stack([x, companion(x)]) for x in given]
        at = f"for p = {p.tolist()} and q = {q.tolist()}"
        pi = target(*given)
        per_token(pi, p, f"{name}'s π", at)
        claim(torch.isfinite(pi).all() and (pi >= 0).all(), f"{name} returns a π that is negative or not finite, {at}.")
        same_twice(pi, target(*given), f"{name}'s π", at)
        claim(abs(float(pi.sum()) - 1) <= ROUNDING, f"{name} returns a π that sums to {float(pi.sum())}, {at}.")
        claim(torch.allclose(target(*stack)[0], pi, atol=1e-12), f"{name} gives a row in a batch another π than alone.")
        d = d_of(target, p, q)
        claim(mixture in (None, d is not None), f"{name}'s defer returns None for some inputs only, {at}.")
        mixture = d is not None
        if d is not None:
            check_mixture(target, d, pi, p, q, stack, at)
    claim(
        mixture or target.reads_proxy,
        f"{name} claims with reads_proxy = False to decide without q* but defines no decision: give it a defer, or "
        "leave the claim out.",
    )


def d_of(target: Target, p: Tensor, q: Tensor) -> Tensor | None:
    """As a decoder asks for it."""
    return target.defer(p, q) if target.reads_proxy else target.defer(p)


def check_mixture(target: Target, d: Tensor, pi: Tensor, p: Tensor, q: Tensor, stack: list[Tensor], at: str) -> None:
    """A target's own d: a decision, a function of its input and of its row, whose mixture is π; and its cut is d."""
    what = f"{type(target).__name__}'s defer"
    a_decision(d, p, what, at)
    again, rows = d_of(target, p, q), d_of(target, stack[0], stack[1])
    if again is None or rows is None:
        raise AssertionError(f"{what} returns None for some inputs only, {at}.")
    same_twice(d, again, what, at)
    a_decision(rows, stack[0], what, f"for a batch, and {at} first in it")
    claim(torch.allclose(rows[0], d, atol=1e-12), f"{what} decides a row of a batch otherwise than alone, {at}.")
    mixture = p * (1 - d) + (p * d).sum() * q
    alike = torch.allclose(mixture, pi, atol=1e-12)
    claim(alike, f"{type(target).__name__}'s π is not the mixture of its own defer, {at}.")
    cut = target.cut(p)
    if cut is not None:
        check_cut(cut, d, p, f"{type(target).__name__}'s cut", "defer", at)


def check_cut(cut: Cut, d: Tensor, p: Tensor, what: str, other: str, at: str) -> None:
    claim(torch.equal(cut.dense(p), d), f"{what} differs from its {other}, {at}.")
    claim(abs(float(cut.alpha - (p * d).sum())) <= ROUNDING, f"{what} has a wrong α, {at}.")


def a_value(thing: object, kind: type) -> None:
    """Losses, solvers and targets are values: frozen dataclasses, which compare and hash by their fields.

    Their claims are of the class, and no fields.
    """
    right_kind(thing, kind)
    parameters = getattr(type(thing), "__dataclass_params__", None)
    frozen = parameters is not None and parameters.frozen
    claim(frozen, f"{type(thing).__name__} must be a frozen dataclass (@dataclass(frozen=True)).")
    sentence = forgotten_classvar(thing, kind)
    claim(sentence is None, sentence or "")


def companion(p: Tensor) -> Tensor:
    """Another distribution over as many tokens: the second row of a batch, in which the first must not change."""
    weights = torch.arange(1, len(p) + 1, dtype=p.dtype) ** 3
    return weights / weights.sum()


def per_token(found: Any, like: Tensor, what: str, at: str) -> None:
    """One number per token, in the right dtype: ``what`` is whose, with its verb."""
    claim(isinstance(found, Tensor), f"{what} must be a tensor, got {type(found).__name__}, {at}.")
    claim(found.shape == like.shape, f"{what} must have shape {tuple(like.shape)}, got {tuple(found.shape)}, {at}.")
    claim(found.dtype == like.dtype, f"{what} must have the dtype {like.dtype}, got {found.dtype}, {at}.")


def a_decision(d: Any, like: Tensor, what: str, at: str) -> None:
    per_token(d, like, what, at)
    claim(((d >= 0) & (d <= 1)).all(), f"{what} is outside [0, 1]: {d.tolist()}, {at}.")


def same_twice(first: Tensor, second: Tensor, what: str, at: str) -> None:
    """No randomness and no memory: what was found is a function of what was given."""
    claim(
        torch.equal(first, second),
        f"{what} differs when the same input is given twice: it must be a function of its input, with no randomness and "
        f"no memory, {at}.",
    )
