"""The primal greedy: defer by falling loss for as long as the budget lasts; and the LP relaxation, which splits one token."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, final

import torch
from torch import Tensor

from ..arithmetic import Prefix, arithmetic_of
from ..cut import Cut
from ..distributions import wants_gradient
from .base import Solver
from .parameters import Parameter, Parameters, budget_of, budgets


@dataclass(frozen=True, eq=False, repr=False)
class Budgeted(Parameters, Solver):
    """A solver that keeps a budget, which every row or position may have of its own."""

    budget: Parameter
    feasible: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "budget", budgets(self.budget))


@final
@dataclass(frozen=True, eq=False, repr=False)
class Primal(Budgeted):
    """Sort by ℓ descending and defer the longest prefix of mass ≤ b, the same for every row (theory S4).

    Its risk exceeds the optimum by at most ℓ_c u, the loss of the critical token times the unfilled budget (0 if
    everything fits); with the logistic loss of the masses that is less than 1/e nats. With a loss that falls strictly with
    p_v the kept set is a nucleus (top-p) of mass ≥ 1 − b (theory S5). Equal losses are deferred in the order of the token ids.

    Attributes:
        budget: b in [0, 1]; in Python also a tensor with one for every row or position, broadcastable to ``(*batch,)``.

    Raises:
        ValueError: budget outside [0, 1]; when used, a tensor of budgets that does not fit the rows.

    >>> import torch
    >>> p = torch.tensor([0.5, 0.3, 0.2])
    >>> Primal(budget=0.6).defer(-p.log(), p)
    tensor([0., 1., 1.])
    """

    def defer(self, loss: Tensor, mass: Tensor) -> Tensor:
        return as_decision(arithmetic_of(mass).prefix(loss, mass, budget_of(self.budget, mass)), mass)

    def cut(self, mass: Tensor) -> Cut:
        return arithmetic_of(mass).lightest(mass, budget_of(self.budget, mass), fill=False)


def as_decision(found: Prefix, mass: Tensor) -> Tensor:
    """1 where a token is in the prefix, in the masses' dtype."""
    return found.fits.view(torch.uint8).to(mass.dtype)  # bytes convert faster than bools


@final
@dataclass(frozen=True, eq=False, repr=False)
class Fractional(Budgeted):
    """The primal's prefix, and of the critical token c the share d_c = (b − g) / P_c that fills the budget.

    A fractional d is a rejection *probability*, so π stays a distribution. It solves the LP relaxation: the
    deferred mass is b and the risk is at most that of the best 0-1 decision (theory S6). d_c has a gradient in
    the masses, if they want one: which tokens are deferred is locally constant, how much of the critical one is not.

    Attributes:
        budget: b in [0, 1]; in Python also a tensor with one for every row or position, broadcastable to ``(*batch,)``.

    Raises:
        ValueError: budget outside [0, 1]; when used, a tensor of budgets that does not fit the rows.

    >>> import torch
    >>> p = torch.tensor([0.5, 0.3, 0.2])
    >>> Fractional(budget=0.6).defer(-p.log(), p)
    tensor([0.2000, 1.0000, 1.0000])
    """

    fills: ClassVar[bool] = True
    fractional: ClassVar[bool] = True

    def defer(self, loss: Tensor, mass: Tensor) -> Tensor:
        found = arithmetic_of(mass).prefix(loss, mass, budget_of(self.budget, mass))
        d = as_decision(found, mass)
        some = found.critical < mass.shape[-1]  # where everything fits, the share below is not used
        place = found.critical.clamp(max=mass.shape[-1] - 1)
        heavy = mass.detach().gather(-1, place).to(found.left.dtype)
        share = (found.left / heavy).clamp(0, 1).to(d.dtype)
        if wants_gradient(mass):
            share = with_gradient(share, mass, place, d.clone())
        return d.scatter_(-1, place, torch.where(some, share, d.gather(-1, place)))

    def cut(self, mass: Tensor) -> Cut:
        cut = arithmetic_of(mass).lightest(mass, budget_of(self.budget, mass), fill=True)
        if cut.share is None or cut.critical is None or not wants_gradient(mass):
            return cut
        whole = replace(cut, share=None).dense(mass)
        share = with_gradient(cut.share.unsqueeze(-1), mass, cut.critical.unsqueeze(-1), whole)
        return replace(cut, share=share.squeeze(-1))


def with_gradient(share: Tensor, mass: Tensor, critical: Tensor, whole: Tensor) -> Tensor:
    """The critical token's share, ``(*batch, 1)``, with the value that it has and the gradient of (b − g) / P_c.

    ``whole`` is 1 for the tokens that are deferred as a whole, ``(*batch, V)``: g is their mass.
    """
    inside, heavy = (mass * whole).sum(-1, keepdim=True), mass.gather(-1, critical)
    heavy = torch.where(heavy > 0, heavy, 1.0)  # zero only where the share is not used: its gradient would be NaN
    moving = (share * heavy.detach() - (inside - inside.detach())) / heavy
    return share + (moving - moving.detach())
