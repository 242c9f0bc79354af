"""The exact solvers: against enumeration, a dynamic programme, another solver, and their own claims at 151,936 tokens."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import kad
from kad.solvers import majorise
from kad.solvers.knapsack import PROVED, Incumbent, Instance, first_incumbent

LOSSES: list[kad.Loss] = [
    kad.Logistic(), kad.Perceptron("log"), kad.Perceptron("probability"), kad.Brier(), kad.Squared(), kad.ZeroOne(),
    kad.Nudging(), kad.ConfidenceBet(),
]  # fmt: skip
VOCABULARY = 151_936
UNHURRIED = 600.0  # seconds: searches that are looked at end by their nodes (`effort`), or because the problem is small
BUDGETS = (0.05, 0.1, 0.3, 0.6, 0.9, 0.99)
ROUNDING = 1e-15  # of a float64 sum of 14 terms of at most 1 each, twice


def exact(budget: float) -> kad.Exact:
    return kad.Exact(budget, time_limit=UNHURRIED)


def or_tools(budget: float) -> kad.OrTools:
    """For problems so small that its search, which has no bound on nodes, ends at once."""
    return kad.OrTools(budget, time_limit=UNHURRIED)


@cache
def decisions(n: int) -> NDArray[np.float64]:
    return ((np.arange(2**n)[:, None] >> np.arange(n)) & 1).astype(np.float64)


def small_problem(g: np.random.Generator, kind: int) -> tuple[torch.Tensor, torch.Tensor, float]:
    """(loss, mass, budget), up to 14 tokens. Half of the kinds have masses k/1024: ties and exact subset sums."""
    n = int(g.integers(1, 15))
    weights = [
        g.random(n), g.integers(0, 6, n) + 0.0, 2.0 ** -g.integers(0, 12, n),
        np.exp(3 * g.standard_normal(n)), g.integers(1, 64, n) + 0.0, 1 + 0.05 * g.random(n),
    ][kind]  # fmt: skip
    weights = weights if weights.sum() > 0 else weights + 1
    mass = weights / weights.sum()
    if kind in (1, 2, 4):
        mass = np.floor(mass * 1024)
        mass[int(g.integers(n))] += 1024 - mass.sum()
        mass /= 1024
    p = torch.from_numpy(mass)
    q = torch.softmax(torch.from_numpy(g.standard_normal(n)), -1)
    choice = int(g.integers(len(LOSSES) + 1))
    loss = LOSSES[choice](p, q) if choice < len(LOSSES) else torch.from_numpy(g.integers(0, 5, n) + 0.0)
    subset = math.fsum(mass[g.random(n) < 0.5].tolist())
    budget = [g.random(), g.integers(0, 1025) / 1024, subset][int(g.integers(3))]
    return loss, p, min(max(float(budget), 0.0), 1.0)


def mistakes(solver: Callable[[float], kad.Solver], cases: int, seed: int) -> Iterator[str]:
    """What a certificate says that enumeration denies."""
    g = np.random.default_rng(seed)
    for i in range(cases):
        loss, mass, budget = small_problem(g, i % 6)
        p = mass.numpy()
        cost = np.where(p > 0, p * np.where(p > 0, loss.numpy(), 0), 0)
        every = decisions(len(p))
        fits = every @ p <= (budget + 2e-16 if budget < 1 else 2)  # the rounding of a budget that is itself a sum
        best = float(((1 - every) @ cost)[fits].min())
        s = kad.solve(loss, mass, solver(budget))
        over = math.fsum(p[s.d.numpy() > 0].tolist()) > budget and budget < 1
        case = f"{loss.tolist()}, {mass.tolist()}, {budget}: {s}"
        if over:
            yield f"over the budget: {case}"
        if float(s.lower_bound) > best + ROUNDING:
            yield f"the lower bound exceeds the optimum {best}: {case}"
        if s.status == ["OPTIMAL"] and float(s.risk) > best + PROVED + ROUNDING:
            yield f"not optimal, {best} is: {case}"
        if s.status == ["OPTIMAL"] and float(s.gap) > PROVED + ROUNDING:
            yield f"OPTIMAL with a gap: {case}"


@pytest.mark.parametrize("seed", range(6))
def test_exact_against_enumeration(seed: int) -> None:
    assert next(mistakes(exact, 2000, seed), None) is None


@pytest.mark.parametrize("seed", range(2))
def test_or_tools_against_enumeration(seed: int) -> None:
    assert next(mistakes(or_tools, 1500, 100 + seed), None) is None


def test_exact_proves_nearly_all_small_problems() -> None:
    g = np.random.default_rng(7)
    proved = [
        kad.solve(l, m, exact(b)).status == ["OPTIMAL"] for l, m, b in (small_problem(g, i % 6) for i in range(600))
    ]
    assert sum(proved) >= 590


@pytest.mark.parametrize("dear", [1e2, 1e5, 1e8])
@pytest.mark.parametrize("size", [2, 3, 6, 11])
def test_a_loss_far_above_the_risk_does_not_hide_a_proof(size: int, dear: float) -> None:
    """One loss is ``dear`` times the others: the proof is not drowned in the rounding of sums with it in them."""
    g = np.random.default_rng(size)
    for i in range(100):
        p = torch.from_numpy(g.dirichlet(np.ones(size)))
        loss = torch.from_numpy(g.random(size))
        loss[i % size] *= dear
        budget = float(g.random())
        found, best = kad.solve(loss, p, kad.Exact(budget)), kad.solve(loss, p, kad.Brute(budget))
        assert found.status == ["OPTIMAL"], (p, loss, budget)
        assert abs(float(found.risk - best.risk)) <= 1e-11 * max(1.0, float(best.risk))
        assert float(found.lower_bound) <= float(best.risk) * (1 + 1e-15)


@pytest.mark.parametrize(
    "mutant", ["first bound too high", "second bound too high", "a heavier demand", "excludes too much", "stops early"]
)
def test_a_wrong_search_is_caught(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deliberate mistakes give false certificates, and the comparison with enumeration sees them."""
    bounds = majorise.Bounds
    first, second = bounds.first, bounds.second
    if mutant == "first bound too high":  # H_m + c(q_s), forgetting c(ρ)
        monkeypatch.setattr(bounds, "first", lambda self, node: first(self, node) + 1e-3)
    elif mutant == "second bound too high":
        monkeypatch.setattr(bounds, "second", lambda self, node: second(self, node) + 1e-3)
    elif mutant == "stops early":  # on the second bound, which does not rise as the first excluded token gets heavier
        inside: list[bool] = []

        def both(self, node) -> float:
            if inside:
                return first(self, node)
            inside.append(True)
            larger = max(first(self, node), second(self, node))
            inside.clear()
            return larger

        monkeypatch.setattr(bounds, "first", both)
    elif mutant == "excludes too much":  # one token more than the run of equal ones
        without = bounds.without
        monkeypatch.setattr(bounds, "without", lambda self, n, j, start: without(self, n, j, start + (start > j)))
    else:
        init = Instance.__init__

        def tightened(self, *args) -> None:
            init(self, *args)
            self.relaxed = self.demand + 1e-3

        monkeypatch.setattr(Instance, "__init__", tightened)
    assert next(mistakes(exact, 2000, 0), None) is not None


