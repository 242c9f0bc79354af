"""The greedy's prefix without a sort equals the one with a sort: peaked, flat, tied, with zeros, in both precisions."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import kad
from kad.arithmetic import CPU, GPU, TORCH, selection
from kad.arithmetic.cpu import SOME, SORTED, kept_tokens
from kad.arithmetic.gpu import NUCLEUS
from kad.arithmetic.plain import prefix_by_sorting
from kad.arithmetic.selection import border_of_masses, prefix_by_digits


def distribution(kind: str, size: int, dtype: torch.dtype, seed: int = 0) -> torch.Tensor:
    """Two rows of float64 masses that are multiples of 2^-30, so that every order of summation gives the same sums."""
    g = torch.Generator().manual_seed(seed)
    logits = {
        "random": 3 * torch.randn(2, size, generator=g),
        "flat": 0.01 * torch.randn(2, size, generator=g),
        "peaked": torch.cat([torch.full((2, 1), 15.0), torch.randn(2, size - 1, generator=g)], 1),
        "tied": (2 * torch.randn(2, size, generator=g)).round(),
        "bf16": (3 * torch.randn(2, size, generator=g)).bfloat16().float(),
        "equal": torch.zeros(2, size),
        "zeros": torch.where(torch.rand(2, size, generator=g) < 0.5, -torch.inf, torch.randn(2, size, generator=g)),
    }[kind]
    p = (torch.softmax(logits.double(), -1) * 2**30).floor() / 2**30
    p[:, 0] += 1 - p.sum(-1)
    return p.to(dtype)


KINDS = ["random", "flat", "peaked", "tied", "bf16", "equal", "zeros"]
LOSSES = [kad.Logistic(), kad.Squared(), kad.Perceptron("log"), kad.ZeroOne(), kad.Nudging()]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", LOSSES, ids=lambda x: type(x).__name__)
def test_digits_and_sorting_agree(kind: str, loss: kad.Loss) -> None:
    p = distribution(kind, 3000, torch.float64)
    for values in (loss(p), loss(p.float()).clamp_min(0)):
        for budget in (0.0, 0.05, 0.25, 0.5, 0.9, 0.999):
            fast, slow = prefix_by_digits(values, p, budget), prefix_by_sorting(values, p, budget)
            for a, b in zip(fast, slow, strict=True):
                assert a.dtype == b.dtype
                assert torch.equal(a, b), (kind, loss, budget)


@given(st.lists(st.integers(0, 40), min_size=2, max_size=60), st.integers(0, 64), st.integers(0, 5))
def test_any_losses_and_budgets(units: list[int], room: int, levels: int) -> None:
    """Masses k/64 and losses with many ties: exact subset sums at the border."""
    mass = torch.tensor(units, dtype=torch.float64)
    if mass.sum() == 0:
        mass[0] = 1
    mass = mass / 64
    loss = torch.tensor([(i * i) % (levels + 1) for i in range(len(mass))], dtype=torch.float32)
    budget = min(room / 64, 0.999)
    for a, b in zip(prefix_by_digits(loss, mass, budget), prefix_by_sorting(loss, mass, budget), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fill", [False, True])
def test_a_gpus_ways_and_sorting_agree(kind: str, fill: bool) -> None:
    """Where the budget runs out among the heaviest tokens, and where it does not; some rows, and rows with budgets of their own."""
    p = distribution(kind, 3 * NUCLEUS, torch.float64)
    several = torch.tensor([0.05, 0.95], dtype=torch.float64)
    for budget in (0.0, 0.05, 0.25, 0.5, 0.9, 0.999, several):
        fast, slow = GPU.lightest(p, budget, fill), TORCH.lightest(p, budget, fill)
        assert torch.equal(fast.dense(p), slow.dense(p)), budget
        torch.testing.assert_close(fast.alpha, slow.alpha, atol=1e-12, rtol=0)
        for a, b in zip(GPU.prefix(-p.log(), p, budget), TORCH.prefix(-p.log(), p, budget), strict=True):
            assert torch.equal(a, b), budget


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_real_softmaxes_agree_up_to_rounding(dtype: torch.dtype) -> None:
    """Sums in another order differ in the last bits: the two may disagree on tokens at the border only."""
    g = torch.Generator().manual_seed(0)
    for spread in (0.01, 1.0, 4.0):
        p = torch.softmax(spread * torch.randn(3, 2, 5000, generator=g, dtype=dtype), -1)
        for budget in (0.05, 0.6, 0.95):
            fast, slow = prefix_by_digits(-p.log(), p, budget), prefix_by_sorting(-p.log(), p, budget)
            assert fast.fits.shape == p.shape
            differ = (p.double() * (fast.fits != slow.fits)).sum(-1)
            assert bool((differ <= 2 * p.double().amax(-1)).all())
            assert bool((fast.fits != slow.fits).sum() <= 2)
            torch.testing.assert_close(fast.left, slow.left, atol=2e-3 if bool(differ.any()) else 1e-12, rtol=0)


def test_minus_zero_is_zero_and_infinity_the_largest() -> None:
    """−log 1 is −0.0, whose bits are not those of 0; tokens of mass zero may cost infinity and go first."""
    p = torch.zeros(1, SORTED + 1)
    p[0, 7] = 1.0
    loss = -p.log()
    assert bool(torch.signbit(loss[0, 7]))
    d = kad.Primal(0.5).defer(loss, p)
    assert d[0, 7] == 0
    assert d.sum() == SORTED
    assert kad.Fractional(0.5).defer(loss, p)[0, 7] == 0.5


def test_which_way_is_taken() -> None:
    p = distribution("random", SORTED + 1, torch.float32)
    assert torch.equal(CPU.prefix(-p.log(), p, 0.3).fits, prefix_by_digits(-p.log(), p, 0.3).fits)
    everything = CPU.prefix(-p.log(), p, 1.0)
    assert bool(everything.fits.all())
    assert everything.critical.flatten().tolist() == [SORTED + 1] * 2


@pytest.mark.parametrize("size", [12, SORTED + 1])
def test_distributions_that_want_gradients(size: int) -> None:
    """Straight from a model outside of no_grad: decisions are made all the same."""
    logits = torch.randn(2, size, generator=torch.Generator().manual_seed(0), requires_grad=True)
    p = torch.softmax(logits, -1)
    q = torch.full_like(p, 1 / size)
    for target in (kad.dual(0.1), kad.primal(0.5), kad.fractional(0.5), kad.nudging(0.4), kad.confidence_bet(0.0)):
        pi = target(p, q)
        assert torch.equal(pi.detach(), target(p.detach(), q.detach()))
    assert kad.Exact(0.5).defer(-p.log(), p).shape == p.shape


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [SORTED + 1, 40_000])
def test_cuts_and_sorting_agree(kind: str, size: int) -> None:
    """A cut by mass is the prefix of a loss that falls strictly with the mass: critical token, ties, what is left."""
    p = distribution(kind, size, torch.float64)
    for budget in (0.0, 0.05, 0.25, 0.5, 0.9, 0.999, 1.0):
        slow = prefix_by_sorting(-p, p, budget) if budget < 1 else CPU.prefix(-p, p, budget)
        cut, filled = kad.Primal(budget).cut(p), kad.Fractional(budget).cut(p)
        assert torch.equal(cut.dense(p), slow.fits.double()), (kind, budget)
        assert torch.equal(CPU.kept(cut, p), p * (1 - slow.fits.double()))
        torch.testing.assert_close(cut.alpha, budget - slow.left.squeeze(-1), atol=1e-15, rtol=0)
        some = slow.critical.squeeze(-1) < size
        assert torch.equal(cut.critical[some], slow.critical.squeeze(-1)[some])
        d = kad.Fractional(budget).defer(1 - p, p)
        torch.testing.assert_close(filled.dense(p), d, atol=1e-12, rtol=0)
        torch.testing.assert_close(filled.alpha, (p * d).sum(-1), atol=1e-12, rtol=0)
        torch.testing.assert_close(CPU.kept(filled, p), p * (1 - d), atol=1e-12, rtol=0)
        for c in (cut, filled):
            few = kept_tokens(c, p)
            assert (few is None) == bool(((p >= c.value.unsqueeze(-1)).sum(-1) > size // SOME).any())
            if few is not None:
                assert torch.equal(torch.zeros_like(p).scatter_add(1, *few), CPU.kept(c, p))
        tokens = torch.tensor([[0, 5, size - 1, int(cut.critical[0]), int(p[0].argmax())]] * 2)
        for c, dense in ((cut, cut.dense(p)), (filled, filled.dense(p))):
            assert torch.equal(c.at((..., None)).of(p.gather(1, tokens), tokens), dense.gather(1, tokens))


@given(st.lists(st.integers(0, 40), min_size=2, max_size=60), st.integers(0, 64))
def test_any_masses_and_budgets(units: list[int], room: int) -> None:
    """Masses k/64 by the ways for long rows, whatever the row's length: exact subset sums and ties at the border."""
    mass = torch.tensor([units], dtype=torch.float64)
    if mass.sum() == 0:
        mass[0, 0] = 1
    mass, budget = mass / 64, min(room / 64, 0.999)
    value, critical, deferred, tied = border_of_masses(mass[0].numpy(), budget)
    want = prefix_by_sorting(-mass, mass, budget)
    ids = torch.arange(mass.shape[1])
    fits = (mass < value) | ((mass == value) & (ids < critical))
    assert torch.equal(fits, want.fits)
    assert deferred == budget - float(want.left)
    assert tied == bool((want.fits & (mass == value)).any())


