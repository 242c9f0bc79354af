"""How capable must q* be? Proxies aligned with less and more data, and of other sizes, under the same base.

    python examples/studies/proxies.py [--output proxies] [--n 400] [--quick]

Every proxy is trained here with the recipe of the embedded pair (about six minutes on one core).
"""

import argparse
import copy
import tempfile
from pathlib import Path

import torch

import kad
from kad.checkpoints import Checkpoints
from kad.demo import train
from kad.demo.pages import pages
from kad.evaluation import Block, Job, Method, Plan, Store, figures, read, run, summaries
from kad.plots import pyplot

BATCHES = (0, 5, 25, 80, 312, 624)  # of 16 aligned examples; 312 are all of them once
SIZES = {"16x1": (16, 1, 1), "32x2": (32, 2, 2)}


def aligned(model, tokenizer, batches: int):
    """The model after so many batches of aligned examples."""
    model = copy.deepcopy(model).float()
    if batches:
        epochs = 1 + batches // 313
        train.fit(model, train.aligned_batches(tokenizer, 1, epochs), batches, 2e-3, 20, lambda done, total: None)
    return model.eval()


def proxies(pair: kad.demo.Quartet, steps: int, amounts: tuple[int, ...]):
    """Names and models: q with more and more aligned data, then other sizes with all of it."""
    for batches in amounts:
        yield f"q, {16 * batches} examples", aligned(pair.proxy_base, pair.tokenizer, batches)
    for name, shape in SIZES.items():
        train.SHAPES[name] = shape
        model = train.new_model(name, pair.tokenizer, 1)
        train.fit(model, train.packed(pair.tokenizer, pages(seed=1)), steps, 4e-3, 100, lambda done, total: None)
        yield f"{name}, all examples", aligned(model, pair.tokenizer, amounts[-1])
    yield "p itself, all examples", aligned(pair.base, pair.tokenizer, amounts[-1])


def draw(names, series, amounts: int):
    """A dot a proxy; lines join the first ones, which are one model after more and more examples, and no others."""
    axes = pyplot().subplots(figsize=(8, 4.6), layout="constrained")[1]
    for label, (shares, whiskers) in series.items():
        dots = axes.errorbar(range(len(names)), shares, whiskers, fmt="o", capsize=2, ms=4, label=label)
        joined = range(amounts), shares[:amounts]
        axes.plot(*joined, "--" if label == "p" else "-", color=dots.lines[0].get_color(), lw=1.3)
    axes.axvline(amounts - 0.5, color="#8a8a8a", lw=0.8, ls=":")
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right", fontsize=9)
    axes.set_ylabel("accuracy in %")
    axes.spines[["top", "right"]].set_visible(False)
    axes.figure.legend(frameon=False, fontsize=9, loc="outside upper center", ncols=len(series))
    return axes.figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("proxies"))
    parser.add_argument("--n", type=int, default=400)
    parser.add_argument("--quick", action="store_true", help="two proxies, hardly trained: that it runs")
    options = parser.parse_args()
    torch.set_num_threads(1)
    pair, names = kad.demo.load(), dict[str, str]()
    methods = tuple(
        Method(m, v) for m, v in (("q*", None), ("dual", 0.4), ("nudging", 0.4), ("confidence-bet", 0.1), ("p", None))
    )
    plan = Plan(("embedded",), (Block(methods),), 8 if options.quick else options.n, (0,) if options.quick else (0, 1))
    amounts = (0, 2) if options.quick else BATCHES
    folder = Path(tempfile.mkdtemp()) / "e" if options.quick else options.output
    with Store(folder) as store:
        for name, proxy in proxies(pair, 5 if options.quick else 1400, amounts):
            job = Job(plan, Checkpoints({"base": pair.base, "proxy": proxy}, pair.tokenizer), batch=400)
            names[dict(job.marks)["proxy"]] = name
            run(job, store)
    lines = summaries(*read(folder)[:2])
    table = {
        name: {s.configuration.of.label: s for s in lines if dict(s.configuration.models)["proxy"] == mark}
        for mark, name in names.items()
    }
    shown = [m.label for m in methods]
    print(f"{'proxy':26}" + "".join(f"{label:>22}" for label in shown))
    for name, row in table.items():
        print(f"{name:26}" + "".join(f"{row[label].accuracy!s:>22}" for label in shown))
    series = {
        label: (
            [100 * row[label].accuracy.share for row in table.values()],
            figures.whiskers([row[label] for row in table.values()]),
        )
        for label in shown
    }
    draw(list(table), series, len(amounts)).savefig(folder / "proxies.png", dpi=160)
    print(f"written: {folder}/proxies.png")


if __name__ == "__main__":
    main()
