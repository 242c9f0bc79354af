"""Decisions that a few numbers per position describe: the lightest tokens are deferred."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..distributions import by_numpy

FEW = 16  # rows


@dataclass(frozen=True)
class Cut:
    """Everything lighter than ``value`` is deferred, of equal tokens those before ``critical``, of that one a share.

    It says all that a dense d says, without its V numbers a position; fields are ``(*batch,)``.

    Attributes:
        value: mass of the critical token; a threshold where there is none.
        critical: id of the first token that is not deferred as a whole, 0 where no token is critical.
        share: d of the critical token, in [0, 1).
        alpha: the deferred mass Σ P_v d_v, of masses that sum to 1.
        tied: False if it is known that no token as heavy as the critical one is deferred before it.
        shared: False if it is known that no share is positive.

    >>> import kad, torch
    >>> p = torch.tensor([0.5, 0.3, 0.2])
    >>> cut = kad.Dual(threshold=0.4).cut(p)
    >>> cut.dense(p), cut.of(p[1], torch.tensor(1)), cut.alpha
    (tensor([0., 1., 1.]), tensor(1.), tensor(0.5000))
    """

    value: Tensor
    critical: Tensor
    share: Tensor
    alpha: Tensor
    tied: bool = True
    shared: bool = True

    def at(self, index: Any) -> Cut:
        """The same at some positions."""
        return Cut(
            self.value[index], self.critical[index], self.share[index], self.alpha[index], self.tied, self.shared
        )

    def of(self, mass: Tensor, token: Tensor) -> Tensor:
        """d of one token per position, from its mass and its id, all ``(*batch,)``."""
        if not self.tied and not self.shared:
            return (mass < self.value).to(mass.dtype)
        inside = (mass < self.value) | ((mass == self.value) & (token < self.critical))
        return torch.where((mass == self.value) & (token == self.critical), self.share, inside.to(mass.dtype))

    def dense(self, mass: Tensor) -> Tensor:
        """d ``(*batch, V)``, from the masses that were cut."""
        mass, value = mass.detach(), self.value.unsqueeze(-1)
        # Compared straight into floats: a quarter of the time of a mask and a conversion.
        d = torch.lt(mass, value, out=torch.empty_like(mass, requires_grad=False))
        critical, share = self.critical.unsqueeze(-1), self.share.unsqueeze(-1)
        if self.tied:
            ids = torch.arange(mass.shape[-1], device=mass.device)
            d.masked_fill_((mass == value) & (ids < critical), 1.0)
        return d.scatter_(-1, critical, torch.where(share > 0, share, d.gather(-1, critical))) if self.shared else d

    def kept(self, mass: Tensor) -> Tensor:
        """P_v (1 − d_v), ``(*batch, V)``: faster than by way of d where rows are long."""
        mass = mass.detach()
        critical, share = self.critical.unsqueeze(-1), self.share.unsqueeze(-1)
        value = self.value.unsqueeze(-1)
        if by_numpy(mass) and value.numel() <= FEW:  # one pass a row: it keeps what is above a number
            below = torch.nextafter(value, torch.zeros_like(value)).reshape(-1).tolist()
            rows = zip(mass.reshape(-1, mass.shape[-1]), below, strict=True)
            parts = [torch.threshold(row, number, 0.0) for row, number in rows]
            kept = (parts[0] if len(parts) == 1 else torch.stack(parts)).view(mass.shape)
        else:
            kept = torch.where(mass < value, 0.0, mass)
        if self.tied:
            ids = torch.arange(mass.shape[-1], device=mass.device)
            kept.masked_fill_((mass == value) & (ids < critical), 0.0)
        return kept.scatter_(-1, critical, kept.gather(-1, critical) * (1 - share)) if self.shared else kept

    def kept_tokens(self, mass: Tensor) -> tuple[Tensor, Tensor]:
        """The tokens that are not deferred and their P_v (1 − d_v), both ``(R, k)``, of a few rows ``(R, V)`` on a CPU.

        Rows with fewer than k of them are filled with token 0 and mass 0.
        """
        rows = [np.flatnonzero(p >= v) for p, v in zip(mass.detach().numpy(), self.value.numpy(), strict=True)]
        counts = torch.tensor([len(ids) for ids in rows])
        tokens = torch.zeros(len(rows), max(1, int(counts.max())), dtype=torch.long)
        for row, ids in enumerate(rows):
            tokens[row, : len(ids)] = torch.from_numpy(ids)
        found = mass.gather(-1, tokens)
        if self.tied or self.shared:
            columns = (x.unsqueeze(-1) for x in (self.value, self.critical, self.share, self.alpha))
            value, critical, share, alpha = columns
            found = found * (1 - Cut(value, critical, share, alpha).of(found, tokens))
        return tokens, found.masked_fill_(torch.arange(tokens.shape[1]) >= counts.unsqueeze(-1), 0)
