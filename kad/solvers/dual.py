"""The Lagrangian dual: a fixed price for deferred mass, so every token decides for itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ..arithmetic import arithmetic_of
from ..cut import Cut
from ..distributions import accumulation_dtype
from .base import Solver
from .parameters import Parameter, Parameters, entries, of_rows, parameter, probability


@final
@dataclass(frozen=True, eq=False, repr=False)
class Dual(Parameters, Solver):
    """d_v = 1[ℓ_v > μ], the minimiser of L(d, μ) = r(d) + μ (g(d) − b) with the least deferred mass (theory S1).

    Give either the multiplier or, for a loss that falls strictly with p_v, the threshold. The budget is not given but realised: the
    decision is an exact optimum for the mass that it defers (theory S3). With a multiplier it looks at the losses alone, not at
    the masses.

    Attributes:
        multiplier: μ ≥ 0, in units of the loss; in Python also a tensor with one for every row or position,
            broadcastable to ``(*batch,)``.
        threshold: λ in [0, 1], likewise; defers p_v < λ, the rule that μ = ℓ(λ) gives for any loss that falls strictly with p_v
            (μ = −log λ for `Logistic`, (1 − λ)² for `Squared`) where 0 < λ ≤ max p. Above that everything goes, tokens
            that cost nothing too. For a loss that also looks at the rest of the distribution (`Brier`, `Perceptron`) the
            multiplier behind a fixed threshold moves from step to step.

    Raises:
        ValueError: neither or both given, or one outside its range; when used, a tensor that does not fit the rows.

    >>> import torch
    >>> p = torch.tensor([0.5, 0.3, 0.2])
    >>> Dual(threshold=0.25).defer(-p.log(), p)
    tensor([0., 0., 1.])
    """

    multiplier: Parameter | None = None
    threshold: Parameter | None = None

    def __post_init__(self) -> None:
        if (self.multiplier is None) == (self.threshold is None):
            raise ValueError("Dual takes exactly one of multiplier=μ and threshold=λ.")
        if self.multiplier is None:
            object.__setattr__(self, "threshold", probability("Dual threshold", self.threshold))
            return
        object.__setattr__(self, "multiplier", parameter("Dual multiplier", self.multiplier))
        for price in entries(self.multiplier):
            if not price >= 0:
                raise ValueError(f"Dual multiplier must be a number ≥ 0, got {price}.")

    @classmethod
    def of(cls, multiplier: Tensor | None = None, threshold: Tensor | None = None) -> Dual:
        """From a tensor of right numbers, of one for every row or position, where they are: on a GPU a look would be a wait."""
        made = object.__new__(cls)
        object.__setattr__(made, "multiplier", multiplier)
        object.__setattr__(made, "threshold", threshold)
        return made

    def defer(self, loss: Tensor, mass: Tensor) -> Tensor:
        cut = self.cut(mass)
        if cut is not None:
            return cut.dense(mass)
        assert self.multiplier is not None  # one of the two is given
        price = of_rows("multiplier", self.multiplier, mass, loss.dtype)  # rounded as a plain number would be
        d = torch.empty_like(mass, requires_grad=False)
        return torch.gt(loss.detach(), price.unsqueeze(-1) if isinstance(price, Tensor) else price, out=d)

    def cut(self, mass: Tensor) -> Cut | None:
        if self.threshold is None:
            return None
        mass = mass.detach()
        level = of_rows("threshold", self.threshold, mass, accumulation_dtype(mass))
        alpha = arithmetic_of(mass).below(mass, level)
        return Cut(level.to(alpha) if isinstance(level, Tensor) else torch.full_like(alpha, level), alpha)
