"""A statement about given numbers: two sides and the relation between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from ..solvers.base import check_problem


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
    """Loss and mass in float64, checked.

    Raises:
        ValueError: shapes that differ, a mass that is no distribution, or losses that are negative or NaN.
    """
    check_problem(loss, mass)
    return loss.double(), mass.double()
