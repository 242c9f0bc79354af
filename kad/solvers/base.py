"""The solver interface, and `solve`: any solver with a certificate."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..arithmetic import each
from ..arithmetic.plain import descending
from ..checks import instance
from ..cut import Cut
from ..distributions import accumulation_dtype, alpha_of, check_distribution, check_same_shape
from .parameters import Parameter, budget_of, budgets, one_line, spread

ROUNDING = 1e-9  # of sums of 150,000 float64 terms, relative to 1 + risk, with room to spare
Status = Literal["OPTIMAL", "CERTIFIED_GAP", "TIME_LIMIT", "FEASIBLE", "OVER_BUDGET"]


@dataclass(frozen=True)
class Proof:
    """A decision with the solver's own certificate; all but ``d`` are per row, ``(*batch,)`` or flat lists.

    Attributes:
        d: the decision, ``(*batch, V)``.
        lower_bound: a certified lower bound on r*(b), rounding included, float64.
        status: what the certificate proves.
        engine: what proved it.

    >>> import kad, torch
    >>> p = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    >>> proof = kad.Brute(budget=0.4).prove(-p.log(), p)
    >>> proof.d.tolist(), proof.status, proof.engine
    ([0.0, 1.0, 0.0], ['OPTIMAL'], ['enumeration'])
    """

    d: Tensor
    lower_bound: Tensor
    status: list[Status]
    engine: list[str]


class Solver(ABC):
    """Chooses which tokens to defer: minimise Σ P_v ℓ_v (1 − d_v) subject to Σ P_v d_v ≤ b (paper, P1).

    Subclass it, make it a frozen dataclass, and state four claims that `kad.testing.check_solver` measures. They are of
    the class: with a type ``feasible: ClassVar[bool] = True``, never ``feasible: bool = True``.

    Attributes:
        feasible: the deferred mass never exceeds the budget.
        exact: no 0-1 decision within the budget has a smaller risk.
        fills: the deferred mass equals the budget (only a fractional solver can promise that).
        fractional: d may lie strictly between 0 and 1, as a probability of deferral.
    """

    feasible: ClassVar[bool] = False
    exact: ClassVar[bool] = False
    fills: ClassVar[bool] = False
    fractional: ClassVar[bool] = False

    @abstractmethod
    def defer(self, loss: Tensor, mass: Tensor) -> Tensor:
        """The decision d, ``(*batch, V)`` in [0, 1] and in ``mass``'s dtype, for every row on its own.

        Args:
            loss: ℓ_v ≥ 0, ``(*batch, V)``; infinity is allowed where the mass is zero.
            mass: P_v, ``(*batch, V)``, a distribution along the last axis.
        """

    def cut(self, mass: Tensor) -> Cut | None:
        """The decision for any loss that falls strictly with the mass, if the solver looks at the losses' order alone.

        Mixtures then never compute the losses, nor a d over the vocabulary. None (the default): it wants their values.
        """
        return None

    def prove(self, loss: Tensor, mass: Tensor) -> Proof | None:
        """The decision with a certificate of the solver's own; None (the default): the LP bound is its certificate."""
        return None

    def deferred(self, loss: Tensor, p: Tensor, q: Tensor | None) -> Tensor | None:
        """d where the losses are known, which a `Target` would find itself."""
        return self.defer(loss, p)

    @property
    def limit(self) -> float | Tensor | None:
        """The budget that the solver itself was given; None for a solver that is given a price instead."""
        return getattr(self, "budget", None)

    @property
    def per_row(self) -> bool:
        """Whether it holds numbers of single rows or positions, and so fits batches of one shape only. False by default."""
        return False


