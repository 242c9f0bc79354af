"""Draws, acceptance and residuals: pure tensor functions, and the source of chance that the loop asks.

The loop takes every random decision through a `Chance`, so that the tests can put an enumeration of all outcomes
in its place and compute the emitted law exactly.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..checks import instance
from ..distributions import BLOCK, accumulation_dtype, block_sums, blockwise_sum, by_numpy

FEW = 4  # rows
NEARLY_ONE = {dtype: 1 - 2 * torch.finfo(dtype).eps for dtype in (torch.float32, torch.float64)}


def inverse_cdf(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """The token at which the cumulative mass first exceeds ``uniform · Σ p``; ``(B, V), (B,) -> (B,)``.

    A token of probability zero is never drawn, and the rounded sum of the probabilities does not matter. Of a large
    vocabulary the mass of blocks is summed first, and then the tokens of one block a row: one pass over memory, and
    no sum runs so long that it swallows light tokens.

    >>> import torch
    >>> inverse_cdf(torch.tensor([[0.0, 0.25, 0.75]]), torch.tensor([0.3]))
    tensor([2])
    """
    wide = accumulation_dtype(probabilities)
    size, share = probabilities.shape[-1], uniform.to(wide)
    if size <= 4 * BLOCK:
        return first_above(probabilities, share.unsqueeze(-1))[0].squeeze(-1)
    blocks = torch.cat(block_sums(probabilities), -1)
    if by_numpy(probabilities) and len(probabilities) <= FEW:
        rows = zip(probabilities.detach().numpy(), blocks.detach().numpy(), share.tolist(), strict=True)
        return torch.tensor([draw_from_row(*row) for row in rows])
    block, share = first_above(blocks, share.unsqueeze(-1))
    at = block * BLOCK + torch.arange(BLOCK, device=probabilities.device)
    inner = probabilities.gather(-1, at.clamp(max=size - 1)).masked_fill_(at >= size, 0)
    return (block * BLOCK + first_above(inner, share)[0]).squeeze(-1)


def draw_from_row(p: NDArray[np.floating], blocks: NDArray[np.floating], share: float) -> int:
    """`inverse_cdf` of one row: for a few rows NumPy's calls cost a third of torch's."""
    block, share = first_above_in_row(blocks, share)
    return block * BLOCK + first_above_in_row(p[block * BLOCK : (block + 1) * BLOCK], share)[0]


def first_above_in_row(weights: NDArray[np.floating], share: float) -> tuple[int, float]:
    """`first_above` of one row."""
    cdf = weights.cumsum(dtype=np.float64)
    goal = min(share, NEARLY_ONE[torch.float64]) * float(cdf[-1])
    found = int(cdf.searchsorted(goal, side="right"))
    return found, max(0.0, (goal - float(cdf[found])) / float(weights[found]) + 1)


def first_above(weights: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    """Where the cumulative weight first exceeds a share of the whole, and which share of that weight is passed.

    ``(B, n), (B, 1) -> (B, 1), (B, 1)``; shares in [0, 1] and in the dtype of accumulation.
    """
    cdf = weights.cumsum(-1, dtype=share.dtype)
    # Just below 1, so that the product is rounded to less than Σ: the first sum above it then belongs to a token of
    # positive weight.
    goal = share.clamp(max=NEARLY_ONE[share.dtype]) * cdf[:, -1:]
    found = torch.searchsorted(cdf, goal, right=True)
    passed = (goal - cdf.gather(-1, found)) / weights.gather(-1, found) + 1
    return found, passed.clamp_min_(0)


def acceptance(pi: Tensor, q: Tensor) -> Tensor:
    """min(1, π(x) / q(x)) for drafted tokens x ~ q (theory S10), elementwise."""
    return (pi / q).clamp(max=1.0)


def residual(pi: Tensor, q: Tensor) -> Tensor:
    """(π − q)₊, unnormalised, ``(B, V)``; π itself where that is numerically zero."""
    rest = (pi - q).clamp_min_(0)
    nothing = rest.sum(-1, keepdim=True) <= 16 * torch.finfo(pi.dtype).eps
    return torch.where(nothing, pi, rest)


def surplus(kept: Tensor, q: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
    """(p (1 − d) − (1 − α) q*)₊ of some or all tokens, ``(B, k)``, from p (1 − d), q* and α; and where it is nothing.

    It is the `residual` of a mixture, without forming that, and proportional to (p_keep − q*)₊ (theory S10).
    """
    rest = torch.addcmul(kept, q, alpha.to(q.dtype).unsqueeze(-1) - 1).clamp_min_(0)
    return rest, blockwise_sum(rest) <= 16 * torch.finfo(rest.dtype).eps


def mixture_residual(kept: Tensor, q: Tensor, alpha: Tensor) -> Tensor:
    """`surplus` over the vocabulary, ``(B, V)``. Where it is numerically zero, π equals q* to rounding: then q*."""
    rest, nothing = surplus(kept, q, alpha)
    if by_numpy(rest) and not bool(nothing.any()):
        return rest
    return torch.where(nothing.unsqueeze(-1), q, rest)  # on a GPU a pass over memory is cheaper than to wait for `any`


def certain(kept: Tensor, alpha: Tensor) -> Tensor:
    """Whether argmax π is the argmax of ``kept`` = p (1 − d) whatever q* is (theory S11), ``(B, V), (B,) -> (B,)``.

    Strict comparisons: in a tie the token ids decide, and only π knows them.
    """
    if kept.shape[-1] == 1:
        return torch.ones_like(alpha, dtype=torch.bool)
    at = mode(kept).unsqueeze(-1)
    first = kept.gather(-1, at).squeeze(-1)
    second = kept.scatter(-1, at, 0.0).amax(-1)
    return (alpha == 0) | ((first > alpha) & (first > second + alpha))


def mode(weights: Tensor) -> Tensor:
    """The heaviest token, of equal ones the first; ``(*batch, V) -> (*batch,)``."""
    if not by_numpy(weights):
        return weights.argmax(-1)
    # NumPy's takes a thirtieth of the time at 150,000 tokens
    return torch.from_numpy(np.asarray(weights.detach().numpy().argmax(-1)))


def passed(coins: Tensor) -> Tensor:
    """How many coins of a row come up before its first failure; ``(B, n) -> (B,)``."""
    return coins.int().cumprod(-1).sum(-1)


class Chance(ABC):
    """Where a decoder's decisions come from: everything that is drawn is asked of one of these, and of nothing else.

    Subclass it to log decisions, to replay them, to enumerate them, or to draw otherwise, and give an instance as
    ``generator=`` of `kad.generate` or `kad.decoder`. Answers are one per row, where the question is; the rows whose
    decision counts are told by `about` before every question. `kad.testing.check_chance` tests it.

    >>> import kad
    >>> class Logged(kad.Chance):
    ...     def __init__(self, inner):
    ...         self.inner, self.told = inner, []
    ...     def about(self, rows, place, where, what, step=0):
    ...         self.told.append(what)
    ...         self.inner.about(rows, place, where, what, step)
    ...     def pick(self, weights):
    ...         return self.inner.pick(weights)
    ...     def coin(self, probability):
    ...         return self.inner.coin(probability)
    ...     def leading(self, probability):
    ...         return self.inner.leading(probability)
    >>> pair, chance = kad.demo.load(), Logged(kad.Greedy())
    >>> prompt = "q : tom has 6 apples . he loses 2 . he finds 9 more . how many apples does tom have now ? a :"
    >>> out = kad.generate(
    ...     pair.base, pair.proxy, prompt, target=kad.dual(0.4), tokenizer=pair.tokenizer, generator=chance
    ... )
    >>> chance.greedy, chance.told[:4]
    (True, ['draft', 'draft', 'draft', 'accept'])
    """

    @abstractmethod
    def pick(self, weights: Tensor) -> Tensor:
        """One token per row, in proportion to the weights, which need not sum to 1; ``(B, V) -> (B,)``, torch.int64."""

    @abstractmethod
    def coin(self, probability: Tensor) -> Tensor:
        """True with the given probability; ``(B,) -> (B,)``, torch.bool."""

    @abstractmethod
    def leading(self, probability: Tensor) -> Tensor:
        """How many coins of a row come up before its first failure; ``(B, n) -> (B,)``, torch.int64."""

    @property
    def greedy(self) -> bool:
        """Whether it always takes the heaviest token, of equal ones the first, and never draws.

        The decoder then emits the mode of π at every position; a source that draws could only accept or replace. By default
        False, or what the source in its attributes says, if it holds one.
        """
        held = [x for x in attributes(self) if isinstance(x, Chance) and x is not self]
        return bool(held) and all(x.greedy for x in held)

    def about(self, rows: Tensor, place: Tensor, where: Tensor, what: str, step: int = 0) -> None:
        """What the next decision is about, for sources that want to know.

        Args:
            rows: ``(B,)``, numbers of the rows in the original batch.
            place: ``(B,)``, tokens that each has emitted.
            where: ``(B,)``, the rows whose decision counts; the others' is asked for with them, and ignored.
            what: "draft", "accept", "last", "keep" or "replace"; asked once per row, place and step.
            step: of a draft.
        """

    def settled(self, value: Tensor) -> Tensor:
        """What was computed rather than drawn, such as whether a mode is certain: the same in every process."""
        return value


def attributes(thing: object) -> list[object]:
    """What an instance holds, in its dict or in its slots."""
    slots = [vars(kind).get("__slots__", ()) for kind in type(thing).__mro__]
    names = [name for slot in slots for name in ([slot] if isinstance(slot, str) else slot)]
    return [*vars(thing).values(), *(getattr(thing, name, None) for name in names if not name.startswith("__"))]


@dataclass(frozen=True)
class Choice:
    """What a token is drawn from: weights over the vocabulary, ``(B, V)``, or over some tokens of each row, ``(B, k)``."""

    weights: Tensor
    tokens: Tensor | None = None

    def pick(self, chance: Chance) -> Tensor:
        """One token per row, ``(B,)``."""
        at = chance.pick(self.weights)
        return at if self.tokens is None else self.tokens.gather(1, at.unsqueeze(-1)).squeeze(-1)


class Sampled(Chance):
    """Random decisions from a `torch.Generator` (None: torch's global one): what a decoder makes of ``generator`` itself.

    Args:
        generator: the source of uniform numbers.
        draw: the token from weights ``(B, V)`` and a uniform number for each row ``(B,)``.

    Raises:
        ValueError: a generator that is none.

    >>> import torch
    >>> Sampled(torch.Generator().manual_seed(0)).pick(torch.tensor([[0.0, 1.0], [2.0, 0.0]]))
    tensor([1, 0])
    """

    def __init__(
        self, generator: torch.Generator | None = None, draw: Callable[[Tensor, Tensor], Tensor] = inverse_cdf
    ) -> None:
        if generator is not None:
            instance("a Sampled's generator", generator, torch.Generator)
        self.generator, self.draw = generator, draw

    def uniform(self, like: Tensor, *shape: int) -> Tensor:
        # float64 wherever it exists: a float32 uniform has 24 bits, and never reaches tokens lighter than 6e-8.
        dtype = accumulation_dtype(like)
        source = self.generator.device if self.generator is not None else like.device
        return torch.rand(*shape, generator=self.generator, device=source, dtype=dtype).to(like.device)

    def pick(self, weights: Tensor) -> Tensor:
        return self.draw(weights, self.uniform(weights, weights.shape[0]))

    def coin(self, probability: Tensor) -> Tensor:
        return self.uniform(probability, *probability.shape) < probability

    def leading(self, probability: Tensor) -> Tensor:
        return passed(self.coin(probability))


class Greedy(Chance):
    """The mode, always; equal values by the lowest token id. Acceptance probabilities are then 0 or 1.

    With ``do_sample=True`` it takes the mode of the π that would be sampled, with its temperature and its filters; with
    ``do_sample=False`` that of the untempered π.

    >>> import torch
    >>> Greedy().pick(torch.tensor([[0.2, 0.4, 0.4]])), Greedy().greedy
    (tensor([1]), True)
    """

    greedy = True

    def pick(self, weights: Tensor) -> Tensor:
        return mode(weights)

    def coin(self, probability: Tensor) -> Tensor:
        return probability >= 1

    def leading(self, probability: Tensor) -> Tensor:
        return passed(self.coin(probability))


class Agreed(Chance):
    """Decisions of the first process, broadcast to all: ranks that hold parts of one model must never part ways.

    Their random generators need not be equal, and a sum that is rounded otherwise on one rank changes nothing.
    """

    def __init__(self, inner: Chance) -> None:
        self.inner = inner

    def about(self, rows: Tensor, place: Tensor, where: Tensor, what: str, step: int = 0) -> None:
        self.inner.about(rows, place, where, what, step)

    def settled(self, value: Tensor) -> Tensor:
        shared = value.to(torch.int64).contiguous()
        torch.distributed.broadcast(shared, src=0)
        return shared.to(value.dtype)

    def pick(self, weights: Tensor) -> Tensor:
        return self.settled(self.inner.pick(weights))

    def coin(self, probability: Tensor) -> Tensor:
        return self.settled(self.inner.coin(probability))

    def leading(self, probability: Tensor) -> Tensor:
        return self.settled(self.inner.leading(probability))
