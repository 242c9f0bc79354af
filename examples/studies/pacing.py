"""A price that keeps to a budget over every text, against constant ones: how much is deferred where, and what that is worth.

    python examples/studies/pacing.py [--output pacing] [--n 400] [--quick]

The embedded pair. Every rule answers the same problems, a sample each with the row's own seed, γ = 3, temperature .7.
"""

import argparse
import json
import math
import tempfile
from pathlib import Path

import torch

import kad
from kad.demo.problems import held_out
from kad.demo.problems import prompt as asked
from kad.plots import pyplot
from kad.statistics import rate

BUDGETS = (0.05, 0.1, 0.15, 0.2, 0.3)
STEPS = (0.1, 0.3, 1.0, 3.0)
COLOURS = {"dual": "#2171b5", "primal": "#d95f02", "fractional": "#1b9e77", "paced": "#7570b3", "equality": "#e7298a"}


def rules(quick):
    """A name, the rule's family, its budget per text or NaN, and the target."""
    for level in (0.4,) if quick else (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7):
        yield f"dual λ = {level:g}", "dual", math.nan, kad.dual(level)
    for budget in (0.2,) if quick else (0.3, 0.5, 0.7, 0.8, 0.9):
        yield f"primal b = {budget:g}", "primal", budget, kad.primal(budget)
    for budget in (0.2,) if quick else BUDGETS:
        yield f"fractional b = {budget:g}", "fractional", budget, kad.fractional(budget)
    for step in (1.0,) if quick else STEPS:
        for budget in (0.2,) if quick else BUDGETS:
            yield f"paced b = {budget:g}, η = {step:g}", "paced", budget, kad.paced(budget, step)
    for step in (1.0,) if quick else (0.3, 1.0):
        for budget in (0.2,) if quick else BUDGETS:
            yield f"equality b = {budget:g}, η = {step:g}", "equality", budget, kad.paced(budget, step, equality=True)


def answers(pair, problems, target):
    """The trace of a sample for each problem."""
    prompts = [asked(problem) for problem in problems]
    return kad.generate(
        pair.base, pair.proxy, prompts, target=target, tokenizer=pair.tokenizer, window=3, do_sample=True, temperature=0.7,
        max_new_tokens=80, seed=list(range(len(prompts))),
    ).trace  # fmt: skip


def excess(target, trace, row):
    """By how much a text's mean deferral exceeds the budget, and how far S15 lets it lie above and below."""
    length = int(trace.lengths[row])
    alphas, prices = trace.alphas[row, :length].double(), trace.states[row, :length]
    prices = torch.cat([prices, target.follow(prices[-1:], alphas[-1:], trace.ids[row, length - 1 : length])])
    above, below = (
        float(x) / (target.step * length) for x in (prices.max() - target.start, target.start - prices.min())
    )
    return float(alphas.mean()) - target.budget, above, below


def measured(pair, problems, name, family, budget, target):
    """What became of a rule's answers."""
    trace = answers(pair, problems, target)
    texts = pair.tokenizer.batch_decode(trace.emitted, skip_special_tokens=True)
    right = [text.split("####")[-1].split()[:1] == [str(x.answer)] for x, text in zip(problems, texts, strict=True)]
    shares = torch.tensor([float(a[:n].mean()) for a, n in zip(trace.alphas, trace.lengths.tolist(), strict=True)])
    found = {
        "rule": name, "family": family, "budget": budget, "right": right, "mean": float(shares.mean()),
        "deviation": float(shares.std()), "most": float(shares.max()), "accepted": trace.acceptance_rate,
        "tokens": float(trace.lengths.double().mean()),
    }  # fmt: skip
    if family in ("paced", "equality"):
        over = [excess(target, trace, row) for row in range(len(problems))]
        found["kept"] = sum(x <= above + 1e-6 for x, above, _ in over)
        found["from_below"] = sum(x >= -below - 1e-6 for x, _, below in over)
        assert found["kept"] == len(problems), "the bound of S15 is broken"
        assert family == "paced" or found["from_below"] == len(problems), "the bound of S15 (d) is broken"
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("pacing"))
    parser.add_argument("--n", type=int, default=400)
    parser.add_argument("--quick", action="store_true", help="few problems and rules: that it runs")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp()) if options.quick else options.output
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    pair, problems = kad.demo.load(), held_out(6 if options.quick else options.n, "test")
    found = []
    print(f"{'rule':26}{'right':>7}{'α, mean':>9}{'s.d.':>7}{'most':>7}{'accepted':>10}{'kept':>7}{'below':>7}")
    for rule in rules(options.quick):
        x = measured(pair, problems, *rule)
        found.append(x)
        counts = "".join(f"{x.get(name, ''):>7}" for name in ("kept", "from_below"))
        shares = f"{100 * sum(x['right']) / len(problems):6.1f}%{x['mean']:9.3f}{x['deviation']:7.3f}{x['most']:7.3f}"
        print(f"{x['rule']:26}{shares}{x['accepted']:10.2f}{counts}", flush=True)
    (folder / "pacing.json").write_text(json.dumps(found, indent=1))
    draw(found, folder / "pacing.png")
    print(f"written: {folder}/pacing.json, {folder}/pacing.png")


def draw(found, path):
    """Accuracy against the mean deferred share, and how far texts lie apart in it."""
    panels = pyplot().subplots(1, 2, figsize=(9, 4), layout="constrained")[1]
    for family, colour in COLOURS.items():
        own = sorted((x for x in found if x["family"] == family), key=lambda x: x["mean"])
        at, shares = [x["mean"] for x in own], [rate([[own] for own in x["right"]]) for x in own]
        panels[0].vlines(at, [100 * x.low for x in shares], [100 * x.high for x in shares], color=colour, alpha=0.3)
        panels[0].plot(at, [100 * x.share for x in shares], "o", ms=4, color=colour, label=family)
        panels[1].plot(at, [x["deviation"] for x in own], "o", ms=4, color=colour)
    panels[0].set_ylabel("right answers, %")
    panels[1].set_ylabel("standard deviation of α between texts")
    panels[1].set_ylim(bottom=0)
    for panel in panels:
        panel.set_xlabel("mean deferred share α of a text")
        panel.spines[["top", "right"]].set_visible(False)
    named = panels[0].get_legend_handles_labels()
    panels[0].figure.legend(*named, frameon=False, loc="outside upper center", ncols=len(COLOURS))
    panels[0].figure.savefig(path, dpi=160)


if __name__ == "__main__":
    main()
