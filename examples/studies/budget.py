"""What happens to the budget that the greedy leaves, and what does filling it do to accuracy?

    python examples/studies/budget.py [--output budget] [--n 400] [--quick]

Primal, fractional and dual over their whole range on the embedded pair: accuracy against the budget and against the mass
that was in fact deferred, and how much of the budget each position left.
"""

import argparse
import tempfile
from pathlib import Path

import kad
from kad.checkpoints import load_checkpoints
from kad.evaluation import Block, Job, Method, Plan, Store, figures, read, run, summaries
from kad.plots import pyplot

VALUES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
COLOURS = {"primal": "#2171b5", "fractional": "#d95f02", "dual": "#1b9e77"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("budget"))
    parser.add_argument("--n", type=int, default=400)
    parser.add_argument("--quick", action="store_true", help="few questions and budgets: that it runs")
    options = parser.parse_args()
    values = (0.3, 0.9) if options.quick else VALUES
    methods = tuple(Method(name, value) for name in COLOURS for value in values)
    plan = Plan(("embedded",), (Block(methods),), 8 if options.quick else options.n, (0,) if options.quick else (0, 1))
    folder = Path(tempfile.mkdtemp()) / "e" if options.quick else options.output
    with Store(folder) as store:
        run(Job(plan, load_checkpoints({}), batch=400), store)
    lines = summaries(*read(folder)[:2])
    print(f"{'method':18}{'accuracy':>18}{'deferred':>10}{'unfilled':>10}{'over half unfilled':>20}")
    for s in lines:
        left = s.as_dict()["unfilled_median"]
        half = "" if left is None else f"{sum(u > s.configuration.value / 2 for u in s.unfilled) / len(s.unfilled):.0%}"
        print(
            f"{s.configuration.of.label:18}{s.accuracy!s:>18}{s.deferred:10.3f}{'' if left is None else f'{left:.3f}':>10}{half:>20}"
        )
    panels = pyplot().subplots(1, 2, figsize=(10, 4), layout="constrained")[1]
    for name, colour in COLOURS.items():
        found = sorted((s for s in lines if s.configuration.method == name), key=lambda s: s.configuration.value)
        shares = [100 * s.accuracy.share for s in found]
        for panel, x in zip(panels, ([s.configuration.value for s in found], [s.deferred for s in found]), strict=True):
            panel.errorbar(x, shares, figures.whiskers(found), fmt="o-", ms=4, capsize=2, color=colour, label=name)
    for panel, title in zip(panels, ("budget b, or threshold λ of the dual", "mean deferred mass α"), strict=True):
        panel.set_xlabel(title)
        panel.set_ylabel("accuracy in %")
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].legend(frameon=False, loc="center", bbox_to_anchor=(0.75, 0.38))
    panels[0].figure.savefig(folder / "accuracy.png", dpi=160)
    shown = [s for s in lines if s.configuration.value in (0.3, 0.6, 0.9)]
    figures.unfilled_budgets(shown, "embedded").figure.savefig(folder / "unfilled.png", dpi=160)
    print(f"written: {folder}/accuracy.png, unfilled.png (kad {kad.__version__})")


if __name__ == "__main__":
    main()
