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
from kad.checkpoints import load_checkpoints
from kad.evaluation import Block, Job, Method, Plan, Store, run
from kad.evaluation.methods import methods_of
from kad.evaluation.steps import steps, stored
from kad.plots import pyplot

TIME = 10  # seconds of Exact for a step: more than any needs, on any machine
BUDGETS = (0.1, 0.3, 0.6, 0.9)
RULES = ("dual:0.2", "dual:0.4", *(f"primal:{b}" for b in BUDGETS), "fractional:0.9", "nudging:0.4", "confidence-bet:0.1",
         "cascade-token-v2:0.6", "cascade-token-v3:0.9", "ensemble:0.1")  # fmt: skip
DRAWN = ("dual λ=0.4", "primal b=0.3", "primal b=0.9", "fractional b=0.9", "nudging λ=0.4", "ensemble w=0.1")
LOSSES = (kad.Logistic(), kad.Squared(), kad.Brier(), kad.Perceptron())


def shown(*numbers: float) -> str:
    return "".join(f"{round(x, 4) + 0.0:9.4f}" for x in numbers)


def own_mass(found: dict[str, kad.Gap]) -> None:
    """Every rule against the best whole tokens of its own mass, and against the bound for its mass over all steps."""
    print(f"\n{'at its own mass':24}{'mass':>9}{'risk':>9}{'gap':>9}{'max':>9}{'pooled':>9}{'optimal':>9}")
    for name, gap in found.items():
        s = gap.summary()
        own = s["own"]
        print(f"{name:24}{shown(s['mass'], s['risk'], own['mean'], own['max'], s['pooled'])}{own['optimal']:9.1%}")


def budgets(p: torch.Tensor, loss: kad.Loss) -> None:
    """The greedy and the exact optimum for the same budget, and what each leaves of it."""
    print(
        f"\n{type(loss).__name__:14}{'b':>4}{'r*(b)':>9}{'gap':>9}{'median':>9}{'max':>9}{'left':>9}{'by r*':>9}{'optimal':>9}{'late':>6}"
    )
    for b in BUDGETS:
        s = kad.gaps(p, {"primal": kad.Primal(b)}, loss, time_limit=TIME)["primal"].summary()
        at = s["stated"]
        numbers = shown(s["risk"] - at["mean"], at["mean"], at["median"], at["max"], s["unfilled"], s["spare"])
        print(f"{'':14}{b:4.1f}{numbers}{at['optimal']:9.1%}{s['late']:6d}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("gaps"))
    parser.add_argument("--n", type=int, default=2000, help="steps of each method's texts")
    parser.add_argument("--quick", action="store_true", help="few questions and steps: that it runs")
    options = parser.parse_args()
    plan = Plan(("embedded",), (Block((Method("dual", 0.4), Method("p"))),), 4 if options.quick else 400)
    folder = Path(tempfile.mkdtemp()) / "e" if options.quick else options.output
    pair = load_checkpoints({})
    with Store(folder) as store:
        run(Job(plan, pair, batch=400), store)
    for texts in stored(folder, pair)[0]:
        read = steps(pair, texts, 12 if options.quick else options.n)
        print(f"\ntexts of {texts.label}: {len(read.p)} of {read.total} steps; the heaviest token weighs .9 or more at "
              f"{float((read.p.amax(-1) >= 0.9).double().mean()):.0%}")  # fmt: skip
        methods = [m for spec in RULES for m in methods_of(spec)]
        rules = {m.label: m.target("models") for m in methods}
        rules |= {f"exact b={b}": kad.Mixture(kad.Logistic(), kad.Exact(b, time_limit=TIME)) for b in (0.3, 0.9)}
        found = kad.gaps(read.p, rules, kad.Logistic(), q=read.q, time_limit=TIME)
        own_mass(found)
        print(f"steps at which Exact ran out of time: {sum(gap.summary()['late'] for gap in found.values())}")
        for loss in LOSSES if texts.configuration.method == "dual" else LOSSES[:1]:
            budgets(read.p, loss)
        if texts.configuration.method == "dual":
            panels = kad.plots.optimality_gaps({name: found[name] for name in DRAWN})
            panels[0].figure.savefig(folder / "gaps.png", dpi=160)
            pyplot().close(panels[0].figure)
    print(f"\nwritten: {folder}/gaps.png (kad {kad.__version__})")


if __name__ == "__main__":
    main()
