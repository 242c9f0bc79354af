"""``check_loss``."""

from __future__ import annotations

import torch

from ..losses import CLAIMS, Loss
from .claims import ROUNDING, a_value, claim, companion, distributions, per_token, right_kind, same_twice


def check_loss(loss: Loss, seed: int = 0) -> None:
    """Check that a loss is one: shapes, sign, batching, and its claims ``reads_proxy``, ``decreasing`` and ``strict``.

    Also that it is a function: the same input gives the same losses, and its claims are no arguments of its constructor.

    Raises:
        AssertionError: one sentence that says which claim failed and on what input.

    >>> from kad import Logistic
    >>> check_loss(Logistic())
    """
    right_kind(loss, Loss)
    a_value(loss, CLAIMS)
    name, reads_seen = type(loss).__name__, False
    for p, q in zip(distributions(seed), distributions(seed + 1), strict=True):
        values = loss(p, q) if loss.reads_proxy else loss(p)
        per_token(values, p, f"{name}'s losses, one loss per token,", f"for p = {p.tolist()}")
        claim(not torch.isnan(values).any(), f"{name} is NaN for p = {p.tolist()}.")
        claim((values >= 0).all(), f"{name} is negative for p = {p.tolist()}.")
        claim(
            torch.isfinite(values[p > 0]).all(), f"{name} is infinite for a token of positive mass, p = {p.tolist()}."
        )
        same_twice(values, loss(p, q) if loss.reads_proxy else loss(p), name, f"for p = {p.tolist()}")
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
