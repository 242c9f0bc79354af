"""What is sampled has the gradient that finite differences have, wherever it has one: away from ties and borders."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch.autograd import grad, gradcheck

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


SOFT = [(0.7, 0.2), (1.2, 1.0), (-0.3, 0.5), (2.0, 3.0)]


@pytest.mark.parametrize(("price", "width"), SOFT)
@pytest.mark.parametrize(
    "loss", [kad.Logistic(), kad.Squared(), kad.Brier(), kad.Perceptron(), kad.ConfidenceBet(), kad.Nudging()], ids=repr
)
def test_a_soft_rule_in_everything(loss: kad.Loss, price: float, width: float) -> None:
    """In both models' logits, in μ and in τ."""
    mu, tau = (torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (price, width))

    def pi(p: torch.Tensor, q: torch.Tensor, mu: torch.Tensor, tau: torch.Tensor) -> torch.Tensor:
        return law(kad.Mixture(loss, kad.Soft(mu, tau)), p, q)

    for seed in range(3):
        assert gradcheck(pi, (logits(6, seed=seed), logits(6, seed=50 + seed), mu, tau), eps=1e-7, atol=1e-6)


def test_a_soft_rule_by_hand() -> None:
    """∂d_v/∂μ = −d (1 − d)/τ, ∂d_v/∂ℓ_v the opposite, and π's is Σ_w p_w ∂d_w q*_v − p_v ∂d_v."""
    p, q = (torch.softmax(x.detach()[0], -1) for x in (logits(5), logits(5, seed=1)))
    mu = torch.tensor(1.1, dtype=torch.float64, requires_grad=True)
    d = kad.Soft(mu, 0.3).defer(-p.log(), p)
    torch.testing.assert_close(d.detach(), 1 / (1 + (p / math.exp(-1.1)) ** (1 / 0.3)))
    slope = -(d * (1 - d) / 0.3).detach()
    pi = kad.Mixture(kad.Logistic(), kad.Soft(mu, 0.3))(p, q)
    for v in range(5):
        torch.testing.assert_close(grad(d[v], mu, retain_graph=True)[0], slope[v])
        torch.testing.assert_close(grad(pi[v], mu, retain_graph=True)[0], (p * slope).sum() * q[v] - p[v] * slope[v])


def test_a_soft_rule_of_every_row() -> None:
    """Prices and widths of rows, whose entries each have their row's gradient."""
    mu, tau = (torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in ([0.5, 1.5], [[0.2], [0.7]]))
    p = torch.stack([torch.softmax(logits(5, seed=s), -1).detach() for s in range(2)])  # (2, 2, 5)
    assert gradcheck(lambda mu, tau: kad.Soft(mu, tau).defer(-p.log(), p), (mu, tau), eps=1e-7, atol=1e-6)
    solver = kad.Soft(mu, tau)
    assert solver.per_row
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
        alone = kad.Soft(mu[j].item(), tau[i, 0].item()).defer(-p[i, j].log(), p[i, j])
        torch.testing.assert_close(solver.defer(-p.log(), p)[i, j], alone)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("width", [1e-15, 1e-3, 1.0, 1e3])
def test_a_soft_rule_at_mass_zero(width: float, dtype: torch.dtype) -> None:
    """An infinite loss is deferred; no NaN in value or gradient, by way of the losses too; nor where the border is steep."""
    p = torch.tensor([0.5, 0.5 - 1e-7, 1e-7, 0.0], dtype=dtype, requires_grad=True)
    q = torch.full((4,), 0.25, dtype=dtype)
    mu, tau = (torch.tensor(x, dtype=dtype, requires_grad=True) for x in (0.6, width))
    for loss in (kad.Logistic(), kad.Perceptron(), kad.Squared()):
        d = kad.Soft(mu, tau).defer(loss(p), p)
        assert d.dtype == dtype
        assert bool(torch.isfinite(d).all())
        if not isinstance(loss, kad.Squared):
            assert d[3].item() == 1
        pi = kad.Mixture(loss, kad.Soft(mu, tau))(p, q)
        for v in range(4):
            found = grad(pi[v], (p, mu, tau), retain_graph=True)
            assert all(bool(torch.isfinite(x).all()) for x in found)


def test_a_narrow_soft_rule_is_the_dual() -> None:
    """As τ → 0, but ½ where the loss is the price; its gradient in the price is then large within the border, and 0 outside."""
    p, price = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64), -math.log(0.3)
    loss = torch.tensor([-math.log(0.5), price, -math.log(0.2)], dtype=torch.float64)
    mu = torch.tensor(price, dtype=torch.float64, requires_grad=True)
    for width in (1e-2, 1e-4, 1e-9):
        d = kad.Soft(mu, width).defer(loss, p)
        torch.testing.assert_close(d.detach(), torch.tensor([0, 0.5, 1], dtype=torch.float64), atol=1e-9, rtol=0)
        torch.testing.assert_close(grad(d[1], mu, retain_graph=True)[0], torch.tensor(-0.25 / width).double())
        assert abs(float(grad(d[0], mu)[0])) < 1e-9
    g = torch.Generator().manual_seed(0)
    p = torch.softmax(2 * torch.randn(50, 300, generator=g, dtype=torch.float64), -1)
    assert torch.equal(kad.Soft(1.0, 1e-12).defer(-p.log(), p), kad.Dual(multiplier=1.0).defer(-p.log(), p))


