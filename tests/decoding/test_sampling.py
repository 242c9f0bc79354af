"""On real (tiny, random) models: sampled sequences follow the exact law, and nothing is fed twice."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from scipy.stats import chi2

import kad
from kad.arithmetic import inverse_cdf

from ..models import ragged, tiny

FALSE_ALARM = 1e-5  # per test; all seeds are fixed, so a test that passed once passes always
VOCABULARY, LENGTH, DRAWS = 6, 3, 3000


def exact_law(base, proxy, target: kad.Target, prompt: list[int], temperature: float) -> dict[tuple[int, ...], float]:
    """The law of the first LENGTH tokens by full forward passes over every sequence; token 2 stops."""
    law: dict[tuple[int, ...], float] = {}

    def heat(logits: torch.Tensor, t: float) -> torch.Tensor:
        return torch.softmax(logits.double() / t, -1)

    def grow(tokens: list[int], weight: float) -> None:
        new = tokens[len(prompt) :]
        if len(new) == LENGTH or (new and new[-1] == 2):
            law[tuple(new)] = weight
            return
        with torch.no_grad():
            a, b = (m(torch.tensor([tokens])).logits[0, -1] for m in (base, proxy))
        if target.placement == "mixture":
            pi = target(heat(a, 1), heat(b, 1)) ** (1 / temperature)
            pi = pi / pi.sum()
        else:
            pi = target(heat(a, temperature), heat(b, temperature))
        for token, p in enumerate(pi.tolist()):
            if p > 0:
                grow([*tokens, token], weight * p)

    grow(prompt, 1.0)
    return law


def chi_square(samples: list[tuple[int, ...]], law: dict[tuple[int, ...], float]) -> float:
    """The p-value; sequences expected fewer than five times are pooled."""
    n, seen = len(samples), {}
    for s in samples:
        seen[s] = seen.get(s, 0) + 1
    assert set(seen) <= set(law), "a sequence of probability zero was sampled"
    cells, rest = [], [0.0, 0]
    for key, p in law.items():
        if n * p >= 5:
            cells.append((n * p, seen.get(key, 0)))
        else:
            rest = [rest[0] + n * p, rest[1] + seen.get(key, 0)]
    if rest[0] > 0:
        cells.append((rest[0], rest[1]))
    statistic = sum((o - e) ** 2 / e for e, o in cells)
    return float(chi2.sf(statistic, len(cells) - 1))


@pytest.mark.parametrize("placement", ["models", "mixture"])
@pytest.mark.parametrize("window", range(5))
@pytest.mark.parametrize("name", ["dual", "fractional", "confidence bet"])
def test_sampled_sequences_follow_the_law(name: str, window: int, placement) -> None:
    target = {
        "dual": kad.dual(0.3, placement),
        "fractional": kad.fractional(0.5, placement),
        "confidence bet": kad.confidence_bet(0.1, placement),
    }[name]
    base, proxy = tiny("llama", 1, vocabulary=VOCABULARY), tiny("qwen3", 2, vocabulary=VOCABULARY)
    prompts = [[3, 4, 5, 3], [5]]  # padded against each other in one batch
    ids = torch.tensor([[3, 4, 5, 3], [0, 0, 0, 5]])
    mask = torch.tensor([[1, 1, 1, 1], [0, 0, 0, 1]])
    out = kad.generate(
        base, proxy, input_ids=ids, attention_mask=mask, target=target, window=window, seed=11, do_sample=True,
        temperature=0.8, num_return_sequences=DRAWS, max_new_tokens=LENGTH,
    )  # fmt: skip
    rows = [tuple(r[:n].tolist()) for r, n in zip(out.trace.ids, out.trace.lengths, strict=True)]
    for i, prompt in enumerate(prompts):
        law = exact_law(base, proxy, target, prompt, 0.8)
        assert math.isclose(sum(law.values()), 1, abs_tol=1e-9)
        assert chi_square(rows[i * DRAWS : (i + 1) * DRAWS], law) > FALSE_ALARM


def test_the_chi_square_notices_a_law_that_is_wrong_by_a_few_hundredths() -> None:
    """The test above can fail: against the law of a slightly different threshold it does."""
    base, proxy = tiny("llama", 1, vocabulary=VOCABULARY), tiny("qwen3", 2, vocabulary=VOCABULARY)
    out = kad.generate(
        base, proxy, input_ids=torch.tensor([[3, 4, 5, 3]]), target=kad.fractional(0.5), window=2, seed=11, do_sample=True,
        num_return_sequences=DRAWS, max_new_tokens=LENGTH,
    )  # fmt: skip
    rows = [tuple(r[:n].tolist()) for r, n in zip(out.trace.ids, out.trace.lengths, strict=True)]
    assert chi_square(rows, exact_law(base, proxy, kad.fractional(0.4), [3, 4, 5, 3], 1.0)) < FALSE_ALARM


@pytest.mark.parametrize("rows", [1, 5])
@pytest.mark.parametrize("window", [0, 1, 3, 7])
@pytest.mark.parametrize("target", [kad.dual(0.3), kad.confidence_bet(0.1), kad.Base()], ids=["dual", "bet", "base"])
def test_nothing_is_fed_twice(target: kad.Target, window: int, rows: int) -> None:
    base, proxy = tiny("llama", 1), tiny("llama", 2)
    ids, mask = ragged(rows, seed=9)
    out = kad.generate(
        base,
        proxy,
        input_ids=ids,
        attention_mask=mask,
        target=target,
        window=window,
        seed=5,
        do_sample=True,
        max_new_tokens=25,
    )
    trace = out.trace
    drafted = torch.stack([r.drafted for r in trace.rounds])  # −1 where a row took no part
    assert torch.equal(trace.base_fed, mask.sum(-1) - 1 + (drafted + 1).sum(0))
    accepted = torch.stack([r.accepted for r in trace.rounds]).sum(0)
    assert bool((trace.base_fed <= mask.sum(-1) + trace.lengths + drafted.clamp_min(0).sum(0) - accepted).all())
    assert bool((trace.proxy_fed <= mask.sum(-1) + trace.lengths + drafted.clamp_min(0).sum(0) - accepted).all())
    assert trace.base_passes == len(trace.rounds)
    if window:  # the last token of a fully accepted round costs no pass of its own
        assert trace.proxy_passes <= window * (trace.base_passes + 1)


def test_lazy_proxy_runs_only_where_the_base_was_rejected() -> None:
    base, proxy = tiny("llama", 1), tiny("llama", 2)
    for seed in range(8):
        out = kad.generate(
            base, proxy, [[3, 4, 5]], target=kad.dual(0.15), window=0, seed=seed, do_sample=True, max_new_tokens=30
        )
        rejected = sum(t.origin == "proxy" for t in out.trace.tokens())
        assert out.trace.proxy_passes == rejected
        assert 0 < rejected < int(out.trace.lengths[0])
    out = kad.generate(
        base, proxy, [[3, 4, 5]], target=kad.dual(0.0), window=0, seed=1, do_sample=True, max_new_tokens=30
    )
    assert out.trace.proxy_passes == 0
    assert int(out.trace.proxy_fed.sum()) == 0
    out = kad.generate(base, proxy, [[3, 4, 5]], target=kad.dual(0.15), window=0, max_new_tokens=30)
    assert out.trace.proxy_passes < int(out.trace.lengths[0])  # greedy: certified where S11 allows it


@pytest.mark.parametrize("window", [1, 3, 5])
def test_tokens_per_round_are_those_of_theory_s10(window: int) -> None:
    base, proxy = tiny("llama", 1), tiny("llama", 2)
    out = kad.generate(
        base, proxy, [[3, 4, 5]], target=kad.dual(0.3), window=window, seed=3, do_sample=True, num_return_sequences=64,
        max_new_tokens=40,
    )  # fmt: skip
    expected = variance = 0.0
    for r in out.trace.rounds:
        for row in range(64):
            n = int(r.drafted[row])
            if n < 1:
                continue
            # The number of accepted drafts has P(N ≥ i) = a_1 ... a_i; with the last token a round yields N + 1.
            tail = [math.prod(r.probability[row, :i].tolist()) for i in range(1, n + 1)]
            mean = sum(tail)
            expected += mean
            variance += sum((2 * i - 1) * t for i, t in enumerate(tail, 1)) - mean**2
    assert out.trace.drafted > 200
    assert abs(out.trace.accepted - expected) < 3 * math.sqrt(variance)
    # With i.i.d. acceptance a that mean is (1 − a^{γ+1}) / (1 − a) − 1.
    a = 0.7
    iid = sum(math.prod([a] * i) for i in range(1, window + 1)) + 1
    assert math.isclose(iid, (1 - a ** (window + 1)) / (1 - a))


def test_acceptance_is_one_minus_the_distance_to_the_proxy() -> None:
    """Theory S10: averaged over x ~ q*, min(1, π/q*) is 1 − D_TV(π, q*)."""
    generator = torch.Generator().manual_seed(0)
    p, q = (torch.softmax(3 * torch.randn(50, 8, generator=generator, dtype=torch.float64), -1) for _ in range(2))
    for target in (kad.dual(0.3), kad.primal(0.6), kad.fractional(0.5)):
        pi = target(p, q)
        mean = (q * kad.speculation.acceptance(pi, q)).sum(-1)
        torch.testing.assert_close(mean, 1 - kad.total_variation(pi, q), atol=1e-12, rtol=0)


def test_sampling_is_reproducible_and_seeds_differ() -> None:
    base, proxy = tiny("llama", 1), tiny("llama", 2)
    ids, mask = ragged(4, seed=9)
    kind = {"input_ids": ids, "attention_mask": mask, "target": kad.dual(0.3), "do_sample": True, "max_new_tokens": 12}
    first, again, other = (kad.generate(base, proxy, seed=s, **kind).sequences for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    by_generator = kad.generate(base, proxy, generator=torch.Generator().manual_seed(1), **kind).sequences
    assert torch.equal(first, by_generator)


def test_all_windows_share_one_marginal() -> None:
    """The first token's frequencies at γ = 0 and γ = 4 agree with π itself (a sanity check without enumeration)."""
    base, proxy = tiny("olmo2", 1, vocabulary=VOCABULARY), tiny("olmo2", 2, vocabulary=VOCABULARY)
    law = exact_law(base, proxy, kad.primal(0.7), [3, 4], 1.0)
    first = [sum(p for s, p in law.items() if s[0] == v) for v in range(VOCABULARY)]
    for window, _ in itertools.product((0, 4), [0]):
        out = kad.generate(
            base, proxy, [[3, 4]], target=kad.primal(0.7), window=window, seed=2, do_sample=True,
            num_return_sequences=4000, max_new_tokens=LENGTH,
        )  # fmt: skip
        freq = torch.bincount(out.trace.ids[:, 0], minlength=VOCABULARY) / 4000
        assert float((freq - torch.tensor(first)).abs().max()) < 5 * math.sqrt(0.25 / 4000)


def test_inverse_cdf_draws_the_law_and_nothing_of_probability_zero() -> None:
    """Every token gets an interval as long as its probability; the ends of the unit interval fall on real tokens."""
    p = torch.tensor([0.0, 0.5, 0.0, 0.3, 0.2, 0.0])
    grid = (torch.arange(10_000, dtype=torch.float64) + 0.5) / 10_000
    drawn = inverse_cdf(p.expand(10_000, 6), grid)
    torch.testing.assert_close(torch.bincount(drawn, minlength=6) / 10_000, p, atol=1e-4, rtol=0)
    ends = torch.tensor([0.0, 1 - 2**-53, 1.0], dtype=torch.float64)
    assert inverse_cdf(p.expand(3, 6), ends).tolist() == [1, 4, 4]
    # A float32 law with tokens far lighter than float32 can tell from one another near 1.
    light = torch.full((1, 100_001), 1e-9)
    light[0, 0] = 1.0
    uniform = torch.tensor([1 - 0.5e-4 / (1 + 1e-4)], dtype=torch.float64)
    assert abs(int(inverse_cdf(light, uniform)) - 50_000) < 10
