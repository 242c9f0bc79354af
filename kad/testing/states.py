"""What `check_target` measures of a target with a state."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ..stateful import Stateful
from ..target import Target
from .claims import claim, distributions, right_kind

WALK = 6  # tokens of a walk


def check_states(target: Stateful, seed: int = 0) -> None:
    """Where it begins, what it is at a state, and how it goes on, along walks over random distributions.

    Raises:
        AssertionError: one sentence that says which claim failed.
    """
    name = type(target).__name__
    begin = target.begin()
    numbers: Any = begin if isinstance(begin, tuple) else (begin,)
    right = all(isinstance(x, int | float) and math.isfinite(x) for x in numbers) and len(numbers) > 0
    claim(right, f"{name}'s begin must return a finite number or a tuple of them, got {begin!r}.")
    claim(target.begin() == begin, f"{name}'s begin differs from call to call.")
    generator = torch.Generator().manual_seed(seed)
    for p, q in zip(distributions(seed), distributions(seed + 1), strict=True):
        p, q = torch.stack([p, p.flip(0)]), torch.stack([q, q.flip(0)])
        state = target.first(p)
        for step in range(WALK):
            at = f"at state {state.tolist()}, token {step + 1} of a walk"
            alpha = mass_at(target, state, p, q, at)
            token = torch.randint(0, p.shape[-1], (2,), generator=generator)
            state = next_state(target, state, alpha, token, at)


def mass_at(target: Stateful, state: Tensor, p: Tensor, q: Tensor, at: str) -> Tensor:
    """α at a state, once what ``at`` returns has been looked at, ``(B,)``."""
    name = type(target).__name__
    now = target.at(state.clone())
    right_kind(now, Target)
    claim(now.stateful is None, f"{name}'s at must return a target without a state, {at}.")
    for what in ("reads_proxy", "placement"):
        mine, its = getattr(target, what), getattr(now, what)
        claim(its == mine, f"{name}.{what} is {mine!r}, but that of what its at returns is {its!r}, {at}.")
    d = now.defer(p, q) if target.reads_proxy else now.defer(p)
    if d is None:
        raise AssertionError(f"{name}'s at must return a mixture, {at}.")
    claim(((d >= 0) & (d <= 1)).all(), f"{name}'s decision is outside [0, 1], {at}.")
    alone = target.at(state[:1].clone()).defer(p[:1], q[:1])
    same = alone is not None and torch.allclose(alone, d[:1], atol=1e-12)
    claim(same, f"{name}'s at gives a row in a batch another decision than alone, {at}.")
    return (p * d).sum(-1)


def next_state(target: Stateful, state: Tensor, alpha: Tensor, token: Tensor, at: str) -> Tensor:
    """The states behind a token, once they have been looked at."""
    name, given = type(target).__name__, state.clone()
    found = target.follow(given, alpha, token)
    claim(torch.equal(given, state), f"{name}'s follow changes the state that it is given, {at}.")
    claim(isinstance(found, Tensor), f"{name}'s follow must return a tensor, got {type(found).__name__}, {at}.")
    alike = found.shape == state.shape and found.dtype == state.dtype
    wanted, got = f"{state.dtype} {tuple(state.shape)}", f"{found.dtype} {tuple(found.shape)}"
    claim(alike, f"{name}'s follow must return states like those it is given, {wanted}, got {got}, {at}.")
    claim(torch.isfinite(found).all(), f"{name}'s follow returns {found.tolist()}, {at}.")
    again = target.follow(state, alpha, token)
    claim(torch.equal(again, found), f"{name}'s follow gives another state when it is asked again, {at}.")
    further = target.follow(torch.stack([state[0], found[1]]), alpha, token)  # beside another row than before
    alone = target.follow(state[:1], alpha[:1], token[:1])
    same = torch.allclose(further[:1], alone, rtol=1e-12)
    claim(same, f"{name}'s follow gives a row in a batch another state than alone, {at}.")
    target.follow(state, torch.full_like(alpha, torch.nan), token)  # of rows that do not count
    return found
