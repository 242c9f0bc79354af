"""The formulas in torch: what a GPU does, and what a compiler fuses."""

from __future__ import annotations

import torch
from torch import Tensor

from ..cut import Cut
from ..distributions import BLOCK, accumulation_dtype, block_sums, blockwise_sum, running_sums, softmax, whole_where
from .machine import Arithmetic, Prefix, Weights

PART = 8192  # tokens whose sums are formed at once at least
NEARLY_ONE = {dtype: 1 - 2 * torch.finfo(dtype).eps for dtype in (torch.float32, torch.float64)}


class Torch(Arithmetic):
    def softmax(self, logits: Tensor, temperature: float, out: Tensor | None = None) -> Tensor:
        return softmax(logits, temperature, out)

    def below(self, mass: Tensor, threshold: float | Tensor) -> Tensor:
        if not isinstance(threshold, Tensor):
            below = blockwise_sum(torch.where(mass < threshold, mass, 0))
            return whole_where(lambda: mass.amax(-1) < threshold, below).to(mass.dtype)
        level = threshold.to(mass.dtype)  # rounded as a plain number would be
        below = blockwise_sum(torch.where(mass < level.unsqueeze(-1), mass, 0))
        return whole_where(lambda: mass.amax(-1) < level, below).to(mass.dtype)

    def prefix(self, loss: Tensor, mass: Tensor, budget: float | Tensor) -> Prefix:
        loss, mass = loss.detach(), mass.detach()  # which tokens are deferred has no gradient
        found = self.partial_prefix(loss, mass, budget)
        if not isinstance(budget, Tensor) and budget < 1:
            return found
        whole = torch.as_tensor(budget >= 1, device=mass.device).unsqueeze(-1)
        critical = torch.where(whole, mass.shape[-1], found.critical)
        return Prefix(found.fits | whole, critical, found.left.masked_fill(whole, 0))

    def partial_prefix(self, loss: Tensor, mass: Tensor, budget: float | Tensor) -> Prefix:
        """`prefix` for budgets below 1."""
        return prefix_by_sorting(loss, mass, budget)

    def lightest(self, mass: Tensor, budget: float | Tensor, fill: bool) -> Cut:
        mass = mass.detach()
        if not isinstance(budget, Tensor):
            return whole_cut(mass) if budget >= 1 else self.partial_cut(mass, budget, fill)
        found, whole = self.partial_cut(mass, budget, fill), budget >= 1
        assert found.critical is not None
        share = None if found.share is None else found.share.masked_fill(whole, 0)
        value, alpha = found.value.masked_fill(whole, 2), found.alpha.masked_fill(whole, 1)
        return Cut(value, alpha, found.critical.masked_fill(whole, 0), share, found.tied)

    def partial_cut(self, mass: Tensor, budget: float | Tensor, fill: bool) -> Cut:
        """`lightest` for budgets below 1."""
        _, critical, left = self.partial_prefix(-mass, mass, budget)
        some = critical < mass.shape[-1]
        value = mass.gather(-1, critical.clamp(max=mass.shape[-1] - 1))
        value, critical = torch.where(some, value, 2.0).squeeze(-1), torch.where(some, critical, 0).squeeze(-1)
        return with_share(value, critical, budget - left.squeeze(-1), budget if fill else 0.0, True)

    def kept(self, cut: Cut, mass: Tensor) -> Tensor:
        return cut.kept(mass)

    def leftover(self, d: Tensor | Cut, p: Tensor, q: Tensor, alpha: Tensor) -> Weights:
        kept = self.kept(d, p) if isinstance(d, Cut) else torch.addcmul(p, p, d, value=-1)
        rest, nothing = surplus(kept, q, alpha)
        return Weights(torch.where(nothing.unsqueeze(-1), q, rest, out=rest))

    def draw(self, weights: Tensor, uniform: Tensor) -> Tensor:
        size, share = weights.shape[-1], uniform.to(accumulation_dtype(weights)).unsqueeze(-1)
        if size <= 4 * BLOCK:
            return first_above(weights, share)[0].squeeze(-1)
        # First a block by its mass, then one of its tokens: one pass over memory, and no sum runs so long that it
        # swallows light tokens.
        block, share = first_above(torch.cat(block_sums(weights), -1), share)
        at = block * BLOCK + torch.arange(BLOCK, device=weights.device)
        inner = weights.gather(-1, at.clamp(max=size - 1)).masked_fill_(at >= size, 0)
        return (block * BLOCK + first_above(inner, share)[0]).squeeze(-1).clamp_(max=size - 1)  # of NaN there is none

    def mode(self, weights: Tensor) -> Tensor:
        return weights.argmax(-1)


