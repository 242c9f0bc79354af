"""What a decision costs beside the two softmaxes that it cannot do without: ratios, one thread, V = 151,936.

    OMP_NUM_THREADS=1 python benchmarks/decision.py [--window 3] [--batch 1]

For logits (B, γ + 1, V) of the base and (B, γ, V) of the proxy, the parts that a round computes outside the models: p and
q*, d and α at every place, acceptance at the drafts, the mixture and the residual at one place, and γ + 1 draws. Every
line alternates with the softmaxes alone, and shows medians; the ratio is what counts.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch

import kad
from kad.arithmetic import CPU, fused
from kad.chances import Sampled
from kad.decisions import Reading
from kad.decisions import decide as decision_of
from kad.speculation import acceptance

VOCABULARY = 151_936


def median_pair(one: Callable[[], object], other: Callable[[], object], rounds: int = 25) -> tuple[float, float]:
    """Median milliseconds of two functions that take turns."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds + 2):
        for function, found in zip((one, other), times, strict=True):
            start = time.perf_counter()
            function()
            found.append(1000 * (time.perf_counter() - start))
    return statistics.median(times[0][2:]), statistics.median(times[1][2:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--window", type=int, default=3)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--compile", action="store_true", help="the fused kernels")
    options = parser.parse_args()
    machine = fused() if options.compile else CPU
    chance = Sampled(torch.Generator().manual_seed(1), machine.draw)
    torch.set_num_threads(1)
    # As a model's pass does: from now on the allocator keeps the pages of freed tensors.
    large = torch.zeros(7_000_000)
    del large
    batch, window, g = options.batch, options.window, torch.Generator().manual_seed(0)
    targets = {
        "dual": kad.dual(0.4), "primal": kad.primal(0.9), "fractional": kad.fractional(0.9),
        "nudging": kad.nudging(0.4), "exact": kad.Mixture(kad.Logistic(), kad.Exact(0.9)),
    }  # fmt: skip
    print(f"{'logits':8s} {'target':11s} two softmaxes  decision  ratio")
    for name, spread in (("flat", 0.01), ("middling", 2.0), ("peaked", 6.0)):
        base = spread * torch.randn(batch, window + 1, VOCABULARY, generator=g)
        proxy = spread * torch.randn(batch, window + 1, VOCABULARY, generator=g)

        def softmaxes(base: torch.Tensor = base, proxy: torch.Tensor = proxy) -> tuple[torch.Tensor, torch.Tensor]:
            return kad.softmax(base), kad.softmax(proxy)

        for label, target in targets.items():

            def decide(target: kad.Mixture = target, base: torch.Tensor = base, proxy: torch.Tensor = proxy) -> None:
                uniform = torch.rand(batch, window + 1, generator=g, dtype=torch.float64)
                steps, drawn, chances = [], [], []
                for i in range(window + 1):
                    steps.append(machine.softmax(proxy[:, i], 1.0))
                    if i < window:
                        drawn.append(machine.draw(steps[i], uniform[:, i]))
                        chances.append(steps[i].gather(1, drawn[i].unsqueeze(-1)).squeeze(-1))
                drafts, qx = torch.stack(drawn, 1), torch.stack(chances, 1)
                p, first = machine.softmax(base, 1.0), (slice(None), 0)
                decision = machine.call(decision_of, target, Reading(p, p), None)
                assert decision is not None
                px = p[:, :window].gather(-1, drafts.unsqueeze(-1)).squeeze(-1)
                known = decision.at((slice(None), slice(0, window)))
                acceptance(px * (1 - known.of(drafts, px)) + known.alpha * qx, qx)
                first_decision = decision.at(first)
                machine.leftover(first_decision.kind, p[first], steps[0], first_decision.alpha).pick(chance.pick)

            alone, whole = median_pair(softmaxes, decide, 5 if label == "exact" else 25)
            print(f"{name:8s} {label:11s} {alone:10.2f} ms {whole:6.2f} ms {whole / alone:6.2f}", flush=True)


if __name__ == "__main__":
    main()