HURRIED = 0.2  # seconds, where only what holds whenever a search ends is asked of it


@pytest.mark.parametrize("name", ["Exact", "OrTools"])
def test_against_or_tools_dynamic_programme(name: str) -> None:
    """Integer masses k/4096 and integer losses: the programme is exact, and so must be the proofs."""
    from ortools.algorithms.python import knapsack_solver

    g, proved = np.random.default_rng(3), 0
    for size in (15, 40, 80, 200, 300) * 8:
        units = np.maximum(1, np.floor(4000 * g.dirichlet(np.full(size, 0.3)))).astype(int)
        units[units.argmax()] += 4096 - units.sum()
        loss, room = g.integers(1, 50, size), int(g.integers(0, 4097))
        programme = knapsack_solver.KnapsackSolver(
            knapsack_solver.SolverType.KNAPSACK_DYNAMIC_PROGRAMMING_SOLVER, "oracle"
        )
        programme.init((units * loss).tolist(), [units.tolist()], [room])
        best = (int((units * loss).sum()) - programme.solve()) / 4096
        mass = torch.from_numpy(units / 4096)
        small = size <= 80  # OR-Tools then proves it at once; larger ones it may never finish
        or_tools = partial(kad.OrTools, time_limit=UNHURRIED if small else HURRIED)
        s = kad.solve(torch.from_numpy(loss + 0.0), mass, (exact if name == "Exact" else or_tools)(room / 4096))
        assert float(s.lower_bound) <= best + 1e-12
        assert float(s.risk) >= best - 1e-12
        if s.status == ["OPTIMAL"]:
            proved += small or name == "Exact"
            assert abs(float(s.risk) - best) <= 1e-10
        assert float(s.deferred_mass) <= room / 4096
    assert proved >= (30 if name == "Exact" else 20)


