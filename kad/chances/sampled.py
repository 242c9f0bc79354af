"""The sources of chance that decoders use: a generator, seeds of rows, the mode, and the first process's of any."""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..arithmetic import inverse_cdf, mode
from ..checks import instance, whole
from ..distributions import accumulation_dtype
from ..transfers import upload
from .chance import Chance, passed

POOL = 4096  # numbers that are made at once on a GPU


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
        self.pool = torch.empty(0)

    def uniform(self, like: Tensor, *shape: int) -> Tensor:
        # float64 wherever it exists: a float32 uniform has 24 bits, and never reaches tokens lighter than 6e-8.
        dtype, count = accumulation_dtype(like), math.prod(shape)
        source = self.generator.device if self.generator is not None else like.device
        if source.type != "cpu" and source == like.device:  # many at once, for every call begins a kernel
            if len(self.pool) <= count:
                self.pool = torch.rand(count + POOL, generator=self.generator, device=source, dtype=dtype)
            taken, self.pool = self.pool[:count], self.pool[count:]
            return taken.view(shape)
        return upload(torch.rand(*shape, generator=self.generator, device=source, dtype=dtype), like.device)

    def pick(self, weights: Tensor) -> Tensor:
        return self.draw(weights, self.uniform(weights, weights.shape[0]))

    def coin(self, probability: Tensor) -> Tensor:
        return self.uniform(probability, *probability.shape) < probability

    def leading(self, probability: Tensor) -> Tensor:
        return passed(self.coin(probability))


class PerRow(Sampled):
    """Random decisions that are a function of the row's seed, the place in its text and what is decided there.

    A row's text is then the same in whatever batch it is decoded, alone or after an interruption: nothing is drawn in turn,
    so no row can shift another's draws. (The models' logits may still be rounded otherwise in another batch; only a draw
    that falls between the two roundings can then differ.)

    Attributes:
        seeds: one per row of the batch.

    Raises:
        ValueError: a seed that is none.
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        super().__init__()
        self.seeds = [whole("a seed", seed) for seed in seeds]
        self.seeded_rows = len(self.seeds)
        self.keys: list[bytes] = []

    def about(self, rows: Tensor, place: Tensor, where: Tensor, what: str, step: int = 0) -> None:
        self.keys = [
            struct.pack("<QII", self.seeds[row] % 2**64, at, step) + what.encode()
            for row, at in zip(rows.tolist(), place.tolist(), strict=True)
        ]

    def uniform(self, like: Tensor, *shape: int) -> Tensor:
        count = shape[1] if len(shape) > 1 else 1
        drawn = [uniforms(key, count) for key in self.keys]
        return upload(torch.tensor(drawn, dtype=accumulation_dtype(like)).view(shape), like.device)


def seed_from(text: str) -> int:
    """A seed of 64 bits from what a row is.

    >>> seed_from("one row") == seed_from("another")
    False
    """
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def uniforms(key: bytes, count: int) -> list[float]:
    """Numbers in [0, 1) of 53 bits, from a cryptographic hash in place of a generator's state.

    >>> uniforms(b"a row", 2) == uniforms(b"a row", 3)[:2]
    True
    """
    digest = hashlib.shake_128(key).digest(8 * count)
    return [(number >> 11) * 2.0**-53 for number in struct.unpack(f"<{count}Q", digest)]


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
