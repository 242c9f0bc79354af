"""What is sampled has the gradient that finite differences have, wherever it has one: away from ties and borders."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch.autograd import gradcheck

import kad

from .test_mixture import TARGETS


def logits(size: int, rows: int = 2, seed: int = 0) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    return (1.5 * torch.randn(rows, size, generator=g, dtype=torch.float64)).requires_grad_()


def law(target: kad.Target, *given: torch.Tensor) -> torch.Tensor:
    return target(*(torch.softmax(x, -1) for x in given))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("target", TARGETS, ids=lambda x: getattr(x, "__name__", repr(x)))
def test_every_target(target: kad.Target, seed: int) -> None:
    given = [logits(6, seed=10 * seed + i) for i in range(2 if target.reference is None else 3)]
    assert gradcheck(lambda *x: law(target, *x), given, eps=1e-7, atol=1e-6)


@pytest.mark.parametrize("budget", [0.05, 0.25, 0.5, 0.77, 0.95])
@pytest.mark.parametrize(
    "solver",
    [kad.Primal, kad.Fractional, kad.Exact, lambda b: kad.Dual(threshold=b / 3)],
    ids=lambda x: getattr(x, "__name__", "dual"),
)
@pytest.mark.parametrize(
    "loss", [kad.Logistic(), kad.Brier(), kad.ConfidenceBet()], ids=lambda x: getattr(x, "__name__", repr(x))
)
def test_every_solver_of_the_greedy_kind(solver: Callable[[float], kad.Solver], loss: kad.Loss, budget: float) -> None:
    """With a cut (losses that fall strictly with the mass) and by d over the vocabulary."""
    chosen = solver(budget)
    if isinstance(chosen, kad.Dual) and not loss.strict:
        chosen = kad.Dual(multiplier=budget / 3)
    target = kad.Mixture(loss, chosen)
    for seed in range(4):
        p, q = logits(7, seed=seed), logits(7, seed=100 + seed)
        assert gradcheck(lambda p, q: law(target, p, q), (p, q), eps=1e-7, atol=1e-6)


def test_the_fractional_share_moves() -> None:
    """By hand: p = (.5, .3, .2), b = .4, so d = (0, (.4 − .2)/.3, 1), and d_c = (b − P_3)/P_2."""
    mass = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64, requires_grad=True)
    d = kad.Fractional(0.4).defer(-mass.log(), mass)
    d[1].backward()
    assert mass.grad is not None
    torch.testing.assert_close(mass.grad, torch.tensor([0.0, -0.2 / 0.09, -1 / 0.3], dtype=torch.float64))
    alpha = (mass * kad.Fractional(0.4).defer(-mass.log(), mass)).sum()
    (gradient,) = torch.autograd.grad(alpha, mass)
    torch.testing.assert_close(gradient, torch.zeros(3, dtype=torch.float64))  # α = b, whatever the masses


@pytest.mark.parametrize("budgets", [torch.tensor([0.0, 1.0, 0.3, 0.6]), 0.0, 1.0])
def test_borders_have_finite_gradients(budgets: torch.Tensor | float) -> None:
    """Nothing or everything deferred, tokens of mass zero, and budgets of every row."""
    p = torch.softmax(torch.cat([logits(5, 4).detach(), torch.full((4, 2), -torch.inf)], -1), -1).requires_grad_()
    q = torch.full_like(p, 1 / 7, requires_grad=False)
    for loss in (kad.Logistic(), kad.ZeroOne()):  # with a cut and without
        target = kad.Mixture(loss, kad.Fractional(budgets))
        (gradient,) = torch.autograd.grad(target(p, q)[:, 0].sum(), p)
        assert bool(torch.isfinite(gradient).all())


@pytest.mark.parametrize("size", [6, 1500])
def test_values_are_those_without_gradients(size: int) -> None:
    p = torch.softmax(logits(size), -1)
    for budget in (0.0, 0.3, 0.9, 1.0):
        for loss in (kad.Logistic(), kad.ZeroOne()):
            with_gradient = kad.Fractional(budget).defer(loss(p), p)
            without = kad.Fractional(budget).defer(loss(p.detach()), p.detach())
            assert torch.equal(with_gradient.detach(), without)
        cut, plain = kad.Fractional(budget).cut(p), kad.Fractional(budget).cut(p.detach())
        assert torch.equal(cut.dense(p).detach(), plain.dense(p.detach()))
        with torch.no_grad():
            assert not kad.Fractional(budget).cut(p).dense(p).requires_grad
            assert not kad.Fractional(budget).defer(-p.log(), p).requires_grad


@pytest.mark.parametrize("make", [lambda: kad.dual(2e-4), lambda: kad.primal(0.4), lambda: kad.fractional(0.4)])
def test_along_a_line_for_many_tokens(make: Callable[[], kad.Target]) -> None:
    """By the ways for long rows: the derivative along a random direction, by central differences."""
    g = torch.Generator().manual_seed(3)
    x, q = logits(5000, 1), torch.softmax(torch.randn(1, 5000, generator=g, dtype=torch.float64), -1)
    direction, weight = (torch.randn(1, 5000, generator=g, dtype=torch.float64) for _ in range(2))

    def value(at: torch.Tensor) -> torch.Tensor:
        return (weight * make()(torch.softmax(at, -1), q)).sum()

    (gradient,) = torch.autograd.grad(value(x), x)
    with torch.no_grad():
        slope = (value(x + 1e-6 * direction) - value(x - 1e-6 * direction)) / 2e-6
    torch.testing.assert_close((gradient * direction).sum(), slope, atol=1e-7, rtol=1e-5)


@pytest.mark.parametrize("target", TARGETS, ids=lambda x: getattr(x, "__name__", repr(x)))
def test_truncated_distributions_have_gradients_too(target: kad.Target) -> None:
    """A forbidden token stays at zero, and moves nothing; the others' gradient is that of the rest without it."""
    given = [logits(6, seed=i).detach() for i in range(2 if target.reference is None else 3)]
    forbidden = torch.tensor([False, False, True, False, False, False])
    rest = [x[:, ~forbidden].clone().requires_grad_() for x in given]
    cut = [x.masked_fill(forbidden, -torch.inf).requires_grad_() for x in given]
    weight = torch.arange(6, dtype=torch.float64)
    for mine, want in zip(
        torch.autograd.grad((law(target, *cut) * weight).sum(), cut, materialize_grads=True),
        torch.autograd.grad((law(target, *rest) * weight[~forbidden]).sum(), rest, materialize_grads=True),
        strict=True,
    ):
        torch.testing.assert_close(mine[:, ~forbidden], want)
        assert not bool(mine[:, forbidden].any())