@dataclass(frozen=True)
class Solution:
    """What a solver decided, and what can be proved about it. All fields but ``d`` and ``budget`` are ``(*batch,)``.

    Attributes:
        d: the decision, ``(*batch, V)``.
        budget: the budget b of every row (given, the solver's own, or the mass that the dual realises: theory S3).
        deferred_mass: g(d) = Σ P_v d_v.
        risk: r(d) = Σ P_v ℓ_v (1 − d_v).
        lower_bound: a bound on the optimal risk r*(b): the LP relaxation, max_μ θ(μ) (theory S1, S6).
        gap: risk − lower_bound; negative, but for rounding, only when the budget is exceeded.
        price: the loss of the critical token, the multiplier at which the LP bound is attained; 0 if everything fits
            (theory S4, S5).
        status: per row, OPTIMAL (proved, up to rounding), FEASIBLE or OVER_BUDGET; from a solver that proves its own
            decisions also CERTIFIED_GAP (``gap`` is what could be proved) or TIME_LIMIT.
        engine: per row, what proved the lower bound: "relaxation" (the LP), "majorisation" (theory S13),
            "enumeration" or "or-tools".

    >>> import kad, torch
    >>> p = torch.tensor([0.6, 0.4], dtype=torch.float64)
    >>> s = kad.solve(kad.Logistic()(p), p, kad.Dual(threshold=0.5))
    >>> s.status, round(float(s.risk), 4), round(float(s.budget), 4)
    (['OPTIMAL'], 0.3065, 0.4)
    """

    d: Tensor
    budget: Tensor
    deferred_mass: Tensor
    risk: Tensor
    lower_bound: Tensor
    gap: Tensor
    price: Tensor
    status: list[Status]
    engine: list[str]


def check_problem(loss: Tensor, mass: Tensor) -> None:
    """Raise a ValueError unless these are losses and a distribution of one shape."""
    for name, given in (("loss", loss), ("mass", mass)):
        instance(name, given, Tensor)
    check_same_shape("loss", loss, "mass", mass)
    check_distribution("mass", mass)
    if bool(torch.isnan(loss).any()) or bool((loss < 0).any()):
        raise ValueError("loss must be non-negative and not NaN for every token.")
    if bool((torch.isinf(loss) & (mass > 0)).any()):
        raise ValueError("loss is infinite for a token of positive mass; only tokens of mass zero may cost infinity.")


def risk_of(loss: Tensor, mass: Tensor, d: Tensor) -> Tensor:
    """r(d) = Σ P_v ℓ_v (1 − d_v), with 0 · ∞ = 0."""
    kept = mass * (1 - d)
    return torch.where(kept > 0, kept * loss, torch.zeros_like(kept)).sum(-1)


def linear_relaxation(loss: Tensor, mass: Tensor, budget: Tensor) -> tuple[Tensor, Tensor]:
    """The optimum of the LP relaxation for one budget per row, and the loss of its critical token (theory S4, S6)."""
    order = descending(loss)
    m, l = mass.gather(-1, order), loss.gather(-1, order)
    before = m.cumsum(-1) - m
    d = ((budget.unsqueeze(-1) - before) / m).clamp(0, 1)
    d = torch.where(m > 0, d, torch.ones_like(d))
    critical = ((d < 1) & (m > 0)).int().argmax(-1, keepdim=True)
    some_left = (d < 1).any(-1)
    price = torch.where(some_left, l.gather(-1, critical).squeeze(-1), torch.zeros_like(budget))
    return risk_of(l, m, d), price


def solve(loss: Tensor, mass: Tensor, solver: Solver, budget: float | Tensor | None = None) -> Solution:
    """Solve one knapsack per row and certify the result.

    Args:
        loss: ℓ_v ≥ 0, ``(*batch, V)``.
        mass: P_v, ``(*batch, V)``, a distribution along the last axis.
        solver: any `Solver`.
        budget: the budget b that the certificate is about; by default the solver's own, and for a dual the mass
            that it defers, for which it is exactly optimal (Everett, theory S3). One number, or a tensor with one for
            every row, broadcastable to ``(*batch,)``.

    Returns:
        A `Solution`, computed in float64.

    Raises:
        ValueError: no tensors, no solver (a class in place of an instance, say), shapes that differ, NaN, negative
            losses, a mass that is no distribution, a budget outside [0, 1], one other than the solver's own, or a tensor
            of budgets that does not fit the rows.

    >>> import torch
    >>> import kad
    >>> p = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    >>> s = kad.solve(kad.Logistic()(p), p, kad.Primal(budget=0.4))
    >>> s.d.tolist(), round(float(s.deferred_mass), 6), s.status
    ([0.0, 0.0, 1.0], 0.2, ['FEASIBLE'])
    """
    check_problem(loss, mass)
    instance("kad.solve's solver", solver, Solver)  # type: ignore[type-abstract]
    if budget is not None:
        budget = budgets(budget)
        asked, own = limit_of(budget, mass), solver.limit
        if own is not None and not torch.equal(asked, limit_of(own, mass)):
            raise ValueError(
                f"budget={one_line(budget)} differs from the budget {one_line(own)} that {solver} works with; leave one of them out."
            )

    return certify(loss, mass, solver, solver.prove(loss, mass) or solver.defer(loss, mass), budget)


