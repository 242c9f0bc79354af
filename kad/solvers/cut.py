"""Decisions that a few numbers per position describe: the lightest tokens are deferred."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..distributions import by_numpy

FEW = 16  # rows
SOME = 64  # one token in so many may be kept for their ids to be of use


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
        """P_v (1 − d_v), ``(*batch, V)``: faster than by way of d where rows are long."""
        mass, row = mass.detach(), self.at((..., None))
        if by_numpy(mass) and row.value.numel() <= FEW:  # one pass a row: it keeps what is above a number
            below = torch.nextafter(row.value, torch.zeros_like(row.value)).reshape(-1).tolist()
            rows = zip(mass.reshape(-1, mass.shape[-1]), below, strict=True)
            parts = [torch.threshold(masses, number, 0.0) for masses, number in rows]
            kept = (parts[0] if len(parts) == 1 else torch.stack(parts)).view(mass.shape)
        else:
            kept = torch.where(mass < row.value, 0.0, mass)
        if self.tied:
            kept.masked_fill_(row.equal_before(mass), 0.0)
        if row.critical is None or row.share is None:
            return kept
        return kept.scatter_(-1, row.critical, kept.gather(-1, row.critical) * (1 - row.share))

    def equal_before(self, mass: Tensor) -> Tensor:
        """Tokens as heavy as the critical one that go before it, ``(*batch, V)``; of a cut with an axis for them."""
        assert self.critical is not None, "a cut with ties has a critical token"
        return (mass == self.value) & (torch.arange(mass.shape[-1], device=mass.device) < self.critical)

    def kept_tokens(self, mass: Tensor) -> tuple[Tensor, Tensor] | None:
        """The tokens that are not deferred and their P_v (1 − d_v), both ``(R, k)``, of a few rows ``(R, V)`` on a CPU.

        Rows with fewer than k of them are filled with token 0 and mass 0. None if they are so many that `kept` is
        faster.
        """
        masks = [p >= v for p, v in zip(mass.detach().numpy(), self.value.numpy(), strict=True)]
        counts = [int(np.count_nonzero(mask)) for mask in masks]
        most = max(1, *counts)
        if most > mass.shape[-1] // SOME:
            return None
        tokens = torch.zeros(len(masks), most, dtype=torch.long)
        for row, mask in enumerate(masks):
            tokens[row, : counts[row]] = torch.from_numpy(np.flatnonzero(mask))
        found = mass.gather(-1, tokens)
        if self.tied or self.share is not None:
            found = found * (1 - self.at((..., None)).of(found, tokens))
        if min(counts) < most:
            found.masked_fill_(torch.arange(most) >= torch.tensor(counts).unsqueeze(-1), 0)
        return tokens, found
