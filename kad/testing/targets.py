"""``check_target``."""

from __future__ import annotations

import torch
from torch import Tensor

from ..mixture import Target
from .claims import ROUNDING, a_decision, a_value, claim, companion, distributions, per_token, right_kind, same_twice


def check_target(target: Target, seed: int = 0) -> None:
    """Check a target: π is a distribution, batched by row, and agrees with its own ``defer`` and ``cut`` if it has them.

    A ``defer`` may return None, which says that the target is no mixture; it must then do so for every input. Also
    that π and d are functions: the same input gives the same, and ``reads_proxy`` is no argument of the constructor.

    Raises:
        AssertionError: one sentence that says which claim failed and on what input.

    >>> import kad
    >>> check_target(kad.dual(0.4))
    """
    right_kind(target, Target)
    a_value(target, ["reads_proxy"])
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
        d = decision(target, p, q)
        claim(mixture in (None, d is not None), f"{name}'s defer returns None for some inputs only, {at}.")
        mixture = d is not None
        if d is not None:
            check_mixture(target, d, pi, p, q, stack, at)
    claim(
        mixture or target.reads_proxy,
        f"{name} claims with reads_proxy = False to decide without q* but defines no decision: give it a defer, or "
        "leave the claim out.",
    )


def decision(target: Target, p: Tensor, q: Tensor) -> Tensor | None:
    """d as a decoder asks for it."""
    return target.defer(p, q) if target.reads_proxy else target.defer(p)


def check_mixture(target: Target, d: Tensor, pi: Tensor, p: Tensor, q: Tensor, stack: list[Tensor], at: str) -> None:
    """A target's own d: a decision, a function of its input and of its row, whose mixture is π; and its cut is d."""
    name = type(target).__name__
    a_decision(d, p, f"{name}'s defer", at)
    again, rows = decision(target, p, q), decision(target, stack[0], stack[1])
    claim(again is not None and rows is not None, f"{name}'s defer returns None for some inputs only, {at}.")
    assert again is not None
    assert rows is not None
    same_twice(d, again, f"{name}'s defer", at)
    a_decision(rows, stack[0], f"{name}'s defer", f"for a batch, and {at} first in it")
    claim(
        torch.allclose(rows[0], d, atol=1e-12), f"{name}'s defer decides a row of a batch otherwise than alone, {at}."
    )
    mixture = p * (1 - d) + (p * d).sum() * q
    claim(torch.allclose(mixture, pi, atol=1e-12), f"{name}'s π is not the mixture of its own defer, {at}.")
    cut = target.cut(p)
    if cut is not None:
        claim(torch.equal(cut.dense(p), d), f"{name}'s cut differs from its defer, {at}.")
        claim(abs(float(cut.alpha - (p * d).sum())) <= ROUNDING, f"{name}'s cut has a wrong α, {at}.")