def limit_of(budget: float | Tensor, mass: Tensor) -> Tensor:
    """The budget of every row, ``(*batch,)``, in the dtype of accumulation."""
    found = torch.as_tensor(budget_of(budget, mass), dtype=accumulation_dtype(mass), device=mass.device)
    return found.expand(mass.shape[:-1])


def certify(
    loss: Tensor, mass: Tensor, solver: Solver, decided: Proof | Tensor, budget: float | Tensor | None
) -> Solution:
    """`solve` from the solver's decision on, with its own proof or without."""
    proof = decided if isinstance(decided, Proof) else None
    d = decided.d if isinstance(decided, Proof) else decided
    wide = accumulation_dtype(mass)
    loss, mass, dd = loss.to(wide), mass.to(wide), d.to(wide)
    deferred, risk = alpha_of(mass, dd), risk_of(loss, mass, dd)
    given = budget if budget is not None else solver.limit
    limit = deferred if given is None else limit_of(given, mass)
    bound, price = linear_relaxation(loss, mass, limit)
    if proof:
        bound = torch.minimum(proof.lower_bound.to(risk), risk)
        return Solution(d, limit, deferred, risk, bound, risk - bound, price, proof.status, proof.engine)
    gap = risk - bound
    over = deferred > limit + (1e-12 if d.dtype == torch.float64 else 1e-6)  # rounding of d and of the sum
    optimal = gap.abs() <= ROUNDING * (1 + risk)
    status: list[Status] = [
        "OVER_BUDGET" if o else "OPTIMAL" if best else "FEASIBLE"
        for o, best in zip(over.flatten().tolist(), optimal.flatten().tolist(), strict=True)
    ]
    return Solution(d, limit, deferred, risk, bound, gap, price, status, ["relaxation"] * len(status))


RowProof = tuple[NDArray[np.float64], float, Status, str]


class RowSolver(Solver):
    """A solver that proves its decisions, a row at a time, on the CPU."""

    budget: Parameter

    @abstractmethod
    def prove_row(self, loss: NDArray[np.float64], mass: NDArray[np.float64], budget: float) -> RowProof:
        """(d, certified lower bound, status, engine) of one row."""

    def defer(self, loss: Tensor, mass: Tensor) -> Tensor:
        return self.prove(loss, mass).d

    def prove(self, loss: Tensor, mass: Tensor) -> Proof:
        check_problem(loss, mass)
        size = mass.shape[-1]
        losses, masses = loss.detach().reshape(-1, size), mass.detach().reshape(-1, size)
        budget = spread("budget", self.budget, mass) if isinstance(self.budget, Tensor) else self.budget
        rows = [
            self.prove_row(l.double().cpu().numpy(), m.double().cpu().numpy(), b)
            for l, m, b in zip(losses, masses, each(budget, len(masses)), strict=True)
        ]
        d = torch.from_numpy(np.stack([row[0] for row in rows])).to(mass).reshape(mass.shape)
        bound = torch.tensor([row[1] for row in rows], dtype=torch.float64, device=mass.device).reshape(mass.shape[:-1])
        return Proof(d, bound, [row[2] for row in rows], [row[3] for row in rows])
