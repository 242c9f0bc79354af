"""Decisions that a few numbers per position describe: the lightest tokens are deferred."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Cut:
    """Everything lighter than ``value`` is deferred, of equal tokens those before ``critical``, of that one a share.

    It says all that a dense d says, without its V numbers a position; fields are ``(*batch,)``.

    Attributes:
        value: mass of the critical token; a threshold where there is none.
        alpha: the deferred mass Σ P_v d_v, of masses that sum to 1: in [0, 1], exactly 1 where all is deferred.
        critical: id of the first token that is not deferred as a whole, 0 where no token is critical; None if no row
            has one.
        share: d of the critical token, in [0, 1); None if it is 0 in every row.
        tied: whether tokens as heavy as the critical one may be deferred before it; only then are ids compared.

    >>> import kad, torch
    >>> p = torch.tensor([0.5, 0.3, 0.2])
    >>> cut = kad.Dual(threshold=0.4).cut(p)
    >>> cut.dense(p), cut.of(p[1], torch.tensor(1)), cut.alpha
    (tensor([0., 1., 1.]), tensor(1.), tensor(0.5000))
    """

    value: Tensor
    alpha: Tensor
    critical: Tensor | None = None
    share: Tensor | None = None
    tied: bool = False

    def at(self, index: Any) -> Cut:
        """The same at some positions, or with other axes."""
        critical, share = (None if x is None else x[index] for x in (self.critical, self.share))
        return Cut(self.value[index], self.alpha[index], critical, share, self.tied)

    def of(self, mass: Tensor, token: Tensor) -> Tensor:
        """d of one token per position, from its mass and its id, all ``(*batch,)``."""
        inside = mass < self.value
        if self.critical is None:
            return inside.to(mass.dtype)
        if self.tied:
            inside |= (mass == self.value) & (token < self.critical)
        d = inside.to(mass.dtype)
        return d if self.share is None else torch.where((token == self.critical) & ~inside, self.share, d)

    def dense(self, mass: Tensor) -> Tensor:
        """d ``(*batch, V)``, from the masses that were cut."""
        mass, row = mass.detach(), self.at((..., None))
        # Compared straight into floats: a quarter of the time of a mask and a conversion.
        d = torch.lt(mass, row.value, out=torch.empty_like(mass, requires_grad=False))
        if self.tied:
            d.masked_fill_(row.equal_before(mass), 1.0)
        if row.critical is None or row.share is None:
            return d
        return d.scatter_(-1, row.critical, torch.where(row.share > 0, row.share, d.gather(-1, row.critical)))

    def kept(self, mass: Tensor) -> Tensor:
        """P_v (1 − d_v), ``(*batch, V)``."""
        mass, row = mass.detach(), self.at((..., None))
        return row.without_share(torch.where(mass < row.value, 0.0, mass), mass)

    def without_share(self, kept: Tensor, mass: Tensor) -> Tensor:
        """What is kept, in place, from the masses that are not below ``value``; of a cut with an axis for the tokens."""
        if self.tied:
            kept.masked_fill_(self.equal_before(mass), 0.0)
        if self.critical is None or self.share is None:
            return kept
        return kept.scatter_(-1, self.critical, kept.gather(-1, self.critical) * (1 - self.share))

    def equal_before(self, mass: Tensor) -> Tensor:
        """Tokens as heavy as the critical one that go before it, ``(*batch, V)``; of a cut with an axis for them."""
        assert self.critical is not None, "a cut with ties has a critical token"
        ids = torch.arange(mass.shape[-1], dtype=torch.int32, device=mass.device)
        return (mass == self.value) & (ids < self.critical)