@pytest.mark.parametrize("solver", [kad.Exact, kad.OrTools])
def test_against_scipy_milp(solver: Callable[..., kad.Solver]) -> None:
    """HiGHS stops at its own tolerances: it has been up to 4e-7 worse than feasible decisions that were found here."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    highs, g = 1e-6, torch.Generator().manual_seed(0)
    for size in (30, 100, 300):
        for loss, spread in ((kad.Logistic(), 1.0), (kad.Perceptron("log"), 3.0), (kad.ConfidenceBet(), 3.0)):
            p = torch.softmax(spread * torch.randn(size, generator=g, dtype=torch.float64), -1)
            values = loss(p, torch.softmax(torch.randn(size, generator=g, dtype=torch.float64), -1))
            for budget in (0.1, 0.5, 0.9):
                saving = (p * values).numpy()
                row = LinearConstraint(p.numpy()[None], ub=budget)
                found = milp(-saving, integrality=np.ones(size), bounds=Bounds(0, 1), constraints=row)
                other = saving.sum() + found.fun
                s = kad.solve(values, p, solver(budget, time_limit=HURRIED))
                assert float(s.risk) <= other + highs or s.status != ["OPTIMAL"]
                assert float(s.lower_bound) <= other + highs


FAMILIES = ["zipf", "gaussian", "peaked", "near-uniform"]


def logits_of(name: str) -> torch.Tensor:
    g = np.random.default_rng(0)
    peaked = 3 * g.standard_normal(VOCABULARY)
    peaked -= np.log(np.exp(peaked).sum())
    peaked[0] = math.log(11)  # p_max = 11/12
    values = {
        "zipf": -1.1 * np.log(np.arange(1, VOCABULARY + 1)),
        "gaussian": 3 * g.standard_normal(VOCABULARY),
        "peaked": peaked,
        "near-uniform": 0.01 * g.standard_normal(VOCABULARY),
    }
    return torch.from_numpy(values[name])


def best_single_swap(loss: torch.Tensor, p: torch.Tensor, budget: float) -> float:
    """The greedy's risk after the best exchange of one kept for one deferred token, straight from the definition.

    The cost of keeping falls and rises with the mass on either side of one peak, so among the tokens heavy enough to
    replace a kept one the cheapest is the lightest or the heaviest.
    """
    d = kad.Primal(budget).defer(loss, p)
    kept, gone = p[d == 0].numpy(), np.sort(p[d == 1].numpy())
    masses, at = np.unique(p.numpy(), return_index=True)
    cost = lambda m: m * np.interp(m, masses, loss.numpy()[at])  # noqa: E731
    risk = float((p * loss)[d == 0].sum())
    spare = budget - float(p[d == 1].sum()) - 1e-12
    first = np.searchsorted(gone, kept - spare)
    able = first < len(gone)
    if not able.any():
        return risk
    cheapest = np.minimum(cost(gone[first[able]]), cost(gone[-1]))
    return risk - max(0.0, float((cost(kept[able]) - cheapest).max()))


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("tied", [False, True], ids=["float64", "bf16-tied"])
def test_exact_at_vocabulary_size(name: str, tied: bool) -> None:
    logits = logits_of(name)
    p = torch.softmax(logits.to(torch.bfloat16).double() if tied else logits, -1)
    for loss in (kad.Logistic(), kad.Perceptron("log")):
        values = loss(p)
        for budget in BUDGETS:
            s = kad.solve(values, p, exact(budget))
            assert math.fsum(p[s.d > 0].tolist()) <= budget
            assert float(s.gap) <= 5e-7
            assert s.status in (["OPTIMAL"], ["CERTIFIED_GAP"])
            assert s.engine == ["majorisation"]
            assert float(s.risk) <= float(kad.solve(values, p, kad.Primal(budget)).risk) + 1e-14
            assert float(s.risk) <= best_single_swap(values, p, budget) + 1e-13
            assert float(s.lower_bound) >= float(kad.theory.fractional_risk(values, p, budget)) - 1e-11


@pytest.mark.parametrize("name", FAMILIES)
def test_or_tools_at_vocabulary_size(name: str) -> None:
    p = torch.softmax(logits_of(name), -1)
    for loss, budget in (
        (kad.Logistic(), 0.1),
        (kad.Logistic(), 0.9),
        (kad.Perceptron("log"), 0.3),
        (kad.ZeroOne(), 0.6),
    ):
        values = loss(p)
        s = kad.solve(values, p, kad.OrTools(budget, time_limit=HURRIED))
        proof = kad.solve(values, p, exact(budget))
        assert math.fsum(p[s.d > 0].tolist()) <= budget
        assert float(s.risk) <= float(kad.solve(values, p, kad.Primal(budget)).risk) + 1e-14
        assert float(s.lower_bound) <= float(proof.risk) + 1e-14
        assert float(s.risk) >= float(proof.lower_bound)
        if s.status == ["OPTIMAL"]:
            assert float(s.risk) <= float(proof.risk) + PROVED


@dataclass(frozen=True)
class Tsallis(kad.Loss):
    """A loss that no table here knows; x (1 − x^a) / a is concave."""

    def __call__(self, p: torch.Tensor, q: torch.Tensor | None = None) -> torch.Tensor:
        return 2 * (1 - p.sqrt())


@pytest.mark.parametrize("loss", [kad.ZeroOne(), kad.Nudging(), kad.ConfidenceBet(), Tsallis()])
def test_other_losses_at_vocabulary_size(loss: kad.Loss) -> None:
    """The concave envelope, or the LP's branch and bound: the same promises for losses with no named cost."""
    for logits in map(logits_of, FAMILIES):
        p = torch.softmax(logits, -1)
        q = torch.softmax(0.8 * logits, -1)
        values = loss(p, q)
        for budget in (0.1, 0.9):
            s = kad.solve(values, p, exact(budget))
            assert s.engine == ["majorisation"] or loss == kad.ConfidenceBet()
            assert float(s.gap) <= 5e-7
            assert math.fsum(p[s.d > 0].tolist()) <= budget
            assert float(s.risk) <= float(kad.solve(values, p, kad.Primal(budget)).risk) + 1e-14
            assert float(s.lower_bound) >= float(kad.theory.fractional_risk(values, p, budget)) - 1e-6


