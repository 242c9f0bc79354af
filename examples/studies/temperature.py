"""Where should the temperature enter, and how much of each method's gain is truncation of p's tail?

    python examples/studies/temperature.py [--output temperature] [--n 400] [--quick]

Every method in the three placements, as it is and under one common min-p filter on every model, on the embedded pair.
"""

import argparse
import tempfile
from pathlib import Path

from kad.checkpoints import load_checkpoints
from kad.evaluation import Block, Job, Method, Plan, Store, read, run, summaries
from kad.plots import pyplot

METHODS = (
    Method("p"), Method("q*"), Method("nudging", 0.4), Method("implicit-reward", 1.0), Method("dual", 0.4), Method("primal", 0.9),
    Method("confidence-bet", 0.1), Method("cascade-token-v3", 0.9), Method("p*"),
)  # fmt: skip
PLACEMENTS = ("models", "draws", "mixture")
FILTERS = ((), (("min_p", 0.1),), (("min_p", 0.3),))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("temperature"))
    parser.add_argument("--n", type=int, default=400)
    parser.add_argument("--quick", action="store_true", help="few questions: that it runs")
    options = parser.parse_args()
    plan = Plan(
        ("embedded",), (Block(METHODS, placements=PLACEMENTS, filters=FILTERS),), 8 if options.quick else options.n,
        (0,) if options.quick else (0, 1),
    )  # fmt: skip
    folder = Path(tempfile.mkdtemp()) / "e" if options.quick else options.output
    with Store(folder) as store:
        run(Job(plan, load_checkpoints({}), batch=400), store)
    lines = summaries(*read(folder)[:2])
    kinds = list(dict.fromkeys(s.configuration.filtered for s in lines))
    panels = pyplot().subplots(1, len(kinds), figsize=(9, 4.2), sharey=True, layout="constrained")[1]
    for panel, kind in zip(panels, kinds, strict=True):
        print(f"\n{kind or 'no filter':26}" + "".join(f"T on the {at:<12}" for at in PLACEMENTS))
        for place, method in enumerate(METHODS):
            cells = []
            for number, at in enumerate(PLACEMENTS):
                found = [s for s in lines if s.configuration.of == method and s.configuration.filtered == kind]
                s = next((s for s in found if s.configuration.placement == at), None)
                cells.append("" if s is None else str(s.accuracy))
                if s is not None:
                    colour, y = ("#2171b5", "#d95f02", "#1b9e77")[number], -place + 0.22 * (1 - number)
                    panel.plot([100 * s.accuracy.low, 100 * s.accuracy.high], [y, y], color=colour, alpha=0.6)
                    panel.plot(
                        100 * s.accuracy.share,
                        y,
                        "o",
                        ms=4,
                        color=colour,
                        label=f"T on the {at}" if place == 2 else None,
                    )
            print(f"{method.label:26}" + "".join(f"{cell:<21}" for cell in cells))
        panel.set_title(kind or "no filter", fontsize=11)
        panel.set_xlabel("accuracy in %")
        panel.set_xlim(20, 100)
        panel.set_yticks([-i for i in range(len(METHODS))], [m.label for m in METHODS])
        panel.spines[["top", "right"]].set_visible(False)
    named = panels[0].get_legend_handles_labels()
    panels[0].figure.legend(*named, frameon=False, loc="outside upper center", ncols=len(PLACEMENTS))
    panels[0].figure.savefig(folder / "temperature.png", dpi=160)
    print(f"written: {folder}/temperature.png")


if __name__ == "__main__":
    main()
