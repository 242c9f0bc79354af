"""How well does the plug-in bound (S7, the paper's Lemma 5) hold where the true distribution is known?

    python examples/studies/plug_in.py [--output plug-in] [--quick]

The true P is drawn by construction: a Zipf law with a shuffled tail. A model's p is what one learns of P from so many samples.
The greedy and the dual decide with p and are judged under P, against the exact optimum under P.
"""

import argparse
import tempfile
from pathlib import Path

import torch

import kad
from kad.plots import pyplot

SIZE, BUDGET, SAMPLES = 2000, 0.3, (100, 300, 1000, 3000, 10_000, 30_000, 100_000, 300_000)


def learned(true: torch.Tensor, samples: int, rows: int, generator: torch.Generator) -> torch.Tensor:
    """p from counts, each token with half a count more (Krichevsky and Trofimov)."""
    drawn = torch.multinomial(true.expand(rows, -1), samples, replacement=True, generator=generator)
    counts = torch.zeros(rows, len(true), dtype=torch.float64).scatter_add_(
        1, drawn, torch.ones_like(drawn, dtype=torch.float64)
    )
    return (counts + 0.5) / (samples + 0.5 * len(true))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("plug-in"))
    parser.add_argument("--quick", action="store_true", help="few samples and rows: that it runs")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp()) if options.quick else options.output
    folder.mkdir(parents=True, exist_ok=True)
    generator, rows = torch.Generator().manual_seed(0), 3 if options.quick else 20
    true = kad.theory.family("zipf", size=SIZE, exponent=1.1)[torch.randperm(SIZE, generator=generator)]
    series: dict[str, list[tuple[float, float, float]]] = {"dual": [], "primal": []}
    print(
        f"{'samples':>8} {'D(P, p)':>8}   {'dual: regret':>12} {'bound':>8} {'ratio':>6}   {'primal: regret':>14} {'bound':>8} {'ratio':>6}"
    )
    for samples in SAMPLES[:3] if options.quick else SAMPLES:
        p = learned(true, samples, rows, generator)
        truth, loss = true.expand(rows, -1), kad.Logistic()(p)
        distance = kad.total_variation(truth, p)
        best = kad.solve(loss, truth, kad.Exact(BUDGET)).risk  # for these losses, under the true P
        greedy = kad.Primal(BUDGET).defer(loss, p)
        price = kad.theory.critical_loss(
            loss, p, BUDGET
        )  # the dual's multiplier: the price at which the budget runs out
        dual = (loss > price.unsqueeze(-1)).double()
        cells = []
        for name, d in (("dual", dual), ("primal", greedy)):
            regret = kad.theory.risk(loss, truth, d) - best
            bound = price * (BUDGET - (p * d).sum(-1) + distance)  # S7
            assert bool((regret <= bound + 1e-9).all()), "the bound is broken"
            series[name].append((float(distance.mean()), float(regret.mean()), float(bound.mean())))
            cells.append(
                f"{float(regret.mean()):12.4f} {float(bound.mean()):8.4f} {float((regret / bound).mean()):6.2f}"
            )
        print(f"{samples:8} {float(distance.mean()):8.4f}   " + "     ".join(cells))
    axes = pyplot().subplots(figsize=(7, 4.2), layout="constrained")[1]
    for (name, points), colour in zip(series.items(), ("#1b9e77", "#2171b5"), strict=True):
        x, left, right = zip(*points, strict=True)
        axes.plot(x, [abs(v) for v in left], "o-", ms=4, color=colour, label=f"{name}: |regret under P|, mean")
        axes.plot(x, right, "--", color=colour, label=f"{name}: bound of S7")
    axes.set(xscale="log", yscale="log", xlabel="distance of p from the true P, in total variation", ylabel="nats")
    axes.set_xticks([0.02, 0.05, 0.1, 0.2, 0.5], ["0.02", "0.05", "0.1", "0.2", "0.5"])
    axes.minorticks_off()
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    axes.figure.savefig(folder / "plug-in.png", dpi=160)
    print(f"written: {folder}/plug-in.png")


if __name__ == "__main__":
    main()