def surplus(kept: Tensor, q: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
    """(p (1 − d) − (1 − α) q*)₊ of some or all tokens, ``(B, k)``, from p (1 − d), q* and α; and where it is nothing.

    It is the `residual` of a mixture, without forming that, and proportional to (p_keep − q*)₊ (theory S10).
    """
    rest = torch.addcmul(kept, q, alpha.to(q.dtype).unsqueeze(-1) - 1).clamp_min_(0)
    return rest, rest.sum(-1) <= 16 * torch.finfo(rest.dtype).eps


def descending(loss: Tensor) -> Tensor:
    """The order of the tokens by falling loss, equal losses by token id: the same on every device."""
    return torch.sort(loss, dim=-1, descending=True, stable=True).indices


def prefix_by_sorting(loss: Tensor, mass: Tensor, budget: float | Tensor) -> Prefix:
    """The definition: sort, sum, compare. On a GPU, and for few tokens, also the fastest."""
    budget = budget.unsqueeze(-1) if isinstance(budget, Tensor) else budget
    order, size = descending(loss), mass.shape[-1]
    count, before = longest_prefix(mass.gather(-1, order), budget)
    critical = torch.where(count < size, order.gather(-1, count.clamp(max=size - 1)), size)
    inside = torch.arange(size, dtype=torch.int32, device=mass.device) < count
    return Prefix(torch.zeros_like(inside).scatter(-1, order, inside), critical, budget - before)


def longest_prefix(ordered: Tensor, budget: float | Tensor) -> tuple[Tensor, Tensor]:
    """How many of some masses ``(*batch, V)`` fit the budget in their order, and how much these weigh; ``(*batch, 1)``.

    Their running sums are formed a part of the vocabulary at a time: at once they would take twice the memory of the masses.
    """
    wide = accumulation_dtype(ordered)
    count = torch.zeros_like(ordered[..., :1], dtype=torch.long)
    passed, before = (torch.zeros_like(ordered[..., :1], dtype=wide) for _ in range(2))
    for part in torch.split(ordered, max(PART, -(-ordered.shape[-1] // 8)), -1):
        running = running_sums(part, wide).add_(passed)
        inside = running <= budget
        count += inside.sum(-1, keepdim=True)  # prefixes are contiguous
        before = torch.maximum(before, torch.where(inside, running, 0.0).amax(-1, keepdim=True))
        passed = running[..., -1:]
    return count, before


def whole_cut(mass: Tensor) -> Cut:
    """Everything, whatever the rounded sum: every mass is below 2."""
    every = mass.new_ones(mass.shape[:-1])
    return Cut(2 * every, every, torch.zeros_like(every, dtype=torch.long))


def with_share(value: Tensor, critical: Tensor, deferred: Tensor, fill: float | Tensor, tied: bool) -> Cut:
    """A cut that defers ``deferred`` in whole tokens, and of the critical one what brings that up to ``fill``, if not 0."""
    deferred = torch.where(value < 2, deferred.clamp(max=1), 1.0)
    if not isinstance(fill, Tensor) and not fill:
        return Cut(value, deferred.to(value.dtype), critical, tied=tied)
    some = (value < 2) & (fill > 0) if isinstance(fill, Tensor) else value < 2
    left = torch.where(some, fill - deferred, 0.0).clamp_min(0)
    share = (left / value.to(left.dtype)).clamp(0, 1)
    return Cut(value, (deferred + left).to(value.dtype), critical, share.to(value.dtype), tied)


def first_above(weights: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    """Where the cumulative weight first exceeds a share of the whole, and which share of that weight is passed.

    ``(B, n), (B, 1) -> (B, 1), (B, 1)``; shares in [0, 1] and in the dtype of accumulation.
    """
    cdf = running_sums(weights, share.dtype)
    # Just below 1, so that the product is rounded to less than Σ: the first sum above it then belongs to a token of
    # positive weight.
    goal = share.clamp(max=NEARLY_ONE[share.dtype]) * cdf[:, -1:]
    found = torch.searchsorted(cdf, goal, right=True).clamp_(max=weights.shape[-1] - 1)
    passed = (goal - cdf.gather(-1, found)) / weights.gather(-1, found) + 1
    return found, passed.clamp_min_(0)
