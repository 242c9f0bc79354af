"""A seed for every row: its text is then the same in whatever batch it is decoded, alone or after an interruption."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence

import torch
from torch import Tensor

from ..checks import whole
from ..distributions import accumulation_dtype
from .sampled import Sampled


class PerRow(Sampled):
    """Random decisions that are a function of the row's seed, the place in its text and what is decided there.

    Nothing is drawn in turn, so no row can shift another's draws. (The models' logits may still be rounded otherwise in
    another batch; only a draw that falls between the two roundings can then differ.)

    Attributes:
        seeds: one per row of the batch.

    Raises:
        ValueError: a seed that is none.
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        super().__init__()
        self.seeds = [whole("a seed", seed) for seed in seeds]
        self.keys: list[bytes] = []

    def about(self, rows: Tensor, place: Tensor, where: Tensor, what: str, step: int = 0) -> None:
        self.keys = [
            struct.pack("<QII", self.seeds[row] % 2**64, at, step) + what.encode()
            for row, at in zip(rows.tolist(), place.tolist(), strict=True)
        ]

    def uniform(self, like: Tensor, *shape: int) -> Tensor:
        count = shape[1] if len(shape) > 1 else 1
        drawn = [uniforms(key, count) for key in self.keys]
        return torch.tensor(drawn, dtype=torch.float64).view(shape).to(like.device, accumulation_dtype(like))


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
