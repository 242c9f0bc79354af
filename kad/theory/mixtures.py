"""S7 to S12: plug-in error, the mixture, speculation, the lazy proxy and the rejection view.

Notation: D_TV = total variation, Δ = D_TV(P, p), α = Σ p d, α* = Σ q* d, π = p (1 − d) + α q*. All functions are per
row, ``(*batch, V) -> (*batch,)``, in float64. Decisions may be fractional unless a statement says otherwise.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..distributions import check_distribution, check_distributions, total_variation
from ..mixture import mix
from ..solvers import Dual, Primal
from .knapsack import Claim, critical_loss, deferred_mass, knapsack, optimal_risk, risk, unfilled_budget


def pair(p: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
    check_distributions(p=p, q=q)
    return p.double(), q.double()


def plug_in_mass(true: Tensor, p: Tensor, d: Tensor) -> Claim:
    """S7 (paper, Lemma 5): |g_P(d) − g_p(d)| ≤ Δ for every d."""
    true, p = pair(true, p)
    return Claim((deferred_mass(true, d) - deferred_mass(p, d)).abs(), "<=", total_variation(true, p))


def plug_in_risk(true: Tensor, p: Tensor, loss: Tensor, d: Tensor) -> Claim:
    """S7: |r_P(d) − r_p(d)| ≤ Δ · max_v ℓ_v (1 − d_v) over the tokens with mass, for given losses, finite there."""
    true, p = pair(true, p)
    kept = torch.where((true > 0) | (p > 0), loss.double(), 0.0) * (1 - d.double())
    worst = torch.where(d < 1, kept, 0.0).amax(-1)
    return Claim((risk(loss, true, d) - risk(loss, p, d)).abs(), "<=", total_variation(true, p) * worst)


def plug_in_risk_of_the_dual(true: Tensor, p: Tensor, loss: Tensor, multiplier: float) -> Claim:
    """S7: |r_P − r_p| ≤ μ Δ for d⁻(μ), which for given losses does not depend on P at all, however large they are."""
    d = Dual(multiplier=multiplier).defer(loss.double(), p.double())
    claim = plug_in_risk(true, p, loss, d)
    return Claim(claim.left, "<=", multiplier * total_variation(true.double(), p.double()))


def plug_in_regret(true: Tensor, p: Tensor, loss: Tensor, multiplier: float, budget: float) -> Claim:
    """S7: r_P(d⁻(μ)) − r*_P(b) ≤ μ (b − g_p(d⁻(μ)) + Δ), for given losses, finite where P or p has mass.

    The decision was made with the plug-in p and is judged under the true P. When it defers more than b + Δ under p
    it defers more than b under P too, the right side is negative, and so is the regret.
    """
    true, p = pair(true, p)
    wide, _ = knapsack(loss, true)
    d = Dual(multiplier=multiplier).defer(wide, p)
    regret = risk(wide, true, d) - optimal_risk(wide, true, budget)
    room = budget - deferred_mass(p, d) + total_variation(true, p)
    return Claim(regret, "<=", multiplier * room)


def plug_in_regret_of_the_primal(true: Tensor, p: Tensor, loss: Tensor, budget: float) -> Claim:
    """S7: r_P(primal) − r*_P(b) ≤ ℓ_c (u + Δ): the primal, too, minimises the Lagrangian at its own price ℓ_c.

    The greedy was run on the plug-in p, which leaves the unfilled budget u; it is judged under the true P, for given
    losses, finite where P or p has mass. Where everything fits ℓ_c = 0 and there is no regret.
    """
    true, p = pair(true, p)
    wide, _ = knapsack(loss, true)
    d = Primal(budget).defer(wide, p)
    regret = risk(wide, true, d) - optimal_risk(wide, true, budget)
    room = unfilled_budget(wide, p, budget).clamp_min(0) + total_variation(true, p)
    return Claim(regret, "<=", critical_loss(wide, p, budget) * room)


def parts(p: Tensor, d: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(α, p_keep, p_defer): the deferred mass, and p given that its token is kept or deferred (zeros if it never is)."""
    p, d = p.double(), d.double()
    alpha = deferred_mass(p, d).unsqueeze(-1)
    keep, defer = p * (1 - d), p * d
    total = keep.sum(-1, keepdim=True)
    keep = torch.where(total > 0, keep / total, 0.0)
    defer = torch.where(alpha > 0, defer / alpha, 0.0)
    return alpha.squeeze(-1), keep, defer


def distance_to_proxy(p: Tensor, q: Tensor, d: Tensor) -> Claim:
    """S8: D_TV(π, q*) = (1 − α) D_TV(p_keep, q*), which is 0 where nothing is kept."""
    p, q = pair(p, q)
    alpha, keep, _ = parts(p, d)
    right = torch.where(alpha < 1, (1 - alpha) * total_variation(keep, q), 0.0)
    return Claim(total_variation(mix(p, q, d.double()), q), "=", right)


def distance_to_base(p: Tensor, q: Tensor, d: Tensor) -> Claim:
    """S8: D_TV(π, p) = α D_TV(p_defer, q*), which is 0 where nothing is deferred."""
    p, q = pair(p, q)
    alpha, _, defer = parts(p, d)
    right = torch.where(alpha > 0, alpha * total_variation(defer, q), 0.0)
    return Claim(total_variation(mix(p, q, d.double()), p), "=", right)


