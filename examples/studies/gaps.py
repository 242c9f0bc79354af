"""How far is every rule from the exact optimum over the steps of real texts, at its own mass and at its budget?

    python examples/studies/gaps.py [--output gaps] [--n 2000] [--quick]

The texts are the embedded pair's replies under the dual at .4 and under the base alone; p is computed again at steps drawn
from them. Every rule decides at the same steps.
"""

import argparse
import tempfile
from pathlib import Path

import torch

import kad
from kad.checkpoints import load
from kad.evaluation import Block, Job, Method, Plan, Store, run
from kad.evaluation.methods import methods_of
from kad.evaluation.steps import steps, stored
from kad.plots import pyplot

BUDGETS = (0.1, 0.3, 0.6, 0.9)
RULES = ("dual:0.2", "dual:0.4", *(f"primal:{b}" for b in BUDGETS), "fractional:0.9", "nudging:0.4", "confidence-bet:0.1",
         "cascade-token-v2:0.6", "cascade-token-v3:0.9", "ensemble:0.1")  # fmt: skip
DRAWN = ("dual λ=0.4", "primal b=0.3", "primal b=0.9", "fractional b=0.9", "nudging λ=0.4", "ensemble w=0.1")
LOSSES = (kad.Logistic(), kad.Squared(), kad.Brier(), kad.Perceptron())


def own_mass(found: dict[str, kad.Gap]) -> None:
    """Every rule against the best whole tokens of its own mass, and against the bound for its mass over all steps."""
    print(f"\n{'at its own mass':24}{'mass':>8}{'risk':>9}{'gap':>9}{'max':>9}{'optimal':>9}{'pooled':>9}")
    for name, gap in found.items():
        s = gap.summary()
        own = s["own"]
        print(
            f"{name:24}{s['mass']:8.3f}{s['risk']:9.4f}{own['mean']:9.4f}{own['max']:9.4f}{own['optimal']:9.1%}{s['pooled']:9.4f}"
        )


def budgets(p: torch.Tensor, loss: kad.Loss) -> None:
    """The greedy and the exact optimum for the same budget."""
    print(
        f"\n{type(loss).__name__:14}{'b':>4}{'r*(b)':>9}{'gap':>9}{'median':>9}{'max':>9}{'optimal':>9}{'primal':>9}{'optimum':>9}"
    )
    for b in BUDGETS:
        gap = kad.gaps(p, {"primal": kad.Primal(b)}, loss)["primal"]
        s, t = gap.summary(), gap.summary()["stated"]
        print(f"{'':14}{b:4.1f}{s['risk'] - t['mean']:9.4f}{t['mean']:9.4f}{t['median']:9.4f}{t['max']:9.4f}{t['optimal']:9.1%}"
              f"{s['unfilled']:9.3f}{s['spare']:9.3f}   (the last two: unfilled)")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("gaps"))
    parser.add_argument("--n", type=int, default=2000, help="steps of each method's texts")
    parser.add_argument("--quick", action="store_true", help="few questions and steps: that it runs")
    options = parser.parse_args()
    plan = Plan(("embedded",), (Block((Method("dual", 0.4), Method("p"))),), 8 if options.quick else 400)
    folder = Path(tempfile.mkdtemp()) / "e" if options.quick else options.output
    pair = load({})
    with Store(folder) as store:
        run(Job(plan, pair, batch=400), store)
    for texts in stored(folder, pair)[0]:
        read = steps(pair, texts, 40 if options.quick else options.n)
        print(f"\ntexts of {texts.label}: {len(read.p)} of {read.total} steps; the heaviest token weighs .9 or more at "
              f"{float((read.p.amax(-1) >= 0.9).double().mean()):.0%}")  # fmt: skip
        methods = [m for spec in RULES for m in methods_of(spec)]
        found = kad.gaps(read.p, {m.label: m.target("models") for m in methods}, kad.Logistic(), q=read.q)
        own_mass(found)
        for loss in LOSSES if texts.configuration.method == "dual" else LOSSES[:1]:
            budgets(read.p, loss)
        if texts.configuration.method == "dual":
            panels = kad.plots.gaps({name: found[name] for name in DRAWN})
            panels[0].figure.savefig(folder / "gaps.png", dpi=160)
            pyplot().close(panels[0].figure)
    print(f"\nwritten: {folder}/gaps.png (kad {kad.__version__})")


if __name__ == "__main__":
    main()