@pytest.mark.parametrize("bracket", ["heavy", "sampled", "complete"])
def test_every_bracket_counts_what_is_lighter(bracket: str) -> None:
    """Ids, masses in order, and the mass below: whether or not the border lies inside."""
    for kind in KINDS:
        for row in distribution(kind, 30_000, torch.float64).numpy():
            for budget in (0.05, 0.5, 0.9):
                ids, members, below = getattr(selection, bracket)(row, budget)
                assert sorted(row[ids].tolist()) == members.tolist()
                if len(ids):
                    assert below == pytest.approx(float(row[row < members[0]].sum()), abs=1e-13)


def test_most_flat_rows_need_no_full_sort(monkeypatch: pytest.MonkeyPatch) -> None:
    """What makes it fast: the sample's bracket holds the border, at any flatness and budget."""
    g = torch.Generator().manual_seed(0)
    calls = []
    right = selection.complete
    monkeypatch.setattr(selection, "complete", lambda p, room: calls.append(0) or right(p, room))
    count = 0
    for spread in (0.001, 0.03, 0.5, 1.0, 2.0):
        p = torch.softmax(spread * torch.randn(20, 151_936, generator=g), -1)
        for budget in (0.1, 0.5, 0.9):
            kad.Primal(budget).cut(p)
            count += len(p)
    assert len(calls) <= count // 20
