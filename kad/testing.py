"""Conformance suites: ``check_loss``, ``check_solver`` and ``check_target`` for classes of your own.

Each raises an AssertionError with one sentence that says which claim failed and on what input. kad's own classes go
through the same suites in its tests.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import torch
from torch import Tensor

from .losses import Loss
from .mixture import Target
from .solvers import Brute, Solver
from .solvers.base import risk_of

__all__ = ["check_loss", "check_solver", "check_target"]

ROUNDING = 1e-9  # for float64 sums over at most eight tokens
LARGEST = 8


def distributions(seed: int = 0, count: int = 40) -> Iterator[Tensor]:
    """float64 distributions ``(V,)``, ordinary and hostile: one token, ties, zeros, one-hot, one heavy token."""
    generator = torch.Generator().manual_seed(seed)
    yield torch.tensor([1.0], dtype=torch.float64)
    yield torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    yield torch.full((5,), 0.2, dtype=torch.float64)
    yield torch.tensor([0.25, 0.25, 0.5, 0.0], dtype=torch.float64)
    yield torch.tensor([0.97, 0.01, 0.01, 0.01], dtype=torch.float64)
    yield torch.tensor([0.5, 0.5 - 1e-12, 1e-12], dtype=torch.float64)
    for i in range(count):
        size = 2 + i % (LARGEST - 1)
        yield torch.softmax((1 + i % 4) * torch.randn(size, generator=generator, dtype=torch.float64), -1)


def companion(p: Tensor) -> Tensor:
    """Another distribution over as many tokens: the second row of a batch, in which the first must not change."""
    weights = torch.arange(1, len(p) + 1, dtype=p.dtype) ** 3
    return weights / weights.sum()


def claim(holds: bool | Tensor, sentence: str) -> None:
    if not bool(holds):
        raise AssertionError(sentence)


def check_loss(loss: Loss, seed: int = 0) -> None:
    """Check that a loss is one: shapes, sign, batching, and its claims ``reads_proxy``, ``decreasing`` and ``strict``.

    >>> from kad import Logistic
    >>> check_loss(Logistic())
    """
    claim(isinstance(loss, Loss), f"{type(loss).__name__} is not a kad.Loss.")
    frozen(loss)
    name, reads_seen = type(loss).__name__, False
    for p, q in zip(distributions(seed), distributions(seed + 1), strict=True):
        values = loss(p, q) if loss.reads_proxy else loss(p)
        claim(
            values.shape == p.shape,
            f"{name} must return one loss per token: {tuple(p.shape)}, got {tuple(values.shape)}.",
        )
        claim(values.dtype == p.dtype, f"{name} must keep the dtype {p.dtype}, got {values.dtype}.")
        claim(not torch.isnan(values).any(), f"{name} is NaN for p = {p.tolist()}.")
        claim((values >= 0).all(), f"{name} is negative for p = {p.tolist()}.")
        claim(
            torch.isfinite(values[p > 0]).all(), f"{name} is infinite for a token of positive mass, p = {p.tolist()}."
        )
        batch = torch.stack([p, companion(p)])
        both = loss(batch, torch.stack([q, companion(q).flip(0)])) if loss.reads_proxy else loss(batch)
        claim(torch.allclose(both[0], values, rtol=1e-12), f"{name} gives a row in a batch another loss than alone.")
        if not loss.reads_proxy:
            claim(torch.equal(loss(p, q), values), f"{name} reads q* but does not say so: set reads_proxy = True.")
        else:
            reads_seen |= not torch.equal(loss(p, torch.full_like(q, 1 / len(q))), values)
        if loss.decreasing:
            order = p.argsort()
            falls = values[order][1:] <= values[order][:-1] + ROUNDING
            claim(falls.all(), f"{name} claims to be decreasing but rises with p_v for p = {p.tolist()}.")
        if loss.strict:
            claim(loss.decreasing and not loss.reads_proxy, f"{name} is strict, so it must be decreasing in p_v alone.")
            order = p.argsort()
            apart = p[order].diff() > ROUNDING
            falls = values[order].diff() < 0
            claim(falls[apart].all(), f"{name} claims to fall strictly with p_v but does not for p = {p.tolist()}.")
    claim(reads_seen or not loss.reads_proxy, f"{name} claims to read q* but never changes with it.")
    half = torch.softmax(torch.randn(3, 50, generator=torch.Generator().manual_seed(seed)), -1)
    values = loss(half, half) if loss.reads_proxy else loss(half)
    claim(values.dtype == torch.float32 and bool((values >= 0).all()), f"{name} fails on float32 batches.")


def check_solver(solver: Solver, seed: int = 0) -> None:
    """Check a solver: d in [0, 1], rows decided on their own, its `cut`, and its claims, against the exhaustive optimum.

    >>> from kad import Primal
    >>> check_solver(Primal(budget=0.6))
    """
    claim(isinstance(solver, Solver), f"{type(solver).__name__} is not a kad.Solver.")
    frozen(solver)
    budget, name = solver.limit, type(solver).__name__
    claim(
        budget is not None or not (solver.feasible or solver.exact or solver.fills),
        f"{name} claims something about a budget but has none: give it a field `budget`.",
    )
    generator = torch.Generator().manual_seed(seed)
    for p in distributions(seed):
        for loss in (-p.log(), (1 - p) ** 2, torch.rand(len(p), generator=generator, dtype=p.dtype).round(decimals=1)):
            d = solver.defer(loss, p)
            at = f"for mass {p.tolist()} and loss {loss.tolist()}"
            claim(
                d.shape == p.shape and d.dtype == p.dtype,
                f"{name} must return d with the mass's shape and dtype, {at}.",
            )
            claim(((d >= 0) & (d <= 1)).all(), f"{name} returns a d outside [0, 1], {at}.")
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
            if budget is None:
                continue
            mass = float((p * d).sum())
            if solver.feasible:
                claim(mass <= budget + ROUNDING, f"{name} defers {mass} > budget {budget}, {at}.")
            if solver.fills:
                claim(
                    abs(mass - budget) <= ROUNDING,
                    f"{name} claims to fill the budget {budget} but defers {mass}, {at}.",
                )
            if solver.exact:
                best = float(risk_of(loss, p, Brute(budget).defer(loss, p)))
                risk = float(risk_of(loss, p, d))
                claim(risk <= best + ROUNDING, f"{name} claims to be exact but its risk is {risk} > {best}, {at}.")


def check_target(target: Target, seed: int = 0) -> None:
    """Check a target: π is a distribution, batched by row, and agrees with its own ``defer`` if it has one.

    >>> import kad
    >>> check_target(kad.dual(0.4))
    """
    claim(isinstance(target, Target), f"{type(target).__name__} is not a kad.Target.")
    frozen(target)
    name = type(target).__name__
    for p, q in zip(distributions(seed), distributions(seed + 1), strict=True):
        r = torch.full_like(p, 1 / len(p)) if target.reference is not None else None
        pi = target(p, q) if r is None else target(p, q, r)
        at = f"for p = {p.tolist()} and q = {q.tolist()}"
        claim(pi.shape == p.shape and pi.dtype == p.dtype, f"{name} must return π with p's shape and dtype, {at}.")
        claim(torch.isfinite(pi).all() and (pi >= 0).all(), f"{name} returns a π that is negative or not finite, {at}.")
        claim(abs(float(pi.sum()) - 1) <= ROUNDING, f"{name} returns a π that sums to {float(pi.sum())}, {at}.")
        stack = [torch.stack([x, companion(x)]) for x in (p, q, r) if x is not None]
        claim(torch.allclose(target(*stack)[0], pi, atol=1e-12), f"{name} gives a row in a batch another π than alone.")
        d = target.defer(p) if not target.reads_proxy else target.defer(p, q)
        if d is not None:
            mixture = p * (1 - d) + (p * d).sum() * q
            claim(torch.allclose(mixture, pi, atol=1e-12), f"{name}'s π is not the mixture of its own defer, {at}.")


def frozen(thing: object) -> None:
    """Losses, solvers and targets are values: frozen dataclasses, which compare and hash by their fields."""
    parameters = getattr(type(thing), "__dataclass_params__", None)
    claim(
        dataclasses.is_dataclass(thing) and parameters is not None and parameters.frozen,
        f"{type(thing).__name__} must be a frozen dataclass (@dataclass(frozen=True)).",
    )
