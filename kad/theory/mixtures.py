"""S7 to S12: plug-in error, the mixture, speculation, the lazy proxy and the rejection view.

Notation: D = D_TV, α = Σ p d, β = Σ d q*, π = p (1 − d) + α q*. All functions are per row, ``(*batch, V) ->
(*batch,)``, in float64. Decisions may be fractional unless a statement says otherwise.
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
    """S7 (paper, Lemma 5): |g_P(d) − g_p(d)| ≤ D(P, p) for every d."""
    true, p = pair(true, p)
    return Claim((deferred_mass(true, d) - deferred_mass(p, d)).abs(), "<=", total_variation(true, p))


def plug_in_risk(true: Tensor, p: Tensor, loss: Tensor, d: Tensor) -> Claim:
    """S7: |r_P(d) − r_p(d)| ≤ D(P, p) · max_v ℓ_v (1 − d_v)."""
    true, p = pair(true, p)
    kept = torch.where((true > 0) | (p > 0), loss.double(), 0.0) * (1 - d.double())
    worst = torch.where(d < 1, kept, 0.0).amax(-1)
    return Claim((risk(loss, true, d) - risk(loss, p, d)).abs(), "<=", total_variation(true, p) * worst)


def plug_in_risk_of_the_dual(true: Tensor, p: Tensor, loss: Tensor, multiplier: float) -> Claim:
    """S7: for d⁻(μ), which does not depend on P at all, |r_P − r_p| ≤ μ D(P, p), even for an unbounded loss."""
    d = Dual(multiplier=multiplier).defer(loss.double(), p.double())
    claim = plug_in_risk(true, p, loss, d)
    return Claim(claim.left, "<=", multiplier * total_variation(true.double(), p.double()))


def plug_in_regret(true: Tensor, p: Tensor, loss: Tensor, multiplier: float, budget: float) -> Claim:
    """S7: r_P(d⁻(μ)) − r*_P(b) ≤ μ (b − g_p(d⁻(μ)) + D(P, p)), where the right side is not negative.

    The decision was made with the plug-in p and is judged under the true P. When it defers more than b + D under p
    it defers more than b under P too, and its regret is at most zero.
    """
    true, p = pair(true, p)
    wide, _ = knapsack(loss, true)
    d = Dual(multiplier=multiplier).defer(wide, p)
    regret = risk(wide, true, d) - optimal_risk(wide, true, budget)
    room = (budget - deferred_mass(p, d) + total_variation(true, p)).clamp_min(0)
    return Claim(regret, "<=", multiplier * room)


def plug_in_regret_of_the_primal(true: Tensor, p: Tensor, loss: Tensor, budget: float) -> Claim:
    """S7: r_P(primal) − r*_P(b) ≤ ℓ_c (u + D(P, p)): the primal, too, minimises the Lagrangian at its own price ℓ_c.

    The greedy was run on the plug-in p, which has the unfilled budget u; it is judged under the true P.
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
    """S8: D(π, q*) = (1 − α) D(p_keep, q*)."""
    p, q = pair(p, q)
    alpha, keep, _ = parts(p, d)
    right = torch.where(alpha < 1, (1 - alpha) * total_variation(keep, q), 0.0)
    return Claim(total_variation(mix(p, q, d.double()), q), "=", right)


def distance_to_base(p: Tensor, q: Tensor, d: Tensor) -> Claim:
    """S8: D(π, p) = α D(p_defer, q*)."""
    p, q = pair(p, q)
    alpha, _, defer = parts(p, d)
    right = torch.where(alpha > 0, alpha * total_variation(defer, q), 0.0)
    return Claim(total_variation(mix(p, q, d.double()), p), "=", right)


def closer_than_base(p: Tensor, q: Tensor, d: Tensor) -> Claim:
    """S9: D(π, q*) ≤ D(p, q*) + α (1 − β) for every d."""
    p, q = pair(p, q)
    alpha, beta = deferred_mass(p, d), deferred_mass(q, d)
    right = total_variation(p, q) + alpha * (1 - beta)
    return Claim(total_variation(mix(p, q, d.double()), q), "<=", right)


def nudging_comparison(p: Tensor, q: Tensor, threshold: float) -> Claim:
    """S9 (paper, Lemma 6): D(π^{<λ}, q*) ≤ D(φ, q*) + α (1 − β), φ nudging's distribution at the same λ."""
    p, q = pair(p, q)
    d = (p < threshold).to(p)
    phi = torch.where(p.amax(-1, keepdim=True) < threshold, q, p)
    right = total_variation(phi, q) + deferred_mass(p, d) * (1 - deferred_mass(q, d))
    return Claim(total_variation(mix(p, q, d), q), "<=", right)


def acceptance_probability(p: Tensor, q: Tensor, d: Tensor) -> Claim:
    """S10: drafts x ~ q* are accepted with probability Σ q* min(1, π/q*) = 1 − D(π, q*)."""
    p, q = pair(p, q)
    pi = mix(p, q, d.double())
    return Claim(torch.minimum(pi, q).sum(-1), "=", 1 - total_variation(pi, q))


def acceptance_floor(p: Tensor, q: Tensor, d: Tensor) -> Claim:
    """S10: α ≤ the acceptance probability."""
    return Claim(deferred_mass(p, d), "<=", acceptance_probability(p, q, d).left)


def emitted_law(p: Tensor, q: Tensor, d: Tensor) -> Claim:
    """S10: accept x ~ q* with min(1, π/q*), else draw from norm((p_keep − q*)₊): the token has the law π.

    The left side is the distance of that law to π.
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
    """S10: with i.i.d. acceptance a, 1 + a + ... + a^γ = (1 − a^{γ+1}) / (1 − a) tokens a round, the last included."""
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
    """S11: where p₁ ≥ α and p₁ ≥ p₂ + α, the best kept token is a mode of π for every q*.

    For every q* at a corner of the simplex (π is linear in q*, so corners suffice): max_v π_v − π_best, zero where
    the condition holds; elsewhere the claim is empty and the left side is zero.
    """
    check_distribution("p", p)
    p, d = p.double(), d.double()
    kept, alpha = p * (1 - d), deferred_mass(p, d)
    best = kept.argmax(-1, keepdim=True)
    others = kept.scatter(-1, best, -torch.inf)
    first, second = kept.amax(-1), others.amax(-1).clamp_min(0)
    sure = (first >= alpha) & (first >= second + alpha)
    corners = torch.eye(p.shape[-1], dtype=p.dtype)
    pi = kept.unsqueeze(-2) + alpha[..., None, None] * corners
    excess = (pi.amax(-1) - pi.gather(-1, best.unsqueeze(-2).expand(*pi.shape[:-1], 1)).squeeze(-1)).amax(-1)
    return Claim(torch.where(sure, excess, 0.0), "<=", torch.zeros_like(alpha))
