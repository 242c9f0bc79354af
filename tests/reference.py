"""The formulas of `kad.arithmetic` in NumPy and float64, a row at a time: slow, and what its machines are compared with."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kad.arithmetic import Arithmetic, Prefix, Weights, each
from kad.cut import Cut

Masses = NDArray[np.float64]


class Reference(Arithmetic):
    """Straight from the definitions; numbers are float64, on the CPU."""

    asks = True

    def softmax(self, logits: Tensor, temperature: float, out: Tensor | None = None) -> Tensor:
        hot = double(logits) / temperature
        e = np.exp(hot - hot.max(-1, keepdims=True))
        found = torch.from_numpy(e / e.sum(-1, keepdims=True))
        return found if out is None else out.copy_(found)

    def below(self, mass: Tensor, threshold: float | Tensor) -> Tensor:
        found = [1.0 if (p < t).all() else p[p < t].sum() for p, t in with_numbers(mass, threshold)]
        return torch.tensor(found, dtype=torch.float64).view(mass.shape[:-1])

    def prefix(self, loss: Tensor, mass: Tensor, budget: float | Tensor) -> Prefix:
        fits, critical, left = [], [], []
        for l, (p, b) in zip(double(loss).reshape(-1, mass.shape[-1]), with_numbers(mass, budget), strict=True):
            order = np.argsort(-l, kind="stable")
            n, spent = longest(p[order], b)
            fits.append(np.isin(np.arange(len(p)), order[:n]))
            critical.append(order[n] if n < len(p) else len(p))
            left.append(0.0 if b >= 1 else b - spent)
        shape = (*mass.shape[:-1], 1)
        given = torch.from_numpy(np.stack(fits)).view(mass.shape)
        return Prefix(given, torch.tensor(critical).view(shape), torch.tensor(left, dtype=torch.float64).view(shape))

    def lightest(self, mass: Tensor, budget: float | Tensor, fill: bool) -> Cut:
        found = [lightest_of(p, b, fill) for p, b in with_numbers(mass, budget)]
        table = torch.tensor(found, dtype=torch.float64).view(*mass.shape[:-1], 4)
        value, alpha, critical, share = table.unbind(-1)
        return Cut(value, alpha, critical.long(), share, tied=True)

    def kept(self, cut: Cut, mass: Tensor) -> Tensor:
        p, token = double(mass), np.arange(mass.shape[-1])
        value, critical, share = (
            np.zeros(1) if x is None else double(x)[..., None] for x in (cut.value, cut.critical, cut.share)
        )
        before = token < np.where(cut.tied | (share > 0), critical, 0)  # else ids are not compared
        lighter = (p < value) | ((p == value) & before)
        rest = 1 - share * ((token == critical) & (p == value))
        return torch.from_numpy(np.where(lighter, 0, p * rest))

    def leftover(self, d: Tensor | Cut, p: Tensor, q: Tensor, alpha: Tensor) -> Weights:
        kept = self.kept(d, p).numpy() if isinstance(d, Cut) else double(p) * (1 - double(d))
        rest = np.maximum(0, kept - (1 - double(alpha)[:, None]) * double(q))
        nothing = rest.sum(-1, keepdims=True) <= 16 * torch.finfo(p.dtype).eps
        return Weights(torch.from_numpy(np.where(nothing, double(q), rest)))

    def draw(self, weights: Tensor, uniform: Tensor) -> Tensor:
        found = []
        for w, u in with_numbers(weights, uniform):
            running = w.cumsum()
            found.append(int(np.flatnonzero(running > min(u, 1 - 1e-15) * running[-1])[0]))
        return torch.tensor(found)

    def mode(self, weights: Tensor) -> Tensor:
        return torch.from_numpy(np.asarray(double(weights).argmax(-1)))


def double(x: Tensor) -> Masses:
    found: Masses = x.detach().cpu().double().numpy()
    return found


def with_numbers(mass: Tensor, value: float | Tensor) -> list[tuple[Masses, float]]:
    flat = double(mass).reshape(-1, mass.shape[-1])
    return list(zip(flat, each(value, len(flat)), strict=True))


def longest(ordered: Masses, budget: float) -> tuple[int, float]:
    """How many of the first masses fit, and their sum."""
    if budget >= 1:
        return len(ordered), 1.0
    running = ordered.cumsum()
    n = int((running <= budget).sum())
    return n, float(running[n - 1]) if n else 0.0


def lightest_of(p: Masses, budget: float, fill: bool) -> tuple[float, float, int, float]:
    """Value, α, critical token and its share, of one row."""
    order = np.argsort(p, kind="stable")
    n, spent = longest(p[order], budget)
    if n == len(p):
        return 2.0, 1.0, 0, 0.0
    critical = int(order[n])
    share = min(1.0, max(0.0, (budget - spent) / p[critical])) if fill else 0.0
    return float(p[critical]), spent + share * float(p[critical]), critical, share
