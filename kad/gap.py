"""How far rules are from the exact optimum, over many steps: at the mass that each defers, and at a budget.

Two budgets must not be mixed. A price has no budget: at step t it defers the mass g_t that it defers, and is to be compared
with r*(g_t), where a rule that goes by falling loss is optimal (theory S3). A budget is kept or not: where it is kept,
r*(b) is the measure; where it is exceeded, r*(b) says nothing about the rule, and the step is counted instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from .checks import instance
from .distributions import accumulation_dtype, alpha_of, check_distributions
from .losses import Loss
from .solvers import Exact, Solver
from .solvers.base import ROUNDING, check_problem, limit_of, linear_relaxation, risk_of
from .solvers.parameters import budgets
from .target import Target, at_one_position, check_decision

Rule = Solver | Target
SAME = 1e-12  # masses that differ by less are one budget


@dataclass(frozen=True)
class Intervals:
    """A gap of every step as an interval, ``(N,)`` each; NaN where there is none. Its width is what Exact left unproved."""

    low: Tensor
    high: Tensor

    def summary(self, scale: Tensor) -> dict[str, float | int | None]:
        """Over the steps that have a gap; ``scale``, ``(N,)``, is what counts as rounding."""
        there = ~self.low.isnan()
        low, high, scale = self.low[there], self.high[there], scale[there]
        if not len(low):
            return {"steps": 0} | dict.fromkeys(("mean_low", "mean", "median", "max", "optimal", "open"))
        optimal, open_ = high <= scale, (low <= scale) & (high > scale)
        return {
            "steps": len(low), "mean_low": float(low.mean()), "mean": float(high.mean()), "median": float(high.median()),
            "max": float(high.max()), "optimal": float(optimal.double().mean()), "open": float(open_.double().mean()),
        }  # fmt: skip


@dataclass(frozen=True)
class Gap:
    """One rule over N steps; everything but ``pooled`` is ``(N,)``, float64.

    Attributes:
        risk: r(d) = Σ p_v ℓ_v (1 − d_v).
        mass: g(d) = Σ p_v d_v, what the rule defers.
        budget: b: the rule's own, else the one that was stated; NaN without any.
        own: r(d) − r*(g(d)), the gap to the best 0-1 decision that defers no more than this rule does. Negative only for
            fractional rules, which may split a token.
        stated: r(d) − r*(b), where there is a budget and it is kept; NaN elsewhere.
        spare: what the best decision for b itself leaves of it, b − g(d*), where ``stated`` is known.
        late: whether Exact ran out of time at this step, so that an interval is wide.
        pooled: mean risk minus the LP bound on it for any decisions that defer no more in sum over these steps: zero for
            one price at every step (theory S1 and S6, for all steps as one knapsack).

    >>> import kad, torch
    >>> p = torch.tensor([[0.6, 0.25, 0.15], [0.5, 0.3, 0.2]], dtype=torch.float64)
    >>> gap = kad.gaps(p, {"dual": kad.Dual(threshold=0.28)}, kad.Logistic(), budget=0.3)["dual"]
    >>> gap.over.gt(0).tolist(), gap.stated.high.isnan().tolist()  # over its budget: counted, not compared
    ([True, False], [True, False])
    """

    risk: Tensor
    mass: Tensor
    budget: Tensor
    own: Intervals
    stated: Intervals
    spare: Tensor
    late: Tensor
    pooled: float

    @property
    def unfilled(self) -> Tensor:
        """(b − g(d))₊; NaN without a budget."""
        return (self.budget - self.mass).clamp_min(0)

    @property
    def over(self) -> Tensor:
        """(g(d) − b)₊, zero where the difference is rounding; NaN without a budget."""
        excess = self.mass - self.budget
        return torch.where(excess.abs() <= SAME, 0.0, excess.clamp_min(0))

    def summary(self) -> dict[str, Any]:
        """Means over the steps, and what `Intervals.summary` says of both gaps; None where there is nothing to say.

        ``unfilled`` and ``spare`` are of the steps within the budget, and so of the same steps; ``over`` is of all.
        """
        scale, some = ROUNDING * (1 + self.risk), not bool(self.budget.isnan().any())
        within = ~self.spare.isnan()
        return {
            "steps": len(self.risk), "risk": float(self.risk.mean()), "mass": float(self.mass.mean()),
            "budget": float(self.budget.mean()) if some else None, "own": self.own.summary(scale),
            "stated": self.stated.summary(scale), "unfilled": float(self.unfilled[within].mean()) if within.any() else None,
            "spare": float(self.spare[within].mean()) if within.any() else None,
            "over": float(self.over.mean()) if some else None,
            "over_share": float((self.over > 0).double().mean()) if some else None,
            "pooled": self.pooled, "late": int(self.late.sum()),
        }  # fmt: skip


def gaps(
    p: Tensor,
    rules: Mapping[str, Rule] | Sequence[Rule],
    loss: Loss,
    budget: float | Tensor | None = None,
    q: Tensor | None = None,
    time_limit: float = 0.9,
    told: Callable[[str], None] = lambda rule: None,
) -> dict[str, Gap]:
    """The distance of rules from the exact optimum (P1) at every step, with certified bounds.

    A gap is an interval: above it ends at r(d) − lower_bound, below at r(d) minus the best risk that is known, from `Exact`.
    Where the LP bound at the rule's own mass already shows a decision to be optimal, Exact is not asked.

    Args:
        p: the base's distribution at every step, ``(N, V)``; float64, or proofs end at its rounding.
        rules: solvers, which decide by ``loss``, or mixtures, which decide by their own; by name, or by how they print.
        loss: what keeping a token costs, the same for all rules.
        budget: for rules without one of their own, such as a dual: a number, or one per step, ``(N,)``.
        q: q*, ``(N, V)``, for losses and targets that read it.
        time_limit: seconds of Exact for a step and a budget.
        told: called after every step of every rule, with the rule's name.

    Raises:
        ValueError: no steps or rules, no distributions ``(N, V)``, a rule that is no mixture or lacks q*, a wrong budget.

    >>> import kad, torch
    >>> p = torch.tensor([[0.6, 0.25, 0.15], [0.5, 0.3, 0.2]], dtype=torch.float64)
    >>> found = kad.gaps(p, {"dual": kad.Dual(threshold=0.28), "primal": kad.Primal(0.3)}, kad.Logistic())
    >>> [float(x) for x in found["dual"].own.high]  # a price is optimal for what it defers
    [0.0, 0.0]
    >>> [round(float(x), 3) for x in found["primal"].stated.high]  # two light tokens, or the one between
    [0.062, 0.039]
    """
    named, p, q = checked(p, rules, loss, q)
    losses = loss(p, q)
    check_problem(losses, p)
    limit = None if budget is None else budgets(budget)
    optima, found = Optima(losses, p, time_limit), dict[str, Gap]()
    for name, rule in named.items():
        d = decision_of(name, rule, losses, p, q)
        found[name] = over_steps(optima, d, limit if rule.limit is None else rule.limit, partial(told, name))
    return found


def checked(
    p: Tensor, rules: Mapping[str, Rule] | Sequence[Rule], loss: Loss, q: Tensor | None
) -> tuple[dict[str, Rule], Tensor, Tensor | None]:
    """Rules by name, p and q* in the dtype of sums; or one sentence."""
    instance("the loss", loss, Loss)  # type: ignore[type-abstract]
    pairs = list(rules.items()) if isinstance(rules, Mapping) else [(repr(rule), rule) for rule in rules]
    named = dict(pairs)
    if not pairs or len(named) < len(pairs):
        raise ValueError("gaps needs at least one rule, and no two of one name.")
    for name, rule in pairs:
        if not isinstance(rule, Rule):
            raise ValueError(f"{name} must be a solver, or a target that is a mixture, got {type(rule).__name__}.")
        at_one_position(rule, "gaps")
    check_distributions(p=p) if q is None else check_distributions(p=p, q=q)
    if p.ndim != 2 or not len(p):
        raise ValueError(f"p must have a row for every step, (N, V), got {tuple(p.shape)}.")
    if q is None and loss.reads_proxy:
        raise ValueError(f"{type(loss).__name__} reads the proxy: give q.")
    wide = accumulation_dtype(p)
    return named, p.detach().to(wide), None if q is None else q.detach().to(wide)


def decision_of(name: str, rule: Rule, losses: Tensor, p: Tensor, q: Tensor | None) -> Tensor:
    if getattr(rule, "reads_proxy", False) and q is None:
        raise ValueError(f"{name} reads the proxy: give q.")
    d = rule.deferred(losses, p, q)
    if d is None:
        raise ValueError(f"{name} is no mixture: it defers no tokens, so it has no risk and no gap.")
    check_decision(p, d)
    return d.detach().to(p)


@dataclass(frozen=True)
class Best:
    """The optimum for one budget: certified bounds on r*(b), the mass of the best decision, whether time was up."""

    low: float
    high: float
    mass: float
    late: bool


class Optima:
    """r*(b) of the steps; no step is solved twice for one budget, whichever rules share it.

    The optimum may exceed a budget by ``SAME``, as rules may. Else a rule's own decision, whose mass as a float is an ulp too
    small, would be out of reach at its own mass, and Exact would look for a proof that there is not.
    """

    def __init__(self, losses: Tensor, p: Tensor, time_limit: float) -> None:
        self.losses, self.p, self.time_limit = losses, p, time_limit
        self.known = dict[tuple[int, int], Best]()

    def at(self, step: int, budget: float) -> Best:
        key = step, round(budget / SAME)
        if key not in self.known:
            loss, p = self.losses[step], self.p[step]
            proof = Exact(min(budget + SAME, 1.0), time_limit=self.time_limit).prove(loss, p)
            low, high = float(proof.lower_bound), float(risk_of(loss, p, proof.d))
            late = proof.status == ["TIME_LIMIT"]
            self.known[key] = Best(min(low, high), high, float(alpha_of(p, proof.d)), late)
        return self.known[key]

    def gap(self, step: int, d: Tensor, risk: float, mass: float, budget: float) -> tuple[float, float, Best]:
        """The interval of risk − r*(budget) of a decision that keeps the budget, and the optimum."""
        whole = bool(((d == 0) | (d == 1)).all())
        if whole:  # then it is a candidate itself, and optimal if it attains the LP bound
            limit = self.p.new_full((), budget)
            short = risk - float(linear_relaxation(self.losses[step], self.p[step], limit)[0])
            if short <= ROUNDING * (1 + risk):
                return 0.0, max(short, 0.0), Best(risk, risk, mass, False)
        best = self.at(step, budget)
        high = min(best.high, risk) if whole else best.high
        return risk - high, risk - min(best.low, high), best


def over_steps(optima: Optima, d: Tensor, limit: float | Tensor | None, told: Callable[[], None]) -> Gap:
    """One rule's decisions ``(N, V)`` against the optimum at their own masses and at the budget."""
    p, nan = optima.p, float("nan")
    risk, mass = risk_of(optima.losses, p, d), alpha_of(p, d)
    budget = torch.full_like(mass, nan) if limit is None else limit_of(limit, p)
    found = list[tuple[float, ...]]()
    for step, (r, g, b) in enumerate(zip(risk.tolist(), mass.tolist(), budget.tolist(), strict=True)):
        own_low, own_high, best = optima.gap(step, d[step], r, g, g)
        low, high, spare, late = nan, nan, nan, best.late
        if g <= b + SAME:  # not where there is no budget: NaN
            low, high, best = optima.gap(step, d[step], r, g, b)
            spare, late = max(b - best.mass, 0.0), late or best.late
        found.append((own_low, own_high, low, high, spare, late))
        told()
    columns = p.new_tensor(found).unbind(-1)
    own, stated = Intervals(*columns[:2]), Intervals(*columns[2:4])
    pooled = float(risk.mean()) - pooled_bound(optima.losses, p, float(mass.mean()))
    return Gap(risk, mass, budget, own, stated, columns[4], columns[5].bool(), pooled)


def pooled_bound(losses: Tensor, p: Tensor, mass: float) -> float:
    """A lower bound on the mean risk of decisions at all steps that defer ``mass`` on average: max_μ θ(μ) of their LP.

    Any μ bounds (theory S1), so the bisection for the best one needs no care; θ changes by less than μ does.
    """

    def theta(price: float) -> float:
        return float((p * losses.clamp(max=price)).sum(-1).mean()) - price * mass

    low, high = 0.0, float(torch.where(p > 0, losses, 0.0).max())
    for _ in range(52):  # halves: below the rounding of the sums
        middle = (low + high) / 2
        if float((p * (losses > middle)).sum(-1).mean()) > mass:
            low = middle
        else:
            high = middle
    return max(theta(low), theta(high))
