"""S13: a bound on the optimum that knows that tokens are indivisible.

Let P = p and let c(x) = x ℓ(x), the cost of keeping a token of mass x, be concave with c(0) = 0: −x log x for the
logistic loss, x log(p_max / x) for the perceptron on log-probabilities. Keeping a set R of mass at least
D = Σp − b costs Σ_R c(p_v). Sort the masses in descending order, q_1 ≥ q_2 ≥ ..., with prefix sums Q_m, and let
Q_m < D ≤ Q_{m+1}, ρ = D − Q_m, H_m = c(q_1) + ... + c(q_m). By Karamata's inequality

    r*(b) ≥ H_m + min(c(ρ), c(q_{m+1})).

Where ρ is lighter than every token (near-uniform p) that charges for a token that does not exist. But a set of mass D
holds at least k = m + 1 tokens. With j − 1 of the largest, k − j of the smallest and one of a free size x, of T and U the
mass and the cost of these others, f(S) = U + c(S − T) between the corners S_j = (j largest) + (k − j smallest), and

    r*(b) ≥ min(f(D), f(S_j) for every corner S_j ≥ D).

The proofs are on the documentation site (Theory, S13).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..distributions import check_budget, check_distribution
from ..losses import Brier, Logistic, Loss, Perceptron, Squared
from .knapsack import Claim, fractional_risk, optimal_risk


def cost_of(loss: Loss, p: Tensor) -> Callable[[Tensor], Tensor]:
    """c(x) = x ℓ(x) as a function of a token's mass, for the losses whose cost is concave on [0, max p].

    That is `Logistic`, both `Perceptron`, `Brier`, and `Squared` if no mass exceeds 2/3.

    Raises:
        ValueError: another loss.
    """
    p = p.double()
    top, square = p.amax(-1), p.square().sum(-1)

    def along(row: Tensor, x: Tensor) -> Tensor:
        return row.reshape(row.shape + (1,) * (x.ndim - row.ndim))

    if isinstance(loss, Logistic):
        return lambda x: -torch.xlogy(x, x)
    if isinstance(loss, Perceptron) and loss.space == "log":
        return lambda x: torch.xlogy(x, along(top, x)) - torch.xlogy(x, x)
    if isinstance(loss, Perceptron):
        return lambda x: x * (along(top, x) - x)
    if isinstance(loss, Brier):
        return lambda x: x * (1 + along(square, x) - 2 * x)
    if isinstance(loss, Squared) and bool((top <= 2 / 3).all()):
        return lambda x: x * (1 - x) ** 2
    raise ValueError(
        "the majorisation bounds need a concave cost: Logistic(), Perceptron(), Brier(), or Squared() with no mass "
        f"above 2/3; got {loss}."
    )


def majorisation_bound(loss: Loss, p: Tensor, budget: float) -> Tensor:
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
    everything_may_go = (demand.squeeze(-1) <= 0) | (budget >= 1)
    return torch.where(everything_may_go, 0.0, full + tail)


def sized_majorisation_bound(loss: Loss, p: Tensor, budget: float) -> Tensor:
    """The second bound: min(f(D), f(S_j) for S_j ≥ D) ≤ r*(b), over sets of m + 1 tokens, for one row, ``(V,) -> ()``.

    D is taken smaller by the rounding of its sum, so that the bound holds for the real numbers.

    Raises:
        ValueError: as `majorisation_bound`, or more than one row.

    >>> import torch
    >>> p = torch.tensor([0.26, 0.25, 0.25, 0.24], dtype=torch.float64)
    >>> first, second = (f(Logistic(), p, 0.48) for f in (majorisation_bound, sized_majorisation_bound))
    >>> f"{float(first):.4f} {float(second):.4f}"
    '0.7429 1.0357'
    """
    check_distribution("p", p)
    check_budget(budget)
    if p.ndim != 1:
        raise ValueError(f"sized_majorisation_bound takes one distribution, got shape {tuple(p.shape)}.")
    cost = cost_of(loss, p)
    q = p[p > 0].double().sort(descending=True).values
    # Relaxed by the rounding of its own sum: the bound jumps where a set of tokens meets the demand exactly.
    demand = q.sum() - budget - (len(q) + 4) * torch.finfo(q.dtype).eps
    if budget >= 1 or demand <= 0:
        return torch.zeros((), dtype=torch.float64, device=p.device)
    zero = q.new_zeros(1)
    through, paid = torch.cat([zero, q.cumsum(0)]), torch.cat([zero, cost(q).cumsum(0)])
    n, k = len(q), int((through < demand).sum().clamp(max=len(q)))  # k tokens at least
    j = torch.arange(k + 1, device=p.device)
    corner_mass = through[j] + through[n] - through[n - k + j]  # j largest and k − j smallest
    corner_cost = paid[j] + paid[n] - paid[n - k + j]
    reached = corner_mass >= demand
    reached[k] = True  # the k largest suffice; their rounded sum may not
    first = int(reached.int().argmax())
    least = corner_cost[first:].min()
    if first == 0:
        return least
    free = (demand - through[first - 1] - (through[n] - through[n - k + first])).clamp_min(0)
    return torch.minimum(least, paid[first - 1] + paid[n] - paid[n - k + first] + cost(free))


def majorisation(loss: Loss, p: Tensor, budget: float) -> Claim:
    """S13: H_m + min(c(ρ), c(q_{m+1})) ≤ r*(b)."""
    return Claim(majorisation_bound(loss, p, budget), "<=", optimal_risk(loss(p.double()), p, budget))


def majorisation_against_relaxation(loss: Loss, p: Tensor, budget: float) -> Claim:
    """S13: r_LP(b) ≤ H_m + min(c(ρ), c(q_{m+1}))."""
    return Claim(fractional_risk(loss(p.double()), p, budget), "<=", majorisation_bound(loss, p, budget))


def sized_majorisation(loss: Loss, p: Tensor, budget: float) -> Claim:
    """S13: min(f(D), f(S_j) for S_j ≥ D) ≤ r*(b)."""
    return Claim(sized_majorisation_bound(loss, p, budget), "<=", optimal_risk(loss(p.double()), p, budget))
