"""The torch implementations, in float32 and from bf16 logits, on every device there is, against NumPy float64 twins."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import kad
from kad import cascades

Floats = NDArray[np.float64]
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
SINGLE = 2e-6  # float32: 1.2e-7 relative, a few operations, sums of 2,000 terms

LOSSES: list[tuple[kad.Loss, Callable[[Floats, Floats], Floats]]] = [
    (kad.Logistic(), lambda p, q: -np.log(p)),
    (kad.Squared(), lambda p, q: (1 - p) ** 2),
    (kad.Brier(), lambda p, q: np.array([((np.eye(len(p))[v] - p) ** 2).sum() for v in range(len(p))])),
    (kad.Perceptron("log"), lambda p, q: np.log(p.max()) - np.log(p)),
    (kad.Perceptron("probability"), lambda p, q: p.max() - p),
    (kad.ZeroOne(), lambda p, q: (p < p.max()).astype(float)),
    (kad.ConfidenceBet(), lambda p, q: np.maximum(0, q.max() - p)),
    (kad.Nudging(), lambda p, q: np.full(len(p), 1 - p.max())),
    (cascades.Diff(), lambda p, q: np.full(len(p), max(0, q.max() - p.max()))),
    (cascades.Opt(), lambda p, q: np.full(len(p), max(0, q.max() - p.max()) / (np.abs(p - q).sum() / 2))),
    (cascades.TokenV2(), lambda p, q: q.max() - q),
    (cascades.TokenV3(), lambda p, q: 1 - q / q.max()),
]


def pair(dtype: torch.dtype, device: str, size: int = 300) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    logits = [(3 * torch.randn(4, size, generator=g)).to(dtype).to(device) for _ in range(2)]
    return kad.softmax(logits[0]), kad.softmax(logits[1])


def wide(x: torch.Tensor) -> Floats:
    return x.cpu().double().numpy()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize(("loss", "twin"), LOSSES, ids=lambda x: type(x).__name__ if isinstance(x, kad.Loss) else "")
def test_losses(loss: kad.Loss, twin: Callable[[Floats, Floats], Floats], dtype: torch.dtype, device: str) -> None:
    p, q = pair(dtype, device)
    assert p.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    want = np.stack([twin(a, b) for a, b in zip(wide(p), wide(q), strict=True)])
    np.testing.assert_allclose(wide(loss(p, q)), want, rtol=SINGLE, atol=SINGLE)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("budget", [0.0, 0.05, 0.3, 0.9, 1.0])
def test_greedy_and_fractional(budget: float, dtype: torch.dtype, device: str) -> None:
    """Token by token: what has its running mass clearly within the budget is deferred, clearly beyond it kept."""
    p, _ = pair(dtype, device)
    loss = -p.log()
    primal, frac = (wide(kind(budget).defer(loss, p)) for kind in (kad.Primal, kad.Fractional))
    for row, values, d, f in zip(wide(p), wide(loss), primal, frac, strict=True):
        order = sorted(range(len(row)), key=lambda v: (-values[v], v))
        running = np.cumsum(row[order])
        inside, outside = running <= budget - SINGLE, running - row[order] >= budget + SINGLE
        assert (d[order][inside] == 1).all()
        assert (f[order][inside] == 1).all()
        if budget < 1:
            assert (d[order][running > budget + SINGLE] == 0).all()
            assert (f[order][outside] == 0).all()
            assert abs(float((row * f).sum()) - budget) <= SINGLE
        else:
            assert d.all()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_dual_and_mixture(dtype: torch.dtype, device: str) -> None:
    p, q = pair(dtype, device)
    for target in (kad.dual(0.02), kad.primal(0.5), kad.fractional(0.5), kad.nudging(0.3), kad.confidence_bet(0.05)):
        d = target.defer(p, q if target.reads_proxy else None)
        assert d is not None
        want = wide(p) * (1 - wide(d)) + wide(q) * (wide(p) * wide(d)).sum(-1, keepdims=True)
        np.testing.assert_allclose(wide(target(p, q)), want, rtol=1e-5, atol=1e-9)
    clear = np.abs(wide(p) - 0.02) > SINGLE
    d = wide(kad.Dual(threshold=0.02).defer(-p.log(), p))
    assert (d == (wide(p) < 0.02))[clear].all()
    multiplier = -np.log(0.02)
    d = wide(kad.Dual(multiplier=float(multiplier)).defer(-p.log(), p))
    assert (d == (-np.log(wide(p)) > multiplier))[clear].all()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_exact_solvers_and_certificates(dtype: torch.dtype, device: str) -> None:
    p, _ = pair(dtype, device, size=12)
    for solver in (kad.Exact(0.4, time_limit=600), kad.OrTools(0.4, time_limit=600), kad.Brute(0.4)):
        s = kad.solve(-p.log(), p, solver)
        assert s.d.device.type == device
        for row, values, risk in zip(wide(p), wide(-p.log()), wide(s.risk), strict=True):
            d = (np.arange(2**12)[:, None] >> np.arange(12)) & 1
            best = ((1 - d) @ (row * values))[d @ row <= 0.4].min()
            assert abs(risk - best) <= SINGLE
