"""How much of a text does a good mixture defer? Gain over the better of p and q* against the share deferred, on many pairs.

    python examples/studies/deferral.py [--output deferral] [--n 200] [--shipped] [--quick]

The pairs are the embedded one, which is asked with more methods, and others of it: the proxies of proxies.py, trained here (about
six minutes on one core), under p, p after a few aligned examples, and p aligned itself.
"""

import argparse
import itertools
import json
import tempfile
from pathlib import Path

import torch
from proxies import BATCHES, aligned, proxies

import kad
from kad.checkpoints import Checkpoints
from kad.evaluation import Block, Job, Method, Plan, Store, read, run, summaries
from kad.evaluation.doubts import blind
from kad.evaluation.methods import methods_of
from kad.plots import pyplot

METHODS = "p q* dual:0.05,0.1,0.2,0.4,0.6,0.8,0.95 primal:0.3,0.6,0.9 fractional:0.05,0.1,0.3,0.6 nudging:0.2,0.4,0.7 confidence-bet:0,0.1,0.3"
MORE = "cascade-opt:0.05,0.1,0.3 cascade-diff:0,0.1,0.3 cascade-token-v2:0.3,0.6 cascade-token-v3:0.5,0.9 ensemble:0.1,0.2,0.3,0.5"
COLOURS = {
    "dual": "#2171b5", "primal": "#d95f02", "fractional": "#1b9e77", "nudging": "#7570b3",
    "confidence-bet": "#e7298a", "": "#666666",
}  # fmt: skip
SHIPPED = "q* as it is shipped"
SHARES = (0, 0.01, 0.03, 0.06, 0.1, 0.25, 1)
FEW = 25  # batches of aligned examples after which p is half aligned


def pairs(pair: kad.demo.Quartet, quick: bool, shipped: bool):
    """Names of a base and a proxy, and both: the embedded pair, every proxy under p, and three of them under other bases."""
    yield "p", SHIPPED, pair.base, pair.proxy
    if shipped or quick:  # training is tried by proxies.py
        return
    made = dict(proxies(pair, 1400, BATCHES))
    for name, proxy in made.items():
        yield "p", name, pair.base, proxy
    few = {name: made[name] for name in list(made)[2:6:3] + list(made)[-1:]}
    others = {"p, 400 examples": aligned(pair.base, pair.tokenizer, FEW)}
    others["p*"] = made["p itself, all examples"]
    for base_name, base in others.items():
        for name, proxy in few.items():
            yield base_name, name, base, proxy


def points(lines, rows, names):
    """For every mixture: its pair and method, the share deferred by mass and by origin, its gain, and its standard error."""
    by_key = {}
    for row in rows:
        by_key.setdefault(row["key"], {})[row["item"], row["seed"]] = row
    for base_mark, proxy_mark in names:
        own = [s for s in lines if dict(s.configuration.models)["proxy"] == proxy_mark]
        alone = max(
            (s for s in own if (s.configuration.method == "p" and dict(s.configuration.models)["base"] == base_mark)
             or s.configuration.method == "q*"), key=lambda s: s.accuracy.share,
        )  # fmt: skip
        for s in own:
            if s.configuration.method in ("p", "q*") or dict(s.configuration.models)["base"] != base_mark:
                continue
            ours, theirs = by_key[s.configuration.key], by_key[alone.configuration.key]
            gains = torch.tensor([float(ours[k]["correct"]) - float(theirs[k]["correct"]) for k in ours])
            origins = "".join(row["origins"] for row in ours.values())
            yield {
                "base": names[base_mark, proxy_mark][0], "proxy": names[base_mark, proxy_mark][1], "method": s.configuration.method,
                "label": s.configuration.of.label, "blind": blind(s.configuration), "mass": s.deferred, "origin": origins.count("q") / len(origins),
                "accuracy": s.accuracy.share, "alone": alone.accuracy.share, "gain": float(gains.mean()),
                "error": float(gains.std() / len(gains) ** 0.5),
            }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("deferral"))
    parser.add_argument("--n", type=int, default=200)
    parser.add_argument("--shipped", action="store_true", help="the embedded pair alone: nothing is trained")
    parser.add_argument("--quick", action="store_true", help="the embedded pair, four questions: that it runs")
    options = parser.parse_args()
    torch.set_num_threads(1)
    pair, names = kad.demo.load(), {}
    folder = Path(tempfile.mkdtemp()) / "e" if options.quick else options.output
    with Store(folder) as store:
        for base_name, name, base, proxy in pairs(pair, options.quick, options.shipped):
            specs = "p q* dual:0.4" if options.quick else f"{METHODS} {MORE}" if name == SHIPPED else METHODS
            methods: tuple[Method, ...] = tuple(m for spec in specs.split() for m in methods_of(spec))
            plan = Plan(("embedded",), (Block(methods),), 4 if options.quick else options.n)
            job = Job(plan, Checkpoints({"base": base, "proxy": proxy}, pair.tokenizer), batch=400)
            marks = dict(job.marks)
            names[marks["base"], marks["proxy"]] = base_name, name
            run(job, store)
            print(f"{base_name} with {name}", flush=True)
    configurations, rows, _ = read(folder)
    found = list(points(summaries(configurations, rows), rows, names))
    (folder / "points.json").write_text(json.dumps(found, indent=1))
    table(found)
    draw(found, folder / "deferral.png")
    print(f"written: {folder}/points.json, {folder}/deferral.png")


def table(found) -> None:
    """Gains by the share deferred, for rules that look at p alone and for those that look at q* too; in points."""
    for sort, alone in (("p alone", True), ("p and q*", False)):
        for low, high in itertools.pairwise(SHARES):
            own = sorted(
                (100 * x["gain"], 100 * x["error"]) for x in found if x["blind"] == alone and low <= x["mass"] < high
            )
            if own:
                gained, (most, error) = sum(gain >= 5 for gain, _ in own), own[-1]
                print(
                    f"| {sort} | {low} to {high} | {len(own)} | {own[len(own) // 2][0]:+.1f} | {gained} | {most:+.1f} ± {error:.1f} |"
                )


def draw(found, path: Path) -> None:
    """Gain against the share deferred, a colour a method; hollow where the base is not p."""
    axes = pyplot().subplots(figsize=(8, 4.2), layout="constrained")[1]
    for method, colour in COLOURS.items():
        for inside in (True, False):
            own = [
                x
                for x in found
                if (x["method"] == method or (not method and x["method"] not in COLOURS))
                and (x["base"] == "p") == inside
            ]
            axes.plot([x["mass"] for x in own], [100 * x["gain"] for x in own], "o", ms=4, color=colour,
                      mfc=colour if inside else "none", label=(method or "cascades, ensemble") if inside else None)  # fmt: skip
    axes.axhline(0, color="#666", lw=0.8)
    axes.set_xlabel("share deferred, mean α over all positions (hollow: another base than p)")
    axes.set_ylabel("gain over the better of p and q*, points")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    axes.figure.savefig(path, dpi=160)


if __name__ == "__main__":
    main()
