"""Draws from a large vocabulary, block by block, are the draws of the plain inverse CDF."""

from __future__ import annotations

import pytest
import torch

from kad.arithmetic import inverse_cdf
from kad.arithmetic.plain import first_above
from kad.distributions import BLOCK

SIZES = [4 * BLOCK + 1, 5 * BLOCK, 9 * BLOCK - 1, 20_000]


def weights(size: int, kind: str) -> torch.Tensor:
    """Multiples of 2^-40, so that sums are exact in any order, and quotients of them nearly."""
    g = torch.Generator().manual_seed(size)
    p = torch.rand(3, size, generator=g, dtype=torch.float64)
    if kind == "sparse":
        p = p * (torch.rand(3, size, generator=g) < 0.01)
    elif kind == "peaked":
        p = p.pow(40)
    elif kind == "one block":
        p[:, : 2 * BLOCK] = 0
        p[:, 3 * BLOCK :] = 0
    return (p * 2**40).floor() / 2**40


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["dense", "sparse", "peaked", "one block"])
def test_blocks_draw_what_the_plain_cdf_draws(size: int, kind: str) -> None:
    p = weights(size, kind)
    g = torch.Generator().manual_seed(0)
    for _ in range(300):
        u = torch.rand(3, generator=g, dtype=torch.float64)
        plain, token = first_above(p, u[:, None])[0].squeeze(-1), inverse_cdf(p, u)
        # u·Σ is rounded once more on the way: a draw within that of a border may fall on its other side.
        cdf = p.cumsum(-1)
        near = (cdf.gather(-1, torch.minimum(plain, token)[:, None]).squeeze(-1) - u * cdf[:, -1]).abs() < 1e-12 * cdf[
            :, -1
        ]
        assert bool(((plain == token) | near).all())
        assert bool((p.gather(-1, token[:, None]) > 0).all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_ends_of_the_unit_interval(dtype: torch.dtype) -> None:
    p = weights(10_000, "sparse").to(dtype)
    p[:, :7] = 0
    p[:, -BLOCK - 5 :] = 0
    positive = [row.nonzero().flatten() for row in p]
    for u, end in ((0.0, 0), (1 - 2**-53, -1), (1.0, -1)):
        tokens = inverse_cdf(p, torch.full((3,), u, dtype=torch.float64)).tolist()
        assert tokens == [int(row[end]) for row in positive]


def test_light_tokens_are_drawn_as_often_as_they_weigh() -> None:
    """In float32 a running sum would swallow tokens of 1e-8; the share of u that leads to them must be theirs."""
    size, light = 200 * BLOCK, 1e-8
    p = torch.full((1, size), light)
    p[0, 0] = 1.0
    tail = light * (size - 1) / (1 + light * (size - 1))
    u = torch.linspace(0, 1, 4001, dtype=torch.float64)
    drawn = torch.cat([inverse_cdf(p, x.unsqueeze(0)) for x in u])
    assert float((drawn > 0).double().mean()) == pytest.approx(tail, abs=5e-4)
    late = 1 - tail / 2  # half of the tail's mass lies beyond its middle token
    middle = int(inverse_cdf(p, torch.tensor([late], dtype=torch.float64)))
    assert middle == pytest.approx(size / 2, rel=1e-3)
