"""kad's own kernels, by Triton's interpreter: they draw what the formulas draw."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from kad.arithmetic.plain import Torch
from kad.arithmetic.scan import draw_by_scan

pytestmark = pytest.mark.skipif(
    os.environ.get("TRITON_INTERPRET") != "1", reason="kernels run here with TRITON_INTERPRET=1, as in make test-vllm."
)


@pytest.mark.parametrize("size", [1, 5, 1000, 1024, 1025, 5000, 20_000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_same_token_as_the_formulas(size: int, dtype: torch.dtype) -> None:
    g = torch.Generator().manual_seed(size)
    weights = torch.softmax(4 * torch.randn(8, size, generator=g, dtype=dtype), -1)
    weights[0, : size - 1] = 0  # the last token alone
    weights[1, ::2] = 0
    weights[1, -1] = 0.25
    weights[2] *= 1e-6  # need not sum to 1
    uniform = torch.rand(8, generator=g, dtype=torch.float64)
    uniform[3], uniform[4] = 0, 1 - 2**-53
    found = draw_by_scan(weights, uniform)
    assert found.tolist() == Torch().draw(weights, uniform).tolist()
    assert bool((weights.gather(1, found.unsqueeze(-1)) > 0).all())


def test_the_law() -> None:
    """Chi-square over the blocks of 3,000 tokens, false alarm 1e-4."""
    g = torch.Generator().manual_seed(0)
    weights = torch.softmax(2 * torch.randn(1, 3000, generator=g), -1)
    drawn = draw_by_scan(weights.expand(600, -1).contiguous(), torch.rand(600, generator=g, dtype=torch.float64))
    seen = np.bincount(drawn.numpy() // 100, minlength=30)
    assert (
        chisquare(seen, 600 * weights.double().view(30, 100).sum(-1).numpy() / float(weights.double().sum())).pvalue
        > 1e-4
    )


def test_what_is_no_distribution_gives_a_token_of_the_vocabulary() -> None:
    weights = torch.stack([torch.full((3000,), torch.nan), torch.zeros(3000)])
    found = draw_by_scan(weights, torch.tensor([0.5, 0.5], dtype=torch.float64))
    assert bool(((found >= 0) & (found < 3000)).all())
