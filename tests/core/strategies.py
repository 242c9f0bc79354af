"""Distributions and losses, ordinary and hostile."""

from __future__ import annotations

import torch
from hypothesis import strategies as st
from torch import Tensor

import kad
from kad import cascades

LOSSES: list[kad.Loss] = [
    kad.Logistic(), kad.Squared(), kad.Brier(), kad.Perceptron("log"), kad.Perceptron("probability"), kad.ZeroOne(),
    kad.ConfidenceBet(), kad.Nudging(), cascades.Diff(), cascades.Opt(), cascades.TokenV2(), cascades.TokenV3(),
]  # fmt: skip
BUDGETS = st.one_of(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]), st.floats(0, 1))


@st.composite
def distributions(draw: st.DrawFn, largest: int = 7, size: int | None = None) -> Tensor:
    """float64, one to seven tokens: drawn weights (zeros, ties and denormals included), uniform, one-hot or heavy."""
    n = size or draw(st.integers(1, largest))
    kind = draw(st.sampled_from(["weights", "weights", "ties", "uniform", "one-hot", "heavy"]))
    if kind == "uniform":
        return torch.full((n,), 1 / n, dtype=torch.float64)
    if kind == "one-hot":
        return torch.eye(n, dtype=torch.float64)[draw(st.integers(0, n - 1))]
    if kind == "ties":
        weights = [float(draw(st.integers(0, 3))) for _ in range(n)]
    else:
        weights = [draw(st.one_of(st.just(0.0), st.just(5e-324), st.floats(1e-12, 1))) for _ in range(n)]
    if kind == "heavy":
        weights[draw(st.integers(0, n - 1))] += 50
    p = torch.tensor(weights, dtype=torch.float64)
    return p / p.sum() if float(p.sum()) > 1e-300 else torch.full((n,), 1 / n, dtype=torch.float64)


@st.composite
def problems(draw: st.DrawFn) -> tuple[Tensor, Tensor, kad.Loss]:
    """(p, losses of its tokens, the loss)."""
    p = draw(distributions())
    q = draw(distributions(size=len(p)))
    loss = draw(st.sampled_from(LOSSES))
    return p, loss(p, q), loss
