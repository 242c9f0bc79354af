"""Whether `kad bench` can tell 1.06 from 1: two contenders that are the same code, run after run. Prints how often the interval holds 1.

OMP_NUM_THREADS=1 python benchmarks/same_contender.py [--runs 20] [--rounds 8] [--turns 6] [--new-tokens 12] [--gamma 3]
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import replace

import torch

import kad
from kad.bench.contenders import Race, contenders
from kad.bench.measure import measure, processor
from kad.bench.pairs import build
from kad.statistics import ratio


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, usual in (("runs", 20), ("rounds", 8), ("turns", 6), ("new-tokens", 12), ("gamma", 3)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    given = parser.parse_args()
    torch.set_num_threads(1)
    models = build("small", "cpu", torch.float32)
    prompts = torch.randint(3, models.vocabulary, (1, 32), generator=torch.Generator().manual_seed(0))
    race = Race(models, prompts, given.new_tokens, True, kad.dual(0.4))
    (one,) = contenders([given.gamma], ["kad-base"])
    who, found = [one, replace(one, name="the same again")], []
    for run in range(given.runs):
        first, second = measure(
            race, who, given.rounds, 1.0, lambda _: None, (0.78, 0.2), seed=1000 * run, turns=given.turns
        )
        found.append(ratio(first.seconds, second.seconds, given.turns))
        print(f"run {run + 1}: {found[-1].value:.3f} [{found[-1].low:.3f}-{found[-1].high:.3f}]", flush=True)
    held = sum(x.low <= 1 <= x.high for x in found)
    half = [100 * (x.high - x.low) / 2 for x in found]
    print(
        f"{processor()}: {held} of {given.runs} intervals hold 1; ±{statistics.median(half):.1f}% in the median, at most ±{max(half):.1f}%."
    )


if __name__ == "__main__":
    main()
