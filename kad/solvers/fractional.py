"""The LP relaxation: the primal's prefix plus a share of the critical token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from .base import Solver
from .cut import Cut
from .lightest import lightest_cut
from .parameters import Parameter, Parameters, budgets
from .primal import as_decision, budget_of
from .selection import prefix


@final
@dataclass(frozen=True, eq=False, repr=False)
class Fractional(Parameters, Solver):
    """The primal's prefix, and of the critical token c the share d_c = (b − g) / P_c that fills the budget.

    A fractional d is a rejection *probability*, so π stays a distribution. It solves the LP relaxation: the
    deferred mass is exactly b and the risk is at most that of the best 0-1 decision (theory S6).

    Attributes:
        budget: b in [0, 1]; in Python also a tensor with one for every row or position, broadcastable to ``(*batch,)``.

    Raises:
        ValueError: budget outside [0, 1]; when used, a tensor of budgets that does not fit the rows.

    >>> import torch
    >>> p = torch.tensor([0.5, 0.3, 0.2])
    >>> Fractional(budget=0.6).defer(-p.log(), p)
    tensor([0.2000, 1.0000, 1.0000])
    """

    budget: Parameter
    feasible: ClassVar[bool] = True
    fills: ClassVar[bool] = True
    fractional: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "budget", budgets(self.budget))

    def defer(self, loss: Tensor, mass: Tensor) -> Tensor:
        found = prefix(loss, mass, budget_of(self.budget, mass))
        d = as_decision(found, mass)
        place = found.critical.clamp(max=mass.shape[-1] - 1)  # where everything fits, the share below is not used
        heavy = mass.detach().gather(-1, place).to(found.left.dtype)
        share = (found.left / heavy).clamp(0, 1).to(d.dtype)
        return d.scatter_(-1, place, torch.where(found.critical < mass.shape[-1], share, d.gather(-1, place)))

    def cut(self, mass: Tensor) -> Cut:
        return lightest_cut(mass, budget_of(self.budget, mass), fill=True)
