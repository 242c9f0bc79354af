"""Tables and figures of the demo. Every number in them comes from the runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from ..decoding.colour import LEGEND, coloured
from ..decoding.generate import generate
from ..plots import pyplot
from ..statistics import difference, rate
from ..terminal import Console
from . import Pair
from .evaluate import TEMPERATURE, Method, Plan, Run
from .problems import Problem, prompt

ROWS_OF_MIXTURES = "models", "mixture"
OURS = "dual .4"


def pick(runs: Sequence[Run], **fields: Any) -> list[Run]:
    """The runs whose fields have these values; a callable is asked."""
    return [r for r in runs if all(v(getattr(r, k)) if callable(v) else getattr(r, k) == v for k, v in fields.items())]


def sampled(runs: Sequence[Run], method: str, placement: str, filtered: bool = False) -> list[Run]:
    """The sampled, plainly decoded runs of a method, one per seed; a single model has one placement."""
    found = pick(runs, method=method, window=0, filtered=filtered, seed=lambda s: s is not None)
    return [r for r in found if r.placement == placement] or found


def accuracy_table(runs: Sequence[Run], plan: Plan, filtered: bool = False) -> Table:
    """Accuracy of every method in both placements, sampled and greedy."""
    seeds, n = sorted({r.seed for r in runs if r.seed is not None}), len(runs[0].correct)
    title = (
        f"Accuracy in %: {n} problems x {len(seeds)} sampling seed{'s' * (len(seeds) > 1)}, temperature {TEMPERATURE}"
    )
    title += "\nand one common truncation filter (min-p 0.3 on every model)" if filtered else ""
    table = Table(title=title, title_justify="left")
    table.add_column("method", no_wrap=True)
    table.add_column("T on models\n(paper) [95%]", justify="right", no_wrap=True)
    table.add_column("T on mixture\n[95%]", justify="right", no_wrap=True)
    table.add_column("strict\nformat", justify="right", no_wrap=True)
    if not filtered:
        table.add_column("greedy", justify="right", no_wrap=True)
    for method in methods_of(plan):
        cells = [rate([r.correct for r in sampled(runs, method.name, at, filtered)]) for at in ROWS_OF_MIXTURES]
        strict = rate([r.strict for r in sampled(runs, method.name, "mixture", filtered)])
        greedy = pick(runs, method=method.name, seed=None, window=0)
        row = [method.name, str(cells[0]), "same" if method.single else str(cells[1]), f"{100 * strict.share:.1f}"]
        if not filtered:
            row.append(f"{100 * sum(greedy[0].correct) / n:.1f}" if greedy else "")
        table.add_row(*row, style="bold" if method.name == OURS else None)
    return table


def comparison_lines(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """dual .4 against the others, paired by problem."""
    out = []
    for other in ("p (large base)", "q* (small aligned)", "nudging .4", "implicit reward"):
        for at in ROWS_OF_MIXTURES:
            ours, theirs = sampled(runs, OURS, at), sampled(runs, other, at)
            mean, error = difference([r.correct for r in ours], [r.correct for r in theirs])
            out.append({"against": other, "placement": at, "difference": mean, "standard_error": error,
                        "standard_errors": mean / error if error else float("inf")})  # fmt: skip
    return out


def comparison_table(lines: Sequence[dict[str, Any]]) -> Table:
    table = Table(title=f"{OURS} minus the others, in points (paired by problem)", title_justify="left")
    table.add_column("against")
    for at in ROWS_OF_MIXTURES:
        table.add_column(f"T on the {at}", justify="right")
    for other in dict.fromkeys(line["against"] for line in lines):
        cells = [
            f"{100 * line['difference']:+.1f} ± {100 * line['standard_error']:.1f} ({line['standard_errors']:+.1f} s.e.)"
            for line in lines if line["against"] == other
        ]  # fmt: skip
        table.add_row(other, *cells)
    return table


def acceptance_table(runs: Sequence[Run], plan: Plan) -> Table:
    """Deferred mass and speculative acceptance of q* drafts, temperature on the models."""
    windows = sorted({r.window for r in runs if r.window})
    title = "Speculation with q* as the drafter, temperature on the models:\naccepted/drafted, tokens per base pass"
    table = Table(title=title, title_justify="left")
    table.add_column("method", no_wrap=True)
    table.add_column("deferred\nmass α", justify="right", no_wrap=True)
    for w in windows:
        table.add_column(f"γ = {w}", justify="right", no_wrap=True)
    for method in methods_of(plan):
        cells = [pick(runs, method=method.name, window=w) for w in windows]
        if not all(cells):
            continue
        alpha = sampled(runs, method.name, "models")[0].totals["deferral_rate"]
        totals = [cell[0].totals for cell in cells]
        table.add_row(
            method.name, "-" if alpha is None else f"{alpha:.2f}",
            *(f"{t['acceptance_rate']:.2f}, {t['tokens_per_base_pass']:.2f}" for t in totals),
            style="bold" if method.name == OURS else None,
        )  # fmt: skip
    return table


def methods_of(plan: Plan) -> list[Method]:
    return list({method.name: method for method, _ in plan.runs}.values())


def examples(pair: Pair, problems: Sequence[Problem]) -> Group:
    """Worked examples with dual .4 (window 0, so that a token's colour is the draw that made it)."""
    from .evaluate import METHODS

    method = next(m for m in METHODS if m.name == OURS)
    out = generate(
        pair.base, pair.proxy, [prompt(p) for p in problems], target=method.make(pair, "models"), window=0, seed=0,
        tokenizer=pair.tokenizer, do_sample=True, temperature=TEMPERATURE, max_new_tokens=72,
    )  # fmt: skip
    lines: list[Text] = []
    for i, problem in enumerate(problems):
        lines += [Text(problem.text, "dim"), Text("  ") + coloured(out.trace, pair.tokenizer, i), Text("")]
    return Group(Text.assemble("Worked examples: ", LEGEND), Text(""), *lines)


CAVEATS = (
    "What this shows: the base knows arithmetic and the proxy knows the format; the mixture does what neither does "
    "alone, and the proxy's drafts are good proposals for it. What it does not show: scale. The models have 0.8 and 0.1 "
    "million parameters, the problems come from a template, and what the proxy supplies is shallow (how to begin, how "
    "to end). Part of the lead over nudging and implicit reward is truncation of p's tail: `kad demo --full` repeats "
    "every method under one common truncation filter. Answers: the first number after ####, else the last number; "
    "'strict format' wants the aligned form throughout. Intervals: Wilson, with the problem as the unit of sampling."
)


def show(console: Console, pair: Pair, problems: Sequence[Problem], runs: Sequence[Run], plan: Plan) -> None:
    """Print everything."""
    console.print(accuracy_table(runs, plan))
    console.print(comparison_table(comparison_lines(runs)))
    if pick(runs, filtered=True):
        console.print(accuracy_table(runs, plan, filtered=True))
    console.print(acceptance_table(runs, plan))
    console.print(examples(pair, problems[:3]))
    console.print(CAVEATS, style="dim")


def figures(runs: Sequence[Run], plan: Plan, folder: Path) -> None:
    """``accuracy.png`` and ``acceptance.png``."""
    plot = pyplot()

    colours = {"models": "#9ecae1", "mixture": "#2171b5"}
    methods = methods_of(plan)
    figure, axes = plot.subplots(figsize=(8, 0.42 * len(methods) + 1.4), layout="constrained")
    for i, method in enumerate(reversed(methods)):
        for at, offset in (("models", 0.19), ("mixture", -0.19)):
            r = rate([one.correct for one in sampled(runs, method.name, at)])
            alone = method.single
            if alone and at == "mixture":
                continue
            axes.barh(
                i + (0 if alone else offset), 100 * r.share, 0.36, color="#bdbdbd" if alone else colours[at],
                xerr=[[100 * (r.share - r.low)], [100 * (r.high - r.share)]], error_kw={"lw": 1, "capsize": 2},
            )  # fmt: skip
    axes.set_yticks(range(len(methods)), [m.name for m in reversed(methods)])
    axes.set_xlim(0, 100)
    seeds = {r.seed for r in runs if r.seed is not None}
    axes.set_xlabel(
        f"accuracy in %, {len(runs[0].correct)} held-out problems, {len(seeds)} seeds, T = {TEMPERATURE} (bars: 95%)"
    )
    axes.spines[["top", "right"]].set_visible(False)
    labels = {"models": "temperature on the models (paper)", "mixture": "temperature on the mixture"}
    handles = [plot.Rectangle((0, 0), 1, 1, color=colours[at]) for at in labels]
    handles.append(plot.Rectangle((0, 0), 1, 1, color="#bdbdbd"))
    figure.legend(
        handles, [*labels.values(), "one model alone"], loc="outside upper center", ncols=3, frameon=False, fontsize=9
    )
    figure.savefig(folder / "accuracy.png", dpi=150)
    plot.close(figure)

    windows = sorted({r.window for r in runs if r.window})
    figure, axes = plot.subplots(figsize=(7.5, 4.2), layout="constrained")
    for method in methods:
        points = [pick(runs, method=method.name, window=w) for w in windows]
        if all(points):
            axes.plot(windows, [p[0].totals["acceptance_rate"] for p in points], marker="o", label=method.name,
                      lw=2.5 if method.name == OURS else 1.2)  # fmt: skip
    axes.set_xticks(windows)
    axes.set_xlabel("window γ (drafts a round)")
    axes.set_ylabel("accepted / drafted")
    axes.set_ylim(0, 1)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right center", frameon=False, fontsize=9)
    figure.savefig(folder / "acceptance.png", dpi=150)
    plot.close(figure)
