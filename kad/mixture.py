"""kad's own targets: the mixture of a loss and a solver, its baselines, and the paper's methods by name."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from .checks import forgotten_classvar, instance
from .distributions import log
from .losses import ConfidenceBet, Logistic, Loss, Nudging
from .solvers import Cut, Dual, Fractional, Primal, Solver
from .solvers.parameters import one_number, probability
from .target import Checked, mixed
from .target import Placement as Placement
from .target import Target as Target
from .target import check_placement as check_placement
from .target import mix as mix


@final
@dataclass(frozen=True)
class Mixture(Checked):
    """KAD: a loss and a solver decide which tokens of p are deferred to q* (paper, Section 3).

    Raises:
        ValueError: no loss or no solver (a class in place of an instance, say), a claim that is a field, a threshold with
            a loss that does not claim to be ``strict``, or an unknown placement.

    >>> import torch
    >>> target = Mixture(Logistic(), Dual(threshold=0.4))
    >>> target(torch.tensor([0.75, 0.25]), torch.tensor([0.5, 0.5]))
    tensor([0.8750, 0.1250])
    """

    loss: Loss
    solver: Solver
    placement: Placement = "models"

    def __post_init__(self) -> None:
        instance("a Mixture's loss", self.loss, Loss)  # type: ignore[type-abstract]
        instance("a Mixture's solver", self.solver, Solver)  # type: ignore[type-abstract]
        check_placement(self.placement)
        for part, kind, suite in ((self.loss, Loss, "loss"), (self.solver, Solver, "solver")):
            if sentence := forgotten_classvar(part, kind):
                raise ValueError(f"{sentence[:-1]}, and run kad.testing.check_{suite}.")
        by_threshold = isinstance(self.solver, Dual) and self.solver.threshold is not None
        if by_threshold and (not self.loss.strict or self.loss.reads_proxy):
            name = type(self.loss).__name__
            raise ValueError(
                "Dual(threshold=λ) needs a loss that falls strictly with p_v alone, because only then is it the decision "
                f"of a multiplier; give {name} a Dual(multiplier=μ), or let {name} claim `strict` if it does so fall."
            )

    @property
    def reads_proxy(self) -> bool:  # type: ignore[override]
        return self.loss.reads_proxy

    @property
    def made_of(self) -> dict[str, Any]:
        return {"loss": self.loss, "solver": self.solver}

    @property
    def limit(self) -> Any:
        return self.solver.limit

    def defer(self, p: Tensor, q: Tensor | None = None) -> Tensor:
        cut = self.cut(p)
        return cut.dense(p) if cut is not None else self.solver.defer(self.loss(p, q), p)

    def cut(self, p: Tensor) -> Cut | None:
        """Where the loss falls with the mass and the solver looks at its order alone, no loss is computed."""
        return self.solver.cut(p) if self.loss.strict else None

    def unchecked(self, p: Tensor, q: Tensor, r: Tensor | None = None) -> Tensor:
        return mixed(p, q, self.defer(p, q))


class Alone(Checked):
    """One model alone: nothing or everything is deferred, whatever p says."""

    reads_proxy = False
    share: ClassVar[float]

    def defer(self, p: Tensor, q: Tensor | None = None) -> Tensor:
        return torch.full_like(p, self.share, requires_grad=False)

    def cut(self, p: Tensor) -> Cut:
        every = p.new_full(p.shape[:-1], self.share)
        return Cut(2 * every, every)  # every mass is below 2


@final
@dataclass(frozen=True)
class Base(Alone):
    """π = p: the base model alone (nothing is deferred).

    >>> import torch
    >>> Base()(torch.tensor([0.75, 0.25]), torch.tensor([0.5, 0.5]))
    tensor([0.7500, 0.2500])
    """

    share: ClassVar[float] = 0.0

    def unchecked(self, p: Tensor, q: Tensor, r: Tensor | None = None) -> Tensor:
        return p


@final
@dataclass(frozen=True)
class Proxy(Alone):
    """π = q*: the aligned model alone (everything is deferred).

    >>> import torch
    >>> Proxy()(torch.tensor([0.75, 0.25]), torch.tensor([0.5, 0.5]))
    tensor([0.5000, 0.5000])
    """

    share: ClassVar[float] = 1.0

    def unchecked(self, p: Tensor, q: Tensor, r: Tensor | None = None) -> Tensor:
        return q


@final
@dataclass(frozen=True)
class Ensemble(Checked):
    """π = (1 − w) p + w q*: every token deferred with the same probability w, whatever p says of it.

    The constant mixture of Hugging Face's assisted decoding (``assistant_ensemble_weight``); a baseline.

    Raises:
        ValueError: a weight outside [0, 1], or an unknown placement.

    >>> import torch
    >>> Ensemble(0.5)(torch.tensor([0.75, 0.25]), torch.tensor([0.25, 0.75]))
    tensor([0.5000, 0.5000])
    """

    weight: float
    placement: Placement = "models"
    reads_proxy = False

    def __post_init__(self) -> None:
        check_placement(self.placement)
        name = "Ensemble weight"
        object.__setattr__(self, "weight", one_number(name, probability(name, self.weight)))

    def defer(self, p: Tensor, q: Tensor | None = None) -> Tensor:
        return torch.full_like(p, self.weight, requires_grad=False)

    def unchecked(self, p: Tensor, q: Tensor, r: Tensor | None = None) -> Tensor:
        return mixed(p, q, self.defer(p))


@final
@dataclass(frozen=True)
class ImplicitReward(Checked):
    """π ∝ p (q* / q)^β, in log space: the base reweighted by the proxy's implicit reward (paper, Section 2).

    q is the small base model that the proxy was aligned from. Logits processors that truncate are applied to p and
    q*, not to q: dividing by a truncated q would reward exactly what q never says. Where no token is left (p and q*
    truncated to disjoint sets) π = p.

    Attributes:
        reference: the model q.
        strength: β ≥ 0.

    Raises:
        ValueError: negative strength, unknown placement, or called without r or with what is no distribution.

    >>> import torch
    >>> p, q, r = torch.tensor([0.5, 0.5]), torch.tensor([0.6, 0.4]), torch.tensor([0.2, 0.8])
    >>> ImplicitReward()(p, q, r)
    tensor([0.8571, 0.1429])
    """

    reference: Any = field(default=None, repr=False)
    strength: float = 1.0
    placement: Placement = "models"

    def __post_init__(self) -> None:
        check_placement(self.placement)
        object.__setattr__(self, "strength", one_number("ImplicitReward strength", self.strength))
        if not 0 <= self.strength < math.inf:
            raise ValueError(f"ImplicitReward strength must be a finite number ≥ 0, got {self.strength}.")

    def unchecked(self, p: Tensor, q: Tensor, r: Tensor | None = None) -> Tensor:
        if r is None:
            raise ValueError("ImplicitReward needs the small base model's distribution r; give it a reference model.")
        tiny = torch.finfo(r.dtype).tiny
        prior = log(p)
        if self.strength == 0:  # 0 · log 0 would be NaN
            return torch.softmax(prior, dim=-1)
        score = prior + self.strength * (log(q) - r.clamp_min(tiny).log())
        empty = (score == -torch.inf).all(-1, keepdim=True)
        return torch.softmax(torch.where(empty, prior, score), dim=-1)


def dual(threshold: float | Tensor, placement: Placement = "models") -> Mixture:
    """KAD with the logistic loss and the dual: p_v < λ is deferred (paper, λ = 0.3 to 0.4).

    >>> dual(0.4)
    Mixture(loss=Logistic(), solver=Dual(multiplier=None, threshold=0.4), placement='models')
    """
    return Mixture(Logistic(), Dual(threshold=threshold), placement)


def primal(budget: float | Tensor, placement: Placement = "models") -> Mixture:
    """KAD with the logistic loss and the primal greedy (paper, b = 0.9).

    >>> primal(0.9, "mixture")
    Mixture(loss=Logistic(), solver=Primal(budget=0.9), placement='mixture')
    """
    return Mixture(Logistic(), Primal(budget), placement)


def fractional(budget: float | Tensor, placement: Placement = "models") -> Mixture:
    """KAD with the logistic loss and the LP relaxation: the budget is filled exactly (theory S6).

    >>> fractional(0.9).solver
    Fractional(budget=0.9)
    """
    return Mixture(Logistic(), Fractional(budget), placement)


def nudging(threshold: float | Tensor, placement: Placement = "models") -> Mixture:
    """Nudging: q* instead of p wherever max_w p_w < λ (paper, Section 2).

    >>> import torch
    >>> nudging(0.4)(torch.full((4,), 0.25), torch.tensor([0.0, 1.0, 0.0, 0.0]))
    tensor([0., 1., 0., 0.])
    """
    level = probability("nudging threshold", threshold)
    return Mixture(Nudging(), Dual(multiplier=1 - level), placement)


def confidence_bet(margin: float | Tensor, placement: Placement = "models") -> Mixture:
    """The confidence bet: p_v < max_w q*_w − margin is deferred (arXiv 2604.16146).

    >>> confidence_bet(0.1).reads_proxy
    True
    """
    return Mixture(ConfidenceBet(), Dual(multiplier=margin), placement)


def implicit_reward(reference: Any, strength: float = 1.0, placement: Placement = "models") -> ImplicitReward:
    """Implicit reward with the small base model q as the reference.

    >>> import kad
    >>> implicit_reward(kad.demo.load().proxy_base)
    ImplicitReward(strength=1.0, placement='models')
    """
    return ImplicitReward(reference, strength, placement)