def closer_than_base(p: Tensor, q: Tensor, d: Tensor) -> Claim:
    """S9: D_TV(π, q*) ≤ D_TV(p, q*) + α (1 − α*) for every d."""
    p, q = pair(p, q)
    right = total_variation(p, q) + deferred_mass(p, d) * (1 - deferred_mass(q, d))
    return Claim(total_variation(mix(p, q, d.double()), q), "<=", right)


def nudging_comparison(p: Tensor, q: Tensor, threshold: float) -> Claim:
    """S9 (paper, Lemma 6): D_TV(π^{<λ}, q*) ≤ D_TV(φ, q*) + α (1 − α*), φ nudging's distribution at the same λ."""
    p, q = pair(p, q)
    d = (p < threshold).to(p)
    phi = torch.where(p.amax(-1, keepdim=True) < threshold, q, p)
    right = total_variation(phi, q) + deferred_mass(p, d) * (1 - deferred_mass(q, d))
    return Claim(total_variation(mix(p, q, d), q), "<=", right)


def acceptance_probability(p: Tensor, q: Tensor, d: Tensor) -> Claim:
    """S10: drafts x ~ q* are accepted with probability Σ q* min(1, π/q*) = 1 − D_TV(π, q*)."""
    p, q = pair(p, q)
    pi = mix(p, q, d.double())
    return Claim(torch.minimum(pi, q).sum(-1), "=", 1 - total_variation(pi, q))


def acceptance_floor(p: Tensor, q: Tensor, d: Tensor) -> Claim:
    """S10: α ≤ the acceptance probability."""
    return Claim(deferred_mass(p, d), "<=", acceptance_probability(p, q, d).left)


def emitted_law(p: Tensor, q: Tensor, d: Tensor) -> Claim:
    """S10: accept x ~ q* with min(1, π/q*), else draw from norm((p_keep − q*)₊): the token has the law π.

    The left side is the distance of that law to π. Where π = q* nothing is rejected, and the residual is not needed.
    """
    p, q = pair(p, q)
    pi = mix(p, q, d.double())
    _, keep, _ = parts(p, d)
    accepted = torch.minimum(pi, q)
    rest = (keep - q).clamp_min(0)
    total = rest.sum(-1, keepdim=True)
    rest = torch.where(total > 0, rest / total, pi)
    law = accepted + (1 - accepted.sum(-1, keepdim=True)) * rest
    return Claim(total_variation(law, pi), "=", torch.zeros_like(law[..., 0]))


def tokens_per_round(acceptance: Tensor, window: int) -> Claim:
    """S10: with i.i.d. acceptance a, 1 + a + ... + a^γ tokens a round, the last included: (1 − a^{γ+1}) / (1 − a), γ + 1 at a = 1."""
    if window < 0:
        raise ValueError(f"window must be ≥ 0, got {window}.")
    a = acceptance.double()
    series = torch.stack([a**i for i in range(window + 1)]).sum(0)
    closed = torch.where(a < 1, (1 - a ** (window + 1)) / (1 - a), torch.full_like(a, window + 1))
    return Claim(series, "=", closed)


def lazy_law(p: Tensor, q: Tensor, d: Tensor) -> Claim:
    """S11, S12: x̄ ~ p, kept with probability 1 − d, else replaced by a draw from q*: the token has the law π.

    The joint law of (x̄, token) is written out and summed over x̄; the left side is its distance to π.
    """
    p, q = pair(p, q)
    d = d.double()
    joint = torch.diag_embed(p * (1 - d)) + (p * d).unsqueeze(-1) * q.unsqueeze(-2)
    pi = mix(p, q, d)
    return Claim(total_variation(joint.sum(-2), pi), "=", torch.zeros_like(pi[..., 0]))


def certified_mode(p: Tensor, d: Tensor) -> Claim:
    """S11: p₁ − p₂ − α ≤ π_v − max_{w≠v} π_w for every q*, v the token of the best kept value p₁, p₂ the second best.

    So where p₁ > p₂ + α, v is the mode of π whatever q* is; where they are equal, a mode. The right side is the least
    over all q*: it is concave in q*, so the corners of the simplex suffice. Of a single token p₂ and the maximum are 0.
    """
    check_distribution("p", p)
    p, d = p.double(), d.double()
    kept, alpha = p * (1 - d), deferred_mass(p, d)
    best = kept.argmax(-1, keepdim=True)
    others = kept.scatter(-1, best, -torch.inf)
    first, second = kept.amax(-1), others.amax(-1).clamp_min(0)
    corners = torch.eye(p.shape[-1], dtype=p.dtype, device=p.device)
    pi = kept.unsqueeze(-2) + alpha[..., None, None] * corners
    place = best.unsqueeze(-2).expand(*pi.shape[:-1], 1)
    rivals = pi.scatter(-1, place, -torch.inf).amax(-1).clamp_min(0)
    lead = (pi.gather(-1, place).squeeze(-1) - rivals).amin(-1)
    return Claim(first - second - alpha, "<=", lead)
