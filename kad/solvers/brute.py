"""Every one of the 2^V decisions: the reference that nothing clever can disagree with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from ..distributions import accumulation_dtype, check_budget
from .base import Proof, Solver, limit_of, risk_of
from .parameters import one_number

LARGEST = 16


def every_decision(loss: Tensor, mass: Tensor, limit: Tensor) -> tuple[Tensor, Tensor]:
    """All 0-1 vectors of length V, ``(2^V, V)``, in the order of their binary codes (token 0 is the lowest bit), and the risk
    of each, ``(*batch, 2^V)``: infinite above the limit of its row, ``(*batch,)``."""
    n = mass.shape[-1]
    d = (torch.arange(2**n).unsqueeze(-1) >> torch.arange(n) & 1).to(mass)
    mass, loss = mass.unsqueeze(-2), loss.unsqueeze(-2)
    # With b = 1 everything may go, whatever the masses' rounded sum.
    fits = (mass * d).sum(-1) <= torch.where(limit >= 1, torch.inf, limit).unsqueeze(-1)
    return d, risk_of(loss, mass, d).masked_fill(~fits, torch.inf)


@final
@dataclass(frozen=True)
class Brute(Solver):
    """The exact optimum of the 0-1 knapsack by enumeration, for vocabularies of at most 16 tokens.

    Among equal risks it takes the decision with the smallest binary code (token 0 is the lowest bit).

    Attributes:
        budget: b in [0, 1], one number for all rows.

    Raises:
        ValueError: budget outside [0, 1], or more than 16 tokens.

    >>> import torch
    >>> p = torch.tensor([0.5, 0.3, 0.2])
    >>> Brute(budget=0.55).defer(-p.log(), p)
    tensor([0., 1., 1.])
    """

    budget: float
    feasible: ClassVar[bool] = True
    exact: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "budget", one_number("Brute budget", self.budget))
        check_budget(self.budget)

    def defer(self, loss: Tensor, mass: Tensor) -> Tensor:
        n = mass.shape[-1]
        if n > LARGEST:
            raise ValueError(f"Brute enumerates 2^V decisions and takes at most {LARGEST} tokens, got {n}.")
        wide = accumulation_dtype(mass)
        d, risk = every_decision(loss.to(wide), mass.to(wide), limit_of(self.budget, mass))
        return d[risk.argmin(-1)].to(mass.dtype)

    def prove(self, loss: Tensor, mass: Tensor) -> Proof:
        d = self.defer(loss, mass)
        risk = risk_of(loss.double(), mass.double(), d.double())
        return Proof(d, risk, ["OPTIMAL"] * risk.numel(), ["enumeration"] * risk.numel())
