"""S14 and S15: one price for all positions of a text, and a price that keeps the mean deferred mass.

Notation: positions t = 1, ..., n; r_t, g_t = risk and deferred mass at position t; μ_t = the price there, η = the step.
Losses and masses are ``(*batch, n, V)``; the claims are per text, ``(*batch,)``, in float64.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..distributions import check_budget
from ..losses import Logistic
from ..solvers import Dual
from ..stateful import next_price
from .knapsack import Claim, deferred_mass, knapsack, optimal_risk, risk


def of_positions(loss: Tensor, mass: Tensor) -> tuple[Tensor, Tensor]:
    """Loss and mass of positions in rows, checked, in float64."""
    if mass.ndim < 2:
        raise ValueError(f"a text has positions in rows: pass (n, V), got shape {tuple(mass.shape)}.")
    return knapsack(loss, mass)


def everett_over_a_text(loss: Tensor, mass: Tensor, multiplier: float) -> Claim:
    """S14: Σ_t r_t(d⁻_t(μ)) is the optimum of the one knapsack of all positions, for the mass that is deferred in sum.

    The optimum is found by enumeration.

    Raises:
        ValueError: more than 16 tokens in all, or a single row that is no text.

    >>> p = torch.tensor([[0.9, 0.06, 0.04], [0.4, 0.35, 0.25]], dtype=torch.float64)
    >>> everett_over_a_text(-p.log(), p, multiplier=1.0).holds()
    True
    """
    loss, mass = of_positions(loss, mass)
    d, n = Dual(multiplier=multiplier).defer(loss, mass), mass.shape[-2]
    ours, deferred = risk(loss, mass, d).sum(-1), deferred_mass(mass, d).sum(-1)
    # One row of mass 1: every item weighs, and saves, an n-th.
    best = optimal_risk(loss.flatten(-2), mass.flatten(-2) / n, deferred / n, slack=1e-14)
    return Claim(ours, "=", n * best)


def one_price_dominates(loss: Tensor, mass: Tensor, d: Tensor, multiplier: float) -> Claim:
    """S14: Σ r_t(d⁻_t(μ)) ≤ Σ r_t(d_t) + μ (Σ g_t(d_t) − Σ g_t(d⁻_t(μ))) for all decisions d, fractional ones too.

    So where d defers at most as much in sum, its risks are at least as large in sum.

    >>> import kad
    >>> p = torch.tensor([[0.9, 0.06, 0.04], [0.4, 0.35, 0.25]], dtype=torch.float64)
    >>> budgets = kad.Exact(0.35).defer(-p.log(), p)
    >>> claim = one_price_dominates(-p.log(), p, budgets, multiplier=1.0)
    >>> claim.holds(), float(claim.left) < float(claim.right)
    (True, True)
    """
    loss, mass = of_positions(loss, mass)
    ours = Dual(multiplier=multiplier).defer(loss, mass)
    more = (deferred_mass(mass, d) - deferred_mass(mass, ours)).sum(-1)
    return Claim(risk(loss, mass, ours).sum(-1), "<=", risk(loss, mass, d).sum(-1) + multiplier * more)


def check_pacing(budget: float, step: float, start: float) -> None:
    check_budget(budget)
    if not (0 < step < math.inf and 0 <= start < math.inf):
        raise ValueError(f"pacing takes a finite step > 0 and a finite start ≥ 0, got {step} and {start}.")


def paced_multipliers(
    deferred: Tensor, budget: float, step: float, start: float = 0.0, equality: bool = False
) -> Tensor:
    """μ_1 = start and μ_{t+1} = max(0, μ_t + η (g_t − b)) for the deferred masses g, ``(*batch, n) -> (*batch, n + 1)``.

    With ``equality`` without the maximum.

    Raises:
        ValueError: a budget outside [0, 1], a step that is not positive or a negative start.

    >>> paced_multipliers(torch.tensor([0.5, 0.0, 0.0]), budget=0.25, step=2.0)
    tensor([0.0000, 0.5000, 0.0000, 0.0000], dtype=torch.float64)
    """
    check_pacing(budget, step, start)
    prices = [torch.full(deferred.shape[:-1], start, dtype=torch.float64, device=deferred.device)]
    for g in deferred.double().unbind(-1):
        prices.append(next_price(prices[-1], g, budget, step, equality))
    return torch.stack(prices, -1)


def pacing(deferred: Tensor, budget: float, step: float, start: float = 0.0, equality: bool = False) -> Claim:
    """S15: Σ_{t ≤ n} (g_t − b) ≤ (μ_{n+1} − μ_1) / η on every sequence of deferred masses, ``(*batch, n)``; with ``equality`` =.

    >>> claim = pacing(torch.tensor([0.5, 0.0, 0.5]), budget=0.25, step=2.0)
    >>> float(claim.left), claim.relation, float(claim.right)
    (0.25, '<=', 0.25)
    """
    prices = paced_multipliers(deferred, budget, step, start, equality)
    excess = (deferred.double() - budget).sum(-1)
    return Claim(excess, "=" if equality else "<=", (prices[..., -1] - start) / step)


def highest_price(size: int, budget: float, step: float, start: float = 0.0) -> float:
    """max(μ_1, log(|V| / b) + η (1 − b)): what no price of S15 exceeds with the logistic loss and P = p; ∞ for b = 0.

    >>> round(highest_price(150_000, budget=0.1, step=1.0), 2)
    15.12
    """
    check_pacing(budget, step, start)
    return max(start, math.log(size) - math.log(budget) + step * (1 - budget)) if budget > 0 else math.inf


def pacing_bound(p: Tensor, budget: float, step: float, start: float = 0.0) -> Claim:
    """S15: with the logistic loss and P = p, max_t μ_t ≤ max(μ_1, log(|V| / b) + η (1 − b)), ``(*batch, n, V)``.

    Every position defers what its price μ_t says, and the next price follows from that.

    >>> p = torch.full((100, 4), 0.25, dtype=torch.float64)
    >>> claim = pacing_bound(p, budget=0.1, step=0.5)
    >>> round(float(claim.left), 4), round(float(claim.right), 4), claim.holds()
    (1.8, 4.1389, True)
    """
    _, prices = paced_positions(p, budget, step, start)
    highest = prices.amax(-1)
    return Claim(highest, "<=", torch.full_like(highest, highest_price(p.shape[-1], budget, step, start)))


def kept_mean(p: Tensor, budget: float, step: float, start: float = 0.0) -> Claim:
    """S15(d): |mean_t g_t − b| ≤ max(max(μ_1, log(|V| / b) + η (1 − b)) − μ_1, μ_1 + η b) / (η n) where the price may be negative.

    The logistic loss and P = p, ``(*batch, n, V)``.

    >>> p = torch.tensor([[0.98, 0.01, 0.01]] * 40, dtype=torch.float64)
    >>> claim = kept_mean(p, budget=0.5, step=1.0)
    >>> round(float(claim.left), 4), round(float(claim.right), 4), claim.holds()
    (0.01, 0.0573, True)
    """
    masses, prices = paced_positions(p, budget, step, start, equality=True)
    highest = highest_price(p.shape[-1], budget, step, start)
    most = max(highest - start, start + step * budget) / (step * (prices.shape[-1] - 1))
    off = (masses.mean(-1) - budget).abs()
    return Claim(off, "<=", torch.full_like(off, most))


def paced_positions(
    p: Tensor, budget: float, step: float, start: float, equality: bool = False
) -> tuple[Tensor, Tensor]:
    """Deferred masses ``(*batch, n)`` and prices ``(*batch, n + 1)`` with the logistic loss, where each follows from the other."""
    check_pacing(budget, step, start)
    loss, p = of_positions(Logistic()(p.double()), p)
    prices, masses = [torch.full(p.shape[:-2], start, dtype=torch.float64, device=p.device)], list[Tensor]()
    for l, m in zip(loss.unbind(-2), p.unbind(-2), strict=True):
        masses.append(deferred_mass(m, (l > prices[-1].unsqueeze(-1)).to(m)))
        prices.append(next_price(prices[-1], masses[-1], budget, step, equality))
    return torch.stack(masses, -1), torch.stack(prices, -1)
