"""S13: a bound on the optimum that knows that tokens are indivisible.

Let P = p and let h(z) = z ℓ(z), the cost of keeping a token of mass z, be concave with h(0) = 0: −z log z for the
logistic loss, z log(p_max / z) for the perceptron on log-probabilities. Tokens of mass zero are left out. Keeping a set
of mass at least W = Σp − b costs the sum of its tokens' h(p_v); where W ≤ 0 nothing must be kept, and both bounds are 0.
Sort the masses in falling order, p_(1) ≥ p_(2) ≥ ..., let M_i and H_i be mass and cost of the i heaviest, and let
M_m < W ≤ M_{m+1}, k = m + 1, ρ = W − M_m. By Karamata's inequality

    r*(b) ≥ H_m + min(h(ρ), h(p_(k))).

Where ρ is lighter than every token (near-uniform p) that charges for a token that does not exist. But a set of mass W
holds at least k tokens. Let σ_j be the mass of the j largest and the k − j smallest, F_k(σ_j) their cost, and in between,
σ_{j−1} < σ < σ_j, F_k(σ) the cost of the j − 1 largest, the k − j smallest and one token of a free size; below σ_0, the
mass of no k tokens, F_k(σ) = F_k(σ_0). Then

    r*(b) ≥ min(F_k(W), F_k(σ_j) for every corner σ_j ≥ W).

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
    """h(z) = z ℓ(z) as a function of a token's mass, for the losses whose cost is concave on [0, max p].

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
    """H_m + min(h(ρ), h(p_(k))) ≤ r*(b), ``(*batch, V) -> (*batch,)`` in float64.

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
    heavy = p.double().sort(-1, descending=True).values
    through = heavy.cumsum(-1)
    demand = (heavy.sum(-1, keepdim=True) - budget).clamp_min(0)
    whole = through < demand  # the m heaviest
    m = whole.sum(-1, keepdim=True).clamp(max=heavy.shape[-1] - 1)
    next_token = heavy.gather(-1, m)
    rest = demand - (heavy * whole).sum(-1, keepdim=True)
    rest = torch.minimum(rest.clamp_min(0), next_token)
    full = torch.where(whole, cost(heavy), torch.zeros_like(heavy)).sum(-1)
    tail = torch.minimum(cost(rest), cost(next_token)).squeeze(-1)
    everything_may_go = (demand.squeeze(-1) <= 0) | (budget >= 1)
    return torch.where(everything_may_go, 0.0, full + tail)


def sized_majorisation_bound(loss: Loss, p: Tensor, budget: float) -> Tensor:
    """The second bound: min(F_k(W), F_k(σ_j) for σ_j ≥ W) ≤ r*(b), over sets of k tokens, for one row, ``(V,) -> ()``.

    W is taken smaller by the rounding of its sum, so that the bound holds for the real numbers.

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
    heavy = p[p > 0].double().sort(descending=True).values
    # Relaxed by the rounding of its own sum: the bound jumps where a set of tokens meets the demand exactly.
    demand = heavy.sum() - budget - (len(heavy) + 4) * torch.finfo(heavy.dtype).eps
    if budget >= 1 or demand <= 0:
        return torch.zeros((), dtype=torch.float64, device=p.device)
    zero = heavy.new_zeros(1)
    through, paid = torch.cat([zero, heavy.cumsum(0)]), torch.cat([zero, cost(heavy).cumsum(0)])
    n, k = len(heavy), int((through < demand).sum().clamp(max=len(heavy)))  # k tokens at least
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
    """S13: H_m + min(h(ρ), h(p_(k))) ≤ r*(b)."""
    return Claim(majorisation_bound(loss, p, budget), "<=", optimal_risk(loss(p.double()), p, budget))


def majorisation_against_relaxation(loss: Loss, p: Tensor, budget: float) -> Claim:
    """S13: r_LP(b) ≤ H_m + min(h(ρ), h(p_(k)))."""
    return Claim(fractional_risk(loss(p.double()), p, budget), "<=", majorisation_bound(loss, p, budget))


def sized_majorisation(loss: Loss, p: Tensor, budget: float) -> Claim:
    """S13: min(F_k(W), F_k(σ_j) for σ_j ≥ W) ≤ r*(b)."""
    return Claim(sized_majorisation_bound(loss, p, budget), "<=", optimal_risk(loss(p.double()), p, budget))
