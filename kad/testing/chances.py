"""``check_chance``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..chances import Chance
from .claims import claim, distributions, right_kind

COINS = 64  # of coins that are certain, so that one which errs half of the time passes with probability 2^-64


def check_chance(chance: Chance, seed: int = 0) -> None:
    """Check a source of chance: what `pick`, `coin` and `leading` return, and that what is impossible never happens.

    Before each decision the source is told what it is about, as the decoder does. Checked are shapes and dtypes; that
    no token of weight zero is ever picked, whatever the weights add up to; that coins of probability 0 never and of
    probability 1 always come up; that `leading` counts up to the first that does not; and that `settled` gives back
    what it is given. How often an uncertain event happens is not checked. A source that says it is ``greedy`` must
    pick the heaviest token, of equal ones the first. It is asked about rows 0 to 5, so a source with something of its
    own for every row needs six of them.

    Raises:
        AssertionError: one sentence that says which claim failed and on what input.

    >>> import kad, torch
    >>> check_chance(kad.Sampled(torch.Generator().manual_seed(0)))
    """
    right_kind(chance, Chance)
    name, says = type(chance).__name__, f"must be True or False, a property or an attribute, got {chance.greedy!r}."
    claim(isinstance(chance.greedy, bool), f"{name}.greedy {says}")
    check_pick(chance, seed)
    check_coin(chance)
    check_leading(chance)
    for value in (torch.tensor([True, False, True]), torch.tensor([0, 3, 7])):
        found = chance.settled(value.clone())
        good = isinstance(found, Tensor) and found.dtype == value.dtype and torch.equal(found, value)
        given = f"got {returned(found)} for {value.tolist()}"
        claim(good, f"{name}.settled must give back what it was given, {given}.")


def announce(chance: Chance, rows: int, place: int, what: str) -> None:
    """Tell the source what the next decision is about, of every row."""
    every = torch.arange(rows)
    chance.about(every, torch.full_like(every, place), torch.ones(rows, dtype=torch.bool), what, 0)


def one_each(found: Any, rows: int, *dtypes: torch.dtype) -> bool:
    return isinstance(found, Tensor) and found.shape == (rows,) and found.dtype in dtypes


def returned(found: Any) -> str:
    return f"{found.dtype} {tuple(found.shape)} {found.tolist()}" if isinstance(found, Tensor) else repr(found)


def check_pick(chance: Chance, seed: int) -> None:
    """Tokens of positive weight, for weights that sum to 1 and for others, in both precisions."""
    name = type(chance).__name__
    for p in distributions(seed):
        for scale, dtype in ((1.0, torch.float64), (1.0, torch.float32), (1e-3, torch.float32), (40.0, torch.float64)):
            weights = (scale * torch.stack([p, p.flip(0), p])).to(dtype)
            given = weights.clone()
            for place in range(4):
                announce(chance, len(weights), place, "draft")
                token = chance.pick(weights)
                at = f"for the weights {given.tolist()}"
                good = one_each(token, len(weights), torch.long)
                claim(good, f"{name}.pick must return ids, torch.int64 ({len(weights)},), got {returned(token)}, {at}.")
                inside = ((token >= 0) & (token < len(p))).all()
                claim(torch.equal(weights, given), f"{name}.pick changed the weights that it was given, {at}.")
                claim(inside, f"{name}.pick must return ids in [0, {len(p)}), got {token.tolist()}, {at}.")
                weight = weights.gather(1, token.unsqueeze(-1))
                claim((weight > 0).all(), f"{name}.pick returned a token of weight zero, {token.tolist()}, {at}.")
                if chance.greedy:
                    modes = [row.index(max(row)) for row in weights.tolist()]
                    claim(
                        token.tolist() == modes,
                        f"{name} says that it is greedy: pick must return the heaviest tokens, of equal ones the first, "
                        f"{modes}, got {token.tolist()}, {at}.",
                    )


def check_coin(chance: Chance) -> None:
    """0 never, 1 always."""
    name, size = type(chance).__name__, 3
    for probability in (torch.tensor([0.0, 1.0, 0.5]), torch.tensor([1.0, 0.0, 0.25], dtype=torch.float64)):
        at = f"for the probabilities {probability.tolist()}"
        for place in range(COINS):
            announce(chance, size, place, "keep")
            coin = chance.coin(probability)
            claim(
                one_each(coin, size, torch.bool),
                f"{name}.coin must return torch.bool ({size},), got {returned(coin)}, {at}.",
            )
            claim(not coin[probability == 0].any(), f"{name}.coin came up at probability 0, {at}.")
            claim(coin[probability == 1].all(), f"{name}.coin did not come up at probability 1, {at}.")


def check_leading(chance: Chance) -> None:
    """A count that passes the certain coins at the front and stops at the first impossible one."""
    name = type(chance).__name__
    rows = torch.tensor([[1, 1, 1, 1], [0, 1, 1, 1], [1, 1, 0, 1], [1, 0.5, 0, 1], [0.5] * 4, [1, 1, 1, 0.5]])
    for probability in (rows, rows.double(), torch.ones(3, 0), torch.tensor([[1.0], [0.0]])):
        count, n = probability.shape
        least = [next((i for i, x in enumerate(row) if x < 1), n) for row in probability.tolist()]
        most = [next((i for i, x in enumerate(row) if x == 0), n) for row in probability.tolist()]
        at = f"for the probabilities {probability.tolist()}"
        for place in range(COINS // 4):
            announce(chance, count, place, "accept")
            passed = chance.leading(probability)
            good = one_each(passed, count, torch.int32, torch.int64)
            claim(good, f"{name}.leading must return counts, torch.int64 ({count},), got {returned(passed)}, {at}.")
            good = all(a <= x <= b for a, x, b in zip(least, passed.tolist(), most, strict=True))
            claim(
                good,
                f"{name}.leading must count the coins before the first that fails, at least {least} and at most {most}, "
                f"got {passed.tolist()}, {at}.",
            )