def test_losses_of_another_distribution_are_noticed() -> None:
    """ℓ must come from the p that weighs; from another one the majorisation bound would be false, so it is not used."""
    g = torch.Generator().manual_seed(0)
    p, other = (torch.softmax(2 * torch.randn(12, generator=g, dtype=torch.float64), -1) for _ in range(2))
    s = kad.solve(-other.log(), p, exact(0.5))
    assert s.engine == ["relaxation"]
    assert abs(float(s.risk) - float(kad.solve(-other.log(), p, kad.Brute(0.5)).risk)) < 1e-12


@pytest.mark.parametrize(
    "loss", [kad.Logistic(), kad.Perceptron("log"), kad.Perceptron("probability"), kad.Brier(), kad.Squared()]
)
def test_the_search_starts_from_the_bounds_of_the_theory(loss: kad.Loss) -> None:
    """Fast bounds of the root node = `kad.theory`'s, written from the formulas."""
    g = torch.Generator().manual_seed(0)
    for size, spread in ((5, 0.5), (50, 1.0), (400, 0.05)):
        p = torch.softmax(spread * torch.randn(size, generator=g, dtype=torch.float64), -1)
        for budget in (0.1, 0.4, 0.8):
            values, order = loss(p).numpy(), np.argsort(-p.numpy(), kind="stable")
            row = Instance(values, p.numpy(), order, budget)
            cost, deviation = majorise.match(row) or pytest.fail("no concave cost matched")
            assert deviation < 1e-14
            bounds = majorise.Bounds(row, cost, first_incumbent(row, values))
            root = majorise.Node(0, np.longdouble(0), np.longdouble(0), None)
            assert bounds.first(root) == pytest.approx(float(kad.theory.majorisation_bound(loss, p, budget)), abs=1e-11)
            second = float(kad.theory.sized_majorisation_bound(loss, p, budget))
            assert bounds.second(root) == pytest.approx(second, abs=1e-11)


