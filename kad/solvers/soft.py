"""The dual with a soft border: the one rule here with a gradient in its own price."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from .base import Solver
from .parameters import Parameter, Parameters, differentiable, entries, of_rows


@final
@dataclass(frozen=True, eq=False, repr=False)
class Soft(Parameters, Solver):
    """d_v = 1 / (1 + exp(−(ℓ_v − μ) / τ)), the dual with a border of width τ, which has a gradient in μ and τ.

    It minimises r(d) + μ g(d) − τ Σ P_v H(d_v) with the binary entropy H, so for the mass that it defers its risk is above the
    best by at most W(1/e) τ < .279 τ, and as τ falls to 0 it becomes `Dual`, but for d_v = ½ where ℓ_v = μ. With the logistic loss
    and λ = e^{−μ}, d_v = 1 / (1 + (p_v / λ)^{1/τ}). A token of infinite loss is deferred, and moves nothing.

    Attributes:
        multiplier: μ, any finite number in units of the loss; in Python also a tensor with one for every row or position,
            broadcastable to ``(*batch,)``. A tensor that wants a gradient is copied with its graph: make a new solver after
            every step of an optimiser.
        width: τ > 0, likewise. What is learned as log τ stays above 0.

    Raises:
        ValueError: a multiplier that is not finite, or a width that is not finite and > 0; when used, a tensor that does not fit
            the rows.

    >>> import torch
    >>> p, price = torch.tensor([0.5, 0.3, 0.2]), torch.tensor(1.0, requires_grad=True)
    >>> d = Soft(price, width=0.5).defer(-p.log(), p)
    >>> [round(x, 2) for x in d.tolist()]
    [0.35, 0.6, 0.77]
    >>> round(float(torch.autograd.grad((p * d).sum(), price)[0]), 3)
    -0.442
    """

    multiplier: Parameter
    width: Parameter
    fractional: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name in ("multiplier", "width"):
            object.__setattr__(self, name, differentiable(f"Soft {name}", getattr(self, name)))
        for price in entries(self.multiplier):
            if not math.isfinite(price):
                raise ValueError(f"Soft multiplier must be a finite number, got {price}.")
        for width in entries(self.width):
            if not 0 < width < math.inf:
                raise ValueError(f"Soft width must be a finite number > 0, got {width}.")

    def defer(self, loss: Tensor, mass: Tensor) -> Tensor:
        price, width = (
            x.unsqueeze(-1) if isinstance(x, Tensor) else x
            for x in (
                of_rows("multiplier", self.multiplier, mass, loss.dtype),
                of_rows("width", self.width, mass, loss.dtype),
            )
        )
        never = loss.isinf()  # apart from the rest: ∞ · 0 in a gradient would be NaN
        d = torch.sigmoid((loss.masked_fill(never, 0) - price) / width)
        return d.masked_fill(never, 1).to(mass.dtype)
