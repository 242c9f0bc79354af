"""Exact at |V| = 151,936: certified gap and seconds, on one core, beside the greedy and OR-Tools.

    OMP_NUM_THREADS=1 python benchmarks/exact_solver.py [--seeds 3] [--or-tools]

Four families of distributions, with and without the ties that bf16 logits bring, two losses, six budgets. Times are
of `prove` alone (float64 in, decision and certificate out).
"""

from __future__ import annotations

import argparse
import math
import statistics
import time

import numpy as np
import torch

import kad

VOCABULARY = 151_936
BUDGETS = (0.05, 0.1, 0.3, 0.6, 0.9, 0.99)


def families(seed: int) -> dict[str, np.ndarray]:
    g = np.random.default_rng(seed)
    peaked = 3 * g.standard_normal(VOCABULARY)
    peaked -= np.log(np.exp(peaked).sum())
    peaked[0] = math.log(11)
    return {
        "zipf": -(1.0 + 0.2 * seed) * np.log(np.arange(1, VOCABULARY + 1))
        + 0.01 * seed * g.standard_normal(VOCABULARY),
        "gaussian": 3 * g.standard_normal(VOCABULARY),
        "peaked": peaked,
        "near-uniform": 0.01 * g.standard_normal(VOCABULARY),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--or-tools", action="store_true", help="time OrTools too (needs the extra)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    solvers = {"Exact": kad.Exact} | ({"OrTools": kad.OrTools} if options.or_tools else {})
    print(
        f"{'solver':8s} {'family':13s} {'loss':11s} cases  optimal  worst gap  median s  worst s  best gain on Primal"
    )
    times: dict[str, list[float]] = {name: [] for name in solvers}
    gaps: dict[str, list[float]] = {name: [] for name in solvers}
    excess = dict.fromkeys(solvers, 0.0)  # over the first solver's risk, which is Exact's
    for family in families(0):
        for loss in (kad.Logistic(), kad.Perceptron("log")):
            found: dict[str, list[tuple[float, float, bool, float]]] = {name: [] for name in solvers}
            for seed in range(options.seeds):
                logits = torch.from_numpy(families(seed)[family])
                for p in (torch.softmax(logits, -1), torch.softmax(logits.to(torch.bfloat16).double(), -1)):
                    values = loss(p)
                    for budget in BUDGETS:
                        greedy, least = float(kad.solve(values, p, kad.Primal(budget)).risk), math.inf
                        for name, kind in solvers.items():
                            start = time.perf_counter()
                            proof = kind(budget).prove(values, p)
                            seconds = time.perf_counter() - start
                            assert math.fsum(p[proof.d > 0].tolist()) <= budget
                            risk = math.fsum((p * values)[proof.d == 0].tolist())
                            assert risk <= greedy + 1e-13
                            gap, least = risk - float(proof.lower_bound), min(risk, least)
                            excess[name] = max(excess[name], risk - least)
                            found[name].append((gap, seconds, proof.status == ["OPTIMAL"], greedy - risk))
            for name, rows in found.items():
                gap, seconds, proved, gain = zip(*rows, strict=True)
                times[name] += seconds
                gaps[name] += gap
                print(
                    f"{name:8s} {family:13s} {type(loss).__name__:11s} {len(rows):5d} {sum(proved):8d} {max(gap):10.1e} "
                    f"{statistics.median(seconds):9.3f} {max(seconds):8.3f} {max(gain):10.1e}",
                    flush=True,
                )
    for name in solvers:
        print(
            f"{name}: {len(times[name])} cases, worst gap {max(gaps[name]):.1e}, "
            f"median {statistics.median(times[name]):.3f} s, worst {max(times[name]):.3f} s, "
            f"risk at most {excess[name]:.1e} above Exact's"
        )


if __name__ == "__main__":
    main()
