"""S13: a bound on the optimum that knows that tokens are indivisible.

Let P = p and let c(x) = x ℓ(x), the cost of keeping a token of mass x, be concave with c(0) = 0: −x log x for the
logistic loss, x log(p_max / x) for the perceptron on log-probabilities. Keeping a set R of mass at least
D = Σp − b costs Σ_R c(p_v). Sort the masses in descending order, q_1 ≥ q_2 ≥ ..., with prefix sums Q_m, and let
Q_m < D ≤ Q_{m+1}, ρ = D − Q_m, H_m = c(q_1) + ... + c(q_m). Every set of mass S is majorised by (q_1, ..., q_k, S − Q_k)
with Q_k < S ≤ Q_{k+1}, so by Karamata's inequality it costs at least H_k + c(S − Q_k). As a function of S this is
concave between the Q_k and rises from one to the next, so over S ≥ D it is least at S = D or at S = Q_{m+1}:

    r*(b) ≥ H_m + min(c(ρ), c(q_{m+1})).

The LP relaxation charges only ρ ℓ(q_{m+1}), which is never more.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..distributions import check_budget, check_distribution
from ..losses import Logistic, Perceptron
from .claims import Claim
from .knapsack import fractional_risk, optimal_risk

Cost = Callable[[Tensor], Tensor]


def cost_of(loss: Logistic | Perceptron, p: Tensor) -> Cost:
    """c(x) = x ℓ(x) as a function of a token's mass, for the losses whose cost is concave.

    Raises:
        ValueError: another loss.
    """
    if isinstance(loss, Logistic):
        return lambda x: -torch.xlogy(x, x)
    if isinstance(loss, Perceptron) and loss.space == "log":
        top = p.double().amax(-1)
        return lambda x: torch.xlogy(x, top.reshape(top.shape + (1,) * (x.ndim - top.ndim))) - torch.xlogy(x, x)
    raise ValueError(f"the majorisation bound needs a concave cost: Logistic() or Perceptron('log'), got {loss}.")


def majorisation_bound(loss: Logistic | Perceptron, p: Tensor, budget: float) -> Tensor:
    """H_m + min(c(ρ), c(q_{m+1})) ≤ r*(b), ``(*batch, V) -> (*batch,)`` in float64.

    Raises:
        ValueError: a loss without a concave cost, no distribution, or a budget outside [0, 1].

    >>> import torch
    >>> p = torch.tensor([0.6, 0.4], dtype=torch.float64)
    >>> f"{float(majorisation_bound(Logistic(), p, 0.5)):.4f} {float(fractional_risk(-p.log(), p, 0.5)):.4f}"
    '0.3065 0.2554'
    """
    check_distribution("p", p)
    check_budget(budget)
    cost = cost_of(loss, p)
    q = p.double().sort(-1, descending=True).values
    through = q.cumsum(-1)
    demand = (q.sum(-1, keepdim=True) - budget).clamp_min(0)
    whole = through < demand  # tokens 1..m
    m = whole.sum(-1, keepdim=True).clamp(max=q.shape[-1] - 1)
    next_token = q.gather(-1, m)
    rest = demand - (q * whole).sum(-1, keepdim=True)
    rest = torch.minimum(rest.clamp_min(0), next_token)
    full = torch.where(whole, cost(q), torch.zeros_like(q)).sum(-1)
    tail = torch.minimum(cost(rest), cost(next_token)).squeeze(-1)
    everything_may_go = (demand.squeeze(-1) <= 0) | torch.full_like(full, budget >= 1).bool()
    return torch.where(everything_may_go, torch.zeros_like(full), full + tail)


def majorisation(loss: Logistic | Perceptron, p: Tensor, budget: float) -> Claim:
    """S13: H_m + min(c(ρ), c(q_{m+1})) ≤ r*(b)."""
    return Claim(majorisation_bound(loss, p, budget), "<=", optimal_risk(loss(p.double()), p, budget))


def majorisation_against_relaxation(loss: Logistic | Perceptron, p: Tensor, budget: float) -> Claim:
    """S13: r_LP(b) ≤ H_m + min(c(ρ), c(q_{m+1}))."""
    return Claim(fractional_risk(loss(p.double()), p, budget), "<=", majorisation_bound(loss, p, budget))
