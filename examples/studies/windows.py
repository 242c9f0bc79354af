"""Acceptance, tokens per pass and throughput up to γ = 15.

    python examples/studies/windows.py [--output windows] [--n 400] [--quick]

On the embedded pair passes cost next to nothing, so tokens a second say little about large models; with the shares of
accepted drafts, S10 says what a window would bring where a proxy pass costs c of a base pass.
"""

import argparse
import tempfile
from pathlib import Path

from kad.checkpoints import load_checkpoints
from kad.evaluation import Block, Job, Method, Plan, Store, read, run, summaries
from kad.plots import pyplot

WINDOWS = (0, 1, 2, 3, 5, 7, 10, 15)
METHODS = (Method("dual", 0.4), Method("dual", 0.3), Method("primal", 0.9), Method("nudging", 0.4), Method("p"))
COSTS = (0.05, 0.1, 0.2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("windows"))
    parser.add_argument("--n", type=int, default=400)
    parser.add_argument("--quick", action="store_true", help="few questions and windows: that it runs")
    options = parser.parse_args()
    windows = (0, 3) if options.quick else WINDOWS
    plan = Plan(("embedded",), (Block(METHODS, windows=windows),), 8 if options.quick else options.n, (0,))
    folder = Path(tempfile.mkdtemp()) / "e" if options.quick else options.output
    with Store(folder) as store:
        run(Job(plan, load_checkpoints({}), batch=400), store)
    lines = summaries(*read(folder)[:2])
    panels = pyplot().subplots(1, 3, figsize=(9, 3.6), layout="constrained")[1]
    for method in METHODS:
        found = {s.configuration.window: s for s in lines if s.configuration.of == method}
        print(f"\n{method.label:14}" + "".join(f"{f'γ {w}':>8}" for w in windows))
        print(f"{'accuracy':14}" + "".join(f"{100 * found[w].accuracy.share:8.1f}" for w in windows))
        print(f"{'accepted':14}" + "".join(f"{found[w].acceptance or 0:8.2f}" for w in windows))
        print(f"{'tokens a pass':14}" + "".join(f"{found[w].tokens_per_pass:8.2f}" for w in windows))
        # A row's tokens per unit of time, a pass of the base being one; at γ = 0 the proxy runs for a share α of the tokens.
        alpha = found[0].deferred
        for cost in COSTS:
            speed = [found[w].tokens_per_pass / (1 + cost * (w or alpha)) * (1 + cost * alpha) for w in windows]
            print(f"{f'speed, c {cost:g}':14}" + "".join(f"{x:8.2f}" for x in speed))
            if cost == COSTS[1]:
                panels[2].plot(windows, speed, "o-", ms=4, label=method.label)
        panels[0].plot(windows[1:], [found[w].acceptance for w in windows[1:]], "o-", ms=4, label=method.label)
        panels[1].plot(windows, [found[w].tokens_per_pass for w in windows], "o-", ms=4, label=method.label)
    for panel, title in zip(
        panels, ("accepted / drafted", "tokens per base pass", f"times as fast as γ = 0, c = {COSTS[1]}"), strict=True
    ):
        panel.set_xlabel("window γ")
        panel.set_xticks([w for w in windows if w != 2], [str(w) for w in windows if w != 2])
        panel.set_ylabel(title)
        panel.set_ylim(bottom=0)
        panel.spines[["top", "right"]].set_visible(False)
    named = panels[0].get_legend_handles_labels()
    panels[0].figure.legend(*named, frameon=False, loc="outside upper center", ncols=len(METHODS))
    panels[0].figure.savefig(folder / "windows.png", dpi=160)
    print(f"written: {folder}/windows.png")


if __name__ == "__main__":
    main()
