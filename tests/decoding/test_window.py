"""window="auto": the choice follows S10, and whatever it chooses the law stays what it is."""

from __future__ import annotations

import pytest
import torch

import kad
from kad.decoding.window import BINS, Chooser, bins

from .enumeration import chain_law, decoder, emitted_law, tables
from .test_law import targets

AUTO = [kad.AutoWindow(longest, cost) for longest, cost in ((1, 0.1), (3, 0.02), (4, 0.4), (4, 1.5))]


@pytest.mark.parametrize("auto", AUTO, ids=str)
@pytest.mark.parametrize("name", ["dual", "fractional", "confidence bet", "implicit reward", "base"])
def test_the_law_does_not_change(name: str, auto: kad.AutoWindow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every outcome, on a chooser that is past its first rounds: what it drafts depends on what was accepted before.

    One outcome at a time: rows of a batch share the chooser, so that what one drafts would depend on the others.
    """
    monkeypatch.setattr("kad.decoding.window.FIRST", ())
    target, models, prompt, length = targets("models")[name], tables(11, 2), torch.tensor([1, 0]), 4
    got = emitted_law(lambda chance: decoder(target, models, prompt, length, auto, chance, temperature=0.7), together=1)
    want = chain_law(target, models, prompt, length, 0.7, None)
    assert max(abs(got.get(key, 0.0) - want.get(key, 0.0)) for key in got.keys() | want.keys()) < 1e-10


def chooser(acceptance: float, cost: float, alpha: float = 0.3, lazy: bool = True) -> Chooser:
    """One that has seen 10,000 drafts, all of q* = 0.7."""
    pace = kad.AutoWindow(cost=cost).pace(lazy)
    assert isinstance(pace, Chooser)
    pace.tested[0], pace.stood[0] = 10_000, 10_000 * acceptance
    pace.alphas.extend([alpha] * 64)
    pace.rounds = 10
    return pace


def drafts(pace: Chooser, chance: float) -> int:
    """How many drafts of such q* are made in one round."""
    n, limit = 1, pace.window()
    one = torch.ones(1, dtype=torch.bool)
    while n < limit and pace.more(lambda: torch.tensor([chance]), one, one):
        n += 1
    return n if limit else 0


@pytest.mark.parametrize("cost", [0.02, 0.1, 0.3])
@pytest.mark.parametrize("acceptance", [0.4, 0.6, 0.78, 0.9])
def test_the_window_is_the_best_of_s10(acceptance: float, cost: float) -> None:
    """When all drafts look alike, the stop in the round finds the γ of the greatest expected rate."""

    def rate(n: int) -> float:
        if n == 0:
            return 1 / (1 + 0.3 * cost)
        return (1 - acceptance ** (n + 1)) / (1 - acceptance) / (1 + n * cost)

    found = drafts(chooser(acceptance, cost), 0.7)
    assert rate(found) >= 0.995 * max(rate(n) for n in range(16))


def test_no_window_pays_when_the_proxy_is_dear() -> None:
    pace = chooser(0.4, cost=1.5)
    windows = [pace.window() for _ in range(50)]
    assert windows.count(0) > 45
    assert 1 in windows  # now and then one draft, to see whether acceptance has changed


def test_drafts_that_rarely_stand_end_the_round() -> None:
    pace = chooser(0.95, cost=0.1)
    pace.tested[3], pace.stood[3] = 1000, 100  # drafts of q* in (1/16, 1/8]
    assert drafts(pace, 0.7) > 3
    assert drafts(pace, 0.1) == 1


def test_before_there_are_drafts_the_mean_alpha_is_believed() -> None:
    """S10: 1 − D_TV(π, q*) ≥ α. A few drafts weigh as much; many decide."""
    pace = chooser(0.5, cost=0.1, alpha=0.8)
    assert pace.acceptance == pytest.approx(0.5, abs=1e-3)
    pace.tested, pace.stood = torch.zeros(BINS), torch.zeros(BINS)
    assert pace.acceptance == pytest.approx(0.8)
    pace.tested[0], pace.stood[0] = 4, 2
    assert pace.acceptance == pytest.approx(0.65)


def test_bins() -> None:
    q = torch.tensor([1.0, 0.6, 0.5, 0.3, 0.25, 1e-9, 0.0])
    assert bins(q).tolist() == [0, 0, 1, 1, 2, BINS - 1, BINS - 1]


def test_costs_are_timed() -> None:
    pace = kad.AutoWindow().pace(lazy=True)
    assert isinstance(pace, Chooser)
    pace.rounds = 5
    for n in (1, 2, 4, 6):
        pace.drafted(0.01 * n, n)
        pace.verified(0.1 + 0.02 * (n + 1), n + 1)
    proxy, base, place = pace.costs()
    assert (proxy, base, place) == pytest.approx((0.01, 0.12, 0.02))


def test_places_that_cost_as_much_as_passes_make_windows_short() -> None:
    """Many rows on a CPU: a pass takes as long as it has places, so drafting more than is accepted costs."""
    pace = kad.AutoWindow().pace(lazy=True)
    assert isinstance(pace, Chooser)
    pace.rounds = 5
    pace.tested[0], pace.stood[0] = 10_000, 7_800
    pace.alphas.extend([0.3] * 64)
    for n in (1, 5, 3, 4, 2):
        pace.drafted(0.02 * n, n)
        pace.verified(0.1 * (n + 1), n + 1)
    assert pace.costs() == pytest.approx((0.02, 0.1, 0.1))
    assert drafts(pace, 0.7) <= 1


def test_with_real_models_greedy_text_does_not_change() -> None:
    pair = kad.demo.load()
    prompts = [
        "q : tom has 6 apples . he loses 2 . he finds 9 more . how many apples does tom have now ? a :",
        "q : mia has 6 pens . she buys 8 more . she loses 3 . how many pens does mia have now ? a :",
    ]
    texts = []
    for window in (0, "auto", kad.AutoWindow(cost=0.05)):
        out = kad.generate(
            pair.base, pair.proxy, prompts, target=kad.dual(0.4), tokenizer=pair.tokenizer, window=window
        )
        texts.append(out.trace.ids.tolist())
    assert texts[0] == texts[1] == texts[2]


@pytest.mark.parametrize(("longest", "cost"), [(0, None), (True, None), (3, 0.0), (3, -1.0), (3, float("nan"))])
def test_bad_settings(longest: int, cost: float | None) -> None:
    with pytest.raises(ValueError, match="AutoWindow"):
        kad.AutoWindow(longest, cost)