def test_incumbents_are_summed_exactly_where_rounding_decides() -> None:
    """0.1 + 0.2 exceeds 0.3 as float64 numbers add, but not the float64 that is nearest to their exact sum."""
    mass = np.array([0.7, 0.2, 0.1])
    row = Instance(-np.log(mass), mass, np.arange(3), 0.3)
    best = Incumbent(row)
    best.offer_mask(np.array([True, False, False]))
    assert (best.cost < math.inf) == (math.fsum([0.1, 0.2]) <= 0.3)


def test_batches_dtypes_and_time_limits() -> None:
    g = torch.Generator().manual_seed(0)
    p = torch.softmax(2 * torch.randn(2, 3, 30, generator=g, dtype=torch.float64), -1)
    for solver in (exact(0.4), or_tools(0.4)):
        whole = kad.solve(-p.log(), p, solver)
        assert whole.d.shape == p.shape
        assert whole.risk.shape == (2, 3)
        assert len(whole.status) == len(whole.engine) == 6
        for i in range(2):
            for j in range(3):
                alone = kad.solve(-p[i, j].log(), p[i, j], solver)
                assert torch.equal(alone.d, whole.d[i, j])
        single = p.float()
        rounded = kad.solve(-single.log(), single, solver)
        assert rounded.d.dtype == torch.float32
        assert bool((rounded.gap <= 1e-6).all())
    uniform = torch.softmax(0.01 * torch.randn(20_000, generator=g, dtype=torch.float64), -1)
    other = torch.softmax(0.01 * torch.randn(20_000, generator=g, dtype=torch.float64), -1)
    s = kad.solve(-other.log(), uniform, kad.Exact(0.3, tolerance=0.0, time_limit=1e-9))
    assert s.status == ["TIME_LIMIT"]
    assert float(s.gap) > 0


def test_everything_and_nothing() -> None:
    p = torch.tensor([0.5, 0.25, 0.25, 0.0], dtype=torch.float64)
    for solver in (exact, or_tools):
        assert kad.solve(-p.log(), p, solver(1.0)).d.tolist() == [1, 1, 1, 1]
        nothing = kad.solve(-p.log(), p, solver(0.0))
        assert nothing.d.tolist() == [0, 0, 0, 1]
        assert nothing.status == ["OPTIMAL"]
        one = torch.ones(1, dtype=torch.float64)
        assert kad.solve(-one.log(), one, solver(0.5)).d.tolist() == [0]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: kad.Exact(1.1), "budget must lie in"),
        (lambda: kad.Exact(0.5, tolerance=-1), "tolerance"),
        (lambda: kad.Exact(0.5, time_limit=0), "time_limit"),
        (lambda: kad.Exact(0.5, tolerance=math.nan), "tolerance"),
        (lambda: kad.OrTools(-0.1), "budget must lie in"),
        (lambda: kad.OrTools(0.5, core=0), "core"),
        *(
            (lambda name=name, x=x: kad.Exact(0.5, **{name: x}), f"Exact {name} must be")
            for name in ("tolerance", "effort", "time_limit")
            for x in ("1", None, [1], True, torch.ones(2))
        ),
        *(
            (lambda name=name, x=x: kad.OrTools(0.5, **{name: x}), f"OrTools {name} must be")
            for name in ("tolerance", "core", "time_limit")
            for x in ("1", None, [1], True, torch.ones(2))
        ),
        (lambda: kad.OrTools(0.5, core=2.5), "OrTools core must be a whole number"),
    ],
)
def test_bad_parameters_are_one_sentence(call: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_without_or_tools_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ortools.algorithms.python", None)
    p = torch.tensor([0.5, 0.5])
    with pytest.raises(ImportError, match=r"pip install 'kad-align\[ortools\]'"):
        kad.OrTools(0.5).defer(-p.log(), p)
    assert kad.Exact(0.5).defer(-p.log(), p).sum() == 1  # Exact does without
