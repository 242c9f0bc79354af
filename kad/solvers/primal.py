"""The primal greedy: defer by falling loss for as long as the budget lasts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from ..arithmetic import Prefix, arithmetic_of
from ..cut import Cut
from .base import Solver
from .parameters import Parameter, Parameters, budget_of, budgets


@final
@dataclass(frozen=True, eq=False, repr=False)
class Primal(Parameters, Solver):
    """Sort by ℓ descending and defer the longest prefix of mass ≤ b, the same for every row (theory S4).

    Its risk exceeds the optimum by at most ℓ_c u, the loss of the critical token times the unfilled budget; with
    the logistic loss that is less than 1/e nats. With a decreasing loss the kept set is the nucleus (top-p) of
    mass ≥ 1 − b (theory S5). Equal losses are deferred in the order of the token ids.

    Attributes:
        budget: b in [0, 1]; in Python also a tensor with one for every row or position, broadcastable to ``(*batch,)``.

    Raises:
        ValueError: budget outside [0, 1]; when used, a tensor of budgets that does not fit the rows.

    >>> import torch
    >>> p = torch.tensor([0.5, 0.3, 0.2])
    >>> Primal(budget=0.6).defer(-p.log(), p)
    tensor([0., 1., 1.])
    """

    budget: Parameter
    feasible: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "budget", budgets(self.budget))

    def defer(self, loss: Tensor, mass: Tensor) -> Tensor:
        return as_decision(arithmetic_of(mass).prefix(loss, mass, budget_of(self.budget, mass)), mass)

    def cut(self, mass: Tensor) -> Cut:
        return arithmetic_of(mass).lightest(mass, budget_of(self.budget, mass), fill=False)


def as_decision(found: Prefix, mass: Tensor) -> Tensor:
    """1 where a token is in the prefix, in the masses' dtype."""
    return found.fits.view(torch.uint8).to(mass.dtype)  # bytes convert faster than bools