@pytest.mark.parametrize("width", [0.01, 0.3, 2.0])
def test_what_softness_costs(width: float) -> None:
    """At most W(1/e) τ of risk above the best for the mass that it defers, and in the Lagrangian; the latter is attained."""
    most = 0.27846454276107380 * width  # W(1/e) e^W(1/e) = 1/e
    g = torch.Generator().manual_seed(1)
    p = torch.softmax(2 * torch.randn(200, 30, generator=g, dtype=torch.float64), -1)
    found = kad.solve(-p.log(), p, kad.Soft(1.0, width))
    assert bool((found.gap <= most + 1e-12).all())
    hard = kad.solve(-p.log(), p, kad.Dual(multiplier=1.0))
    assert bool((found.risk + found.deferred_mass <= hard.risk + hard.deferred_mass + most + 1e-12).all())
    one, loss = torch.ones(1, dtype=torch.float64), 1 + torch.tensor([1.27846454276107380 * width]).double()
    soft = kad.solve(loss, one, kad.Soft(1.0, width))
    assert abs(float(soft.risk + soft.deferred_mass) - 1 - most) < 1e-12


def test_a_soft_rule_is_a_value_with_a_graph() -> None:
    """A copy: a step of an optimiser does not move the solver. It equals, hashes and decides as the plain number does."""
    mu = torch.tensor([0.5], requires_grad=True)
    solver, p = kad.Soft(mu, 0.25), torch.tensor([0.75, 0.25], dtype=torch.float64)
    for _ in range(2):  # a graph that can be gone through again
        assert float(grad(solver.defer(-p.log(), p)[0], mu)[0]) < 0
    with torch.no_grad():
        mu += 1
        assert not kad.Soft(mu, 0.25).defer(-p.log(), p).requires_grad
    assert not solver.per_row
    assert solver == kad.Soft(0.5, 0.25)
    assert hash(solver) == hash(kad.Soft(0.5, 0.25))
    assert repr(kad.Soft(torch.tensor(0.5), 0.25)) == "Soft(multiplier=0.5, width=0.25)"
    torch.testing.assert_close(solver.defer(-p.log(), p).detach(), kad.Soft(0.5, 0.25).defer(-p.log(), p))


@pytest.mark.parametrize(
    "make",
    [lambda x: kad.Dual(multiplier=x), lambda x: kad.Dual(threshold=x), kad.Primal, kad.Fractional],
    ids=["multiplier", "threshold", "primal", "fractional"],
)
def test_other_parameters_are_numbers(make: Callable[[torch.Tensor], kad.Solver]) -> None:
    """Their graph is cut where the solver is made, whatever π does as they move."""
    parameter = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    p = torch.softmax(logits(5).detach(), -1)
    assert not kad.Mixture(kad.Logistic(), make(parameter))(p, torch.full_like(p, 0.2)).requires_grad


def test_a_hard_rule_jumps_in_its_parameter() -> None:
    """π is constant in μ and b (the greedy's) between borders, so differences are 0, and jumps at them, by p_v of the token there."""
    p, q = (torch.tensor(x, dtype=torch.float64) for x in ([0.5, 0.3, 0.2], [0.1, 0.2, 0.7]))
    dual, primal = lambda x: kad.dual(x)(p, q), lambda x: kad.primal(x)(p, q)
    jump = 0.3 * (q - torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64))
    for rule, border in ((dual, 0.3), (primal, 0.5)):
        assert torch.equal(rule(border + 0.01), rule(border + 0.02))
        assert torch.equal(rule(border - 0.01), rule(border - 0.02))
        torch.testing.assert_close(rule(border + 0.01) - rule(border - 0.01), jump)
    masses, shift = torch.tensor([0.0, 1.0, -1.0], dtype=torch.float64), 1e-9  # in p: d moves where a token passes λ
    before, after = (kad.dual(0.3)(p + s * shift * masses, q) for s in (1, -1))
    torch.testing.assert_close(after - before, jump, atol=1e-8, rtol=0)


def test_the_fractional_rule_bends_in_its_budget() -> None:
    """π is linear in b between borders, with the slope q* − e_c, and the risk's slope is −price, which `kad.solve` returns."""
    p, q = torch.softmax(logits(6).detach()[0], -1), torch.softmax(logits(6, seed=1).detach()[0], -1)
    for b in (0.03, 0.2, 0.45, 0.9):
        found = kad.solve(-p.log(), p, kad.Fractional(b))
        risks = [kad.solve(-p.log(), p, kad.Fractional(b + s)).risk for s in (1e-6, -1e-6)]
        torch.testing.assert_close((risks[0] - risks[1]) / 2e-6, -found.price, atol=1e-7, rtol=1e-7)
        critical = ((found.d > 0) & (found.d < 1)).double()
        assert int(critical.sum()) == 1
        slope = (kad.fractional(b + 1e-6)(p, q) - kad.fractional(b - 1e-6)(p, q)) / 2e-6
        torch.testing.assert_close(slope, q - critical, atol=1e-7, rtol=1e-7)


def test_the_price_that_gradient_descent_finds() -> None:
    """Samples from a soft mixture, and its price again by their log-likelihood."""
    g = torch.Generator().manual_seed(0)
    p, q = (torch.softmax(2 * torch.randn(4000, 6, generator=g, dtype=torch.float64), -1) for _ in range(2))
    token = torch.multinomial(kad.Mixture(kad.Logistic(), kad.Soft(1.3, 0.2))(p, q), 1, generator=g)
    mu = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([mu], line_search_fn="strong_wolfe")

    def cost() -> torch.Tensor:
        optimiser.zero_grad()
        value = -kad.Mixture(kad.Logistic(), kad.Soft(mu, 0.2))(p, q).gather(-1, token).log().mean()
        value.backward()
        return value

    optimiser.step(cost)
    assert abs(mu.item() - 1.3) < 0.15
