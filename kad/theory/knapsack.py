"""What a claim is, and S1 to S6: the knapsack of deferral, its dual, its greedy and its relaxation.

Notation: ℓ = ``loss``, P = ``mass``, g(d) = Σ P d, r(d) = Σ P ℓ (1 − d), r*(b) the least risk of a 0-1 decision with
g(d) ≤ b. All functions are per row, ``(*batch, V) -> (*batch,)``, in float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..distributions import check_budget
from ..solvers import Dual, Fractional, Primal
from ..solvers.base import check_problem, linear_relaxation, risk_of
from ..solvers.brute import LARGEST, every_decision


@dataclass(frozen=True)
class Claim:
    """``left = right`` or ``left ≤ right``, one number per row.

    Attributes:
        left, right: the two sides, ``(*batch,)``.
        relation: ``"="`` or ``"<="``.

    >>> import kad, torch
    >>> p = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    >>> claim = kad.theory.weak_duality(kad.Logistic()(p), p, multiplier=1.0, budget=0.4)
    >>> claim.holds(), [round(float(side), 4) for side in (claim.left, claim.right)]
    (True, [0.4466, 0.6685])
    """

    left: Tensor
    relation: Literal["=", "<="]
    right: Tensor

    @property
    def slack(self) -> Tensor:
        """right − left: zero for an equality, not negative for an inequality."""
        return self.right - self.left

    def holds(self, tolerance: float = 1e-9) -> bool:
        """Whether it holds in every row, up to a tolerance relative to the size of the sides.

        The default covers float64 sums of a few thousand terms; for 150,000 tokens take 1e-7.
        """
        scale = tolerance * (1 + self.left.abs() + self.right.abs())
        short = self.slack < -scale
        if self.relation == "=":
            short |= self.slack > scale
        return not bool(short.any())


def knapsack(loss: Tensor, mass: Tensor) -> tuple[Tensor, Tensor]:
    """Loss and mass in float64, checked as `kad.solve` does."""
    check_problem(loss, mass)
    return loss.double(), mass.double()


def deferred_mass(mass: Tensor, d: Tensor) -> Tensor:
    """g(d) = Σ P_v d_v."""
    return (mass.double() * d.double()).sum(-1)


def risk(loss: Tensor, mass: Tensor, d: Tensor) -> Tensor:
    """r(d) = Σ P_v ℓ_v (1 − d_v), with 0 · ∞ = 0."""
    return risk_of(loss.double(), mass.double(), d.double())


def optimal_risk(loss: Tensor, mass: Tensor, budget: float | Tensor, slack: float = 0.0) -> Tensor:
    """r*(b), by looking at all 2^V decisions; ``budget`` may be one per row.

    Args:
        slack: how far above the budget a decision may lie, for budgets that are themselves rounded sums.

    Raises:
        ValueError: more than 16 tokens.
    """
    loss, mass = knapsack(loss, mass)
    n = mass.shape[-1]
    if n > LARGEST:
        raise ValueError(f"the exact optimum is found by enumeration, for at most {LARGEST} tokens; got {n}.")
    limit = torch.as_tensor(budget, dtype=mass.dtype, device=mass.device) + slack
    return every_decision(loss, mass, limit.expand(mass.shape[:-1]))[1].amin(-1)


def primal_risk(loss: Tensor, mass: Tensor, budget: float) -> Tensor:
    """r_primal(b), the risk of the greedy prefix."""
    loss, mass = knapsack(loss, mass)
    return risk(loss, mass, Primal(budget).defer(loss, mass))


def fractional_risk(loss: Tensor, mass: Tensor, budget: float) -> Tensor:
    """r_frac(b) = r_LP(b), the optimum of the LP relaxation."""
    loss, mass = knapsack(loss, mass)
    return risk(loss, mass, Fractional(budget).defer(loss, mass))


def unfilled_budget(loss: Tensor, mass: Tensor, budget: float) -> Tensor:
    """u(b) = b − g(primal): what the greedy leaves unused."""
    loss, mass = knapsack(loss, mass)
    return min(budget, 1.0) - deferred_mass(mass, Primal(budget).defer(loss, mass))


def dual_function(loss: Tensor, mass: Tensor, multiplier: float | Tensor, budget: float) -> Tensor:
    """θ(μ) = Σ P_v min(ℓ_v, μ) − μ b, the minimum over d of the Lagrangian; concave in μ."""
    loss, mass = knapsack(loss, mass)
    mu = torch.as_tensor(multiplier, dtype=loss.dtype, device=loss.device)
    capped = torch.minimum(loss, mu.unsqueeze(-1) if mu.ndim else mu)
    return risk(capped, mass, torch.zeros_like(mass)) - mu * budget


def lagrangian(loss: Tensor, mass: Tensor, d: Tensor, multiplier: float, budget: float) -> Tensor:
    """L(d, μ) = r(d) + μ (g(d) − b)."""
    return risk(loss, mass, d) + multiplier * (deferred_mass(mass, d) - budget)


def dual_minimises(loss: Tensor, mass: Tensor, multiplier: float, budget: float) -> Claim:
    """S1: d⁻(μ) = 1[ℓ > μ] attains the minimum of the Lagrangian: L(d⁻(μ), μ) = θ(μ)."""
    loss, mass = knapsack(loss, mass)
    d = Dual(multiplier=multiplier).defer(loss, mass)
    return Claim(lagrangian(loss, mass, d, multiplier, budget), "=", dual_function(loss, mass, multiplier, budget))


def weak_duality(loss: Tensor, mass: Tensor, multiplier: float, budget: float) -> Claim:
    """S1: θ(μ) ≤ r*(b) for every μ ≥ 0."""
    check_budget(budget)
    return Claim(dual_function(loss, mass, multiplier, budget), "<=", optimal_risk(loss, mass, budget))


def gap_identity(loss: Tensor, mass: Tensor, multiplier: float, budget: float) -> Claim:
    """S2: r(d⁻(μ)) = θ(μ) + μ (b − g(d⁻(μ)))."""
    loss, mass = knapsack(loss, mass)
    d = Dual(multiplier=multiplier).defer(loss, mass)
    unfilled = budget - deferred_mass(mass, d)
    return Claim(risk(loss, mass, d), "=", dual_function(loss, mass, multiplier, budget) + multiplier * unfilled)


def dual_regret(loss: Tensor, mass: Tensor, multiplier: float, budget: float) -> Claim:
    """S2: r(d⁻(μ)) − r*(b) ≤ μ max(0, u): at most μ u within the budget, and never positive above it."""
    check_budget(budget)
    loss, mass = knapsack(loss, mass)
    d = Dual(multiplier=multiplier).defer(loss, mass)
    unfilled = (budget - deferred_mass(mass, d)).clamp_min(0)
    return Claim(risk(loss, mass, d) - optimal_risk(loss, mass, budget), "<=", multiplier * unfilled)


def everett(loss: Tensor, mass: Tensor, multiplier: float) -> Claim:
    """S3: d⁻(μ) is an exact optimum for the budget that it realises: r(d⁻(μ)) = r*(g(d⁻(μ)))."""
    loss, mass = knapsack(loss, mass)
    d = Dual(multiplier=multiplier).defer(loss, mass)
    return Claim(risk(loss, mass, d), "=", optimal_risk(loss, mass, deferred_mass(mass, d), slack=1e-14))


def critical_loss(loss: Tensor, mass: Tensor, budget: float) -> Tensor:
    """ℓ_c, the loss of the first token that does not fit; zero when everything fits."""
    loss, mass = knapsack(loss, mass)
    limit = torch.full(mass.shape[:-1], budget if budget < 1 else 2.0, dtype=mass.dtype, device=mass.device)
    return linear_relaxation(loss, mass, limit)[1]


def primal_gap(loss: Tensor, mass: Tensor, budget: float) -> Claim:
    """S4: r(primal) − r_LP = ℓ_c u, with ℓ_c = 0 where everything fits."""
    gap = primal_risk(loss, mass, budget) - fractional_risk(loss, mass, budget)
    price = critical_loss(loss, mass, budget)
    return Claim(gap, "=", torch.where(price > 0, price * unfilled_budget(loss, mass, budget), 0.0))


def primal_regret(loss: Tensor, mass: Tensor, budget: float) -> Claim:
    """S4: r(primal) − r*(b) ≤ ℓ_c u, and 0 where everything fits (ℓ_c = 0)."""
    regret = primal_risk(loss, mass, budget) - optimal_risk(loss, mass, budget)
    return Claim(regret, "<=", primal_gap(loss, mass, budget).right)


def logistic_regret(p: Tensor, budget: float) -> Claim:
    """S4: with the logistic loss and P = p the primal is less than 1/e nats above r_LP, and so above r*, since −x log x is."""
    gap = primal_gap(-p.double().log(), p, budget).left
    return Claim(gap, "<=", torch.full_like(gap, 1 / math.e))


def primal_is_a_threshold(loss: Tensor, mass: Tensor, budget: float) -> Claim:
    """S5: up to ties the primal is d⁻(ℓ_c): they differ at most on tokens with ℓ = ℓ_c."""
    loss, mass = knapsack(loss, mass)
    d = Primal(budget).defer(loss, mass)
    price = critical_loss(loss, mass, budget).unsqueeze(-1)
    differs = (d != (loss > price).to(d)).to(mass)
    return Claim(deferred_mass(mass, differs), "<=", deferred_mass(mass, (loss == price).to(mass)))


def primal_keeps_a_nucleus(loss: Tensor, p: Tensor, budget: float) -> Claim:
    """S5: for a loss that falls strictly with p_v and P = p the kept set is a nucleus of mass ≥ 1 − b.

    Three things at once: the kept mass reaches 1 − b, without its lightest token it does not exceed that, and no deferred
    token is more probable than a kept one. The left side is the worst violation of the three.
    """
    loss, p = knapsack(loss, p)
    kept = (Primal(budget).defer(loss, p) == 0) & (p > 0)
    lightest = torch.where(kept, p, torch.inf).amin(-1)
    heaviest = torch.where(kept, -torch.inf, p).amax(-1)
    wanted, held = p.sum(-1) - budget, deferred_mass(p, kept)
    some = torch.maximum(heaviest - lightest, held - lightest - wanted)
    left = torch.maximum(wanted - held, torch.where(kept.any(-1), some, -torch.inf))
    return Claim(left, "<=", torch.zeros_like(left))


def half_of_the_saving(loss: Tensor, mass: Tensor, budget: float) -> Claim:
    """S5: the better of the prefix and the best single token that fits b saves half of what the optimum saves; ½ opt ≤ ours.

    For P = p and a loss that falls strictly with p_v, or for any loss where no token is heavier than the budget.
    Otherwise a token that can never go may stand first in the order and end the prefix before it begins. The prefix
    alone saves no fixed share: an eighth at p = (.595, .395, .01), b = .4 with the logistic loss.
    """
    loss, mass = knapsack(loss, mass)
    everything = risk(loss, mass, torch.zeros_like(mass))
    optimum = everything - optimal_risk(loss, mass, budget)
    prefix = everything - primal_risk(loss, mass, budget)
    fits = (mass <= budget) & (mass > 0)
    single = torch.where(fits, mass * torch.where(mass > 0, loss, 0.0), 0.0).amax(-1)
    return Claim(optimum / 2, "<=", torch.maximum(prefix, single))


def strong_duality(loss: Tensor, mass: Tensor, budget: float) -> Claim:
    """S6: r(fractional) = max_μ θ(μ). θ is concave and piecewise linear; its maximum lies at 0 or at some ℓ_v."""
    loss, mass = knapsack(loss, mass)
    candidates = torch.cat([torch.zeros_like(loss[..., :1]), torch.where(mass > 0, loss, 0.0)], -1)
    values = torch.stack([dual_function(loss, mass, mu, budget) for mu in candidates.unbind(-1)], -1)
    return Claim(fractional_risk(loss, mass, budget), "=", values.amax(-1))


def fractional_fills(loss: Tensor, mass: Tensor, budget: float) -> Claim:
    """S6: g(fractional) = b where Σ P ≥ b, as for a distribution; everything where the total mass is less."""
    loss, mass = knapsack(loss, mass)
    left = deferred_mass(mass, Fractional(budget).defer(loss, mass))
    return Claim(left, "=", mass.sum(-1).clamp(max=budget if budget < 1 else torch.inf))


def fractional_beats_the_optimum(loss: Tensor, mass: Tensor, budget: float) -> Claim:
    """S6: r(fractional) ≤ r*(b)."""
    return Claim(fractional_risk(loss, mass, budget), "<=", optimal_risk(loss, mass, budget))
