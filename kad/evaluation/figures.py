"""The report's pictures, as SVG: accuracy, its dependence on parameters, acceptance, unfilled budgets, throughput."""

from __future__ import annotations

import io
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ..plots import fresh, literal, pyplot
from .configuration import Configuration
from .doubts import one_model
from .summary import Summary
from .wording import variant, wordings

COLOURS = ["#2171b5", "#d95f02", "#1b9e77", "#7570b3", "#e7298a", "#66a61e", "#a6761d", "#666666"]


def svg(axes: Any) -> str:
    """The figure of some axes, ready to stand in a page; the same bytes for the same numbers."""
    plot = pyplot()
    figure, out = axes.figure, io.StringIO()
    with plot.rc_context({"svg.hashsalt": "kad", "svg.fonttype": "none"}):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    plot.close(figure)
    text = out.getvalue()
    return re.sub(r'(<svg [^>]*?) width="[^"]*" height="[^"]*"', r"\1", text[text.index("<svg") :], count=1)


def settings_in(lines: Sequence[Summary]) -> Callable[[Summary], str]:
    """The settings of a summary in words, told apart from those of all the lines."""
    words = wordings(s.configuration for s in lines)
    return lambda s: variant(s.configuration, words)


def plainest(lines: Sequence[Summary], task: str) -> list[Summary]:
    """A task's configurations, of those that differ in the window alone the smallest: the law is the same."""
    found = dict[Configuration, Summary]()
    for s in sorted((s for s in lines if s.configuration.task == task), key=lambda s: s.configuration.window):
        found.setdefault(replace(s.configuration, window=0), s)
    return list(found.values())


def accuracies(lines: Sequence[Summary], task: str) -> Any:
    """One dot per configuration of a task with its interval, best at the top."""
    found = sorted(plainest(lines, task), key=lambda s: s.accuracy.share)
    setting = settings_in(lines)
    variants = list(dict.fromkeys(setting(s) for s in found))
    axes = fresh(None, (8.0, 1.0 + 0.24 * len(found)))
    for place, s in enumerate(found):
        r, colour = s.accuracy, COLOURS[variants.index(setting(s)) % len(COLOURS)]
        axes.plot([100 * r.low, 100 * r.high], [place, place], color=colour, lw=2, alpha=0.6)
        axes.plot(100 * r.share, place, "o", color=colour, ms=5)
    names = [literal(s.configuration.of.label) + (f"  ({setting(s)})" if len(variants) > 1 else "") for s in found]
    axes.set_yticks(range(len(found)), names, fontsize=8)
    axes.set(xlabel="accuracy in %, 95% interval", xlim=(0, 100))
    axes.grid(axis="x", alpha=0.3)
    return axes


def whiskers(lines: Sequence[Summary]) -> list[list[float]]:
    """How far the intervals reach below and above the accuracies, in points, as matplotlib's error bars want it."""
    rates = [s.accuracy for s in lines]
    return [[100 * (r.share - r.low) for r in rates], [100 * (r.high - r.share) for r in rates]]


def accuracy_by_parameter(lines: Sequence[Summary], task: str) -> Any | None:
    """Accuracy against λ, b, margin, ... of what differs in that alone; None if no method has two values."""
    curves: dict[tuple[str, str], list[Summary]] = defaultdict(list)
    setting = settings_in(lines)
    for s in plainest(lines, task):
        symbol = s.configuration.of.kind.parameter
        if s.configuration.value is not None and symbol:
            curves[f"{s.configuration.method} ({symbol})", setting(s)].append(s)
    several = {label: found for label, found in curves.items() if len(found) > 1}
    if not several:
        return None
    axes = fresh(None)
    axes.set_prop_cycle(color=COLOURS)
    for label, found in several.items():
        found.sort(key=lambda s: s.configuration.value or 0.0)
        x, y = [s.configuration.value for s in found], [100 * s.accuracy.share for s in found]
        axes.errorbar(x, y, whiskers(found), fmt="o-", ms=4, capsize=2, lw=1.3, label=literal(", ".join(label)))
    return legend(axes, xlabel="parameter of the method (λ, b, m, μ, ...)", ylabel="accuracy in %")


def legend(axes: Any, **labels: Any) -> Any:
    """What is said of the axes, and the legend below the picture, where it hides nothing."""
    axes.set(**labels)
    handles, names = axes.get_legend_handles_labels()
    columns = max(1, 72 // (4 + max(map(len, names))))
    width, height = axes.figure.get_size_inches()
    axes.figure.set_size_inches(width, height + 0.22 * -(-len(names) // columns))
    axes.figure.legend(handles, names, frameon=False, fontsize=8, loc="outside lower center", ncols=columns)
    return axes


def acceptance_by_window(lines: Sequence[Summary], task: str) -> Any | None:
    """Share of accepted drafts against the window (the form of the paper's Figure 2); None without drafts."""
    curves: dict[str, list[Summary]] = defaultdict(list)
    words = wordings(s.configuration for s in lines)
    for s in lines:
        c = s.configuration
        if c.task == task and s.acceptance is not None:
            placed = c.heat if c.temperature is None else f"{c.heat} on the {c.placement}"
            curves[", ".join(filter(None, [c.of.label, placed, c.filtered, words[c]]))].append(s)
    if not curves:
        return None
    axes = fresh(None)
    axes.set_prop_cycle(color=COLOURS)
    for label, values in curves.items():
        values.sort(key=lambda s: s.configuration.window)
        windows = [s.configuration.window for s in values]
        axes.plot(windows, [s.acceptance for s in values], "o-", ms=4, lw=1.3, label=literal(label))
    axes.set_xticks(sorted({s.configuration.window for values in curves.values() for s in values}))
    return legend(axes, xlabel="window γ", ylabel="accepted / drafted", ylim=(0, 1.02))


def unfilled_budgets(lines: Sequence[Summary], task: str) -> Any | None:
    """How much of the budget a position leaves (the form of the paper's Figure 4); None without a budget."""
    found = [s for s in plainest(lines, task) if s.unfilled]
    if not found:
        return None
    axes = fresh(None)
    axes.set_prop_cycle(color=COLOURS)
    bins, setting = [i / 40 for i in range(41)], settings_in(lines)
    for s in found:
        left, weights = [max(0.0, u) for u in s.unfilled], [1 / len(s.unfilled)] * len(s.unfilled)
        label = literal(f"{s.configuration.of.label}, {setting(s)}")
        axes.hist(left, bins=bins, weights=weights, histtype="step", lw=1.4, label=label)
    return legend(axes, xlabel="unfilled budget b − α", ylabel="share of positions", yscale="log")


def defers(s: Summary) -> bool:
    """Whether it is a mixture's, of which it is known how much is deferred."""
    return s.where is not None and s.where.mass is not None and not one_model(s.configuration)


def deferral_by_place(lines: Sequence[Summary], task: str) -> Any | None:
    """Where in a text mass is deferred, at its first tokens and by tenths: of each method the setting with the best accuracy."""
    best = dict[str, Summary]()
    for s in plainest(lines, task):
        if defers(s):
            method = s.configuration.method
            best[method] = max(best.get(method, s), s, key=lambda s: s.accuracy.share)
    if not best:
        return None
    setting = settings_in(list(best.values()))
    several = len({setting(s) for s in best.values()}) > 1
    _, (first, tenths) = pyplot().subplots(1, 2, figsize=(7.0, 3.0), sharey=True, layout="constrained")
    for number, s in enumerate(best.values()):
        assert s.where is not None
        label = s.configuration.of.label + (f", {setting(s)}" if several else "")
        for axes, values in ((first, s.where.first), (tenths, s.where.tenths)):
            axes.plot(range(1, len(values) + 1), [float("nan") if v is None else v for v in values], marker="o", ms=3, lw=1.3,
                      color=COLOURS[number % len(COLOURS)], ls="-" if number < len(COLOURS) else "--", label=literal(label))  # fmt: skip
    for axes in (first, tenths):
        fresh(axes).set_ylim(-0.02, 1.02)
        axes.grid(axis="y", alpha=0.3)
    first.set(xlabel="token", ylabel="mean deferred mass α")
    return legend(tenths, xlabel="tenth of the text")


def throughput(lines: Sequence[Summary], task: str) -> Any | None:
    """Accuracy against tokens a second, a colour per method."""
    found = [s for s in lines if s.configuration.task == task]
    if len(found) < 2:
        return None
    axes = fresh(None)
    by_method: dict[str, list[Summary]] = defaultdict(list)
    for s in found:
        by_method[s.configuration.method].append(s)
    for number, (method, values) in enumerate(by_method.items()):
        for s in values:
            axes.plot(
                s.tokens_per_second, 100 * s.accuracy.share, "^" if s.configuration.window else "o", ms=5, ls="none",
                color=COLOURS[number % len(COLOURS)], mfc="none" if number >= len(COLOURS) else None,
                label=literal(method) if s is values[0] else None,
            )  # fmt: skip
    words = "tokens a second on this machine, whole batches (triangles: with speculation)"
    return legend(axes, xlabel=words, ylabel="accuracy in %")


PICTURES = {
    "accuracy": accuracies, "parameters": accuracy_by_parameter, "acceptance": acceptance_by_window,
    "unfilled": unfilled_budgets, "deferral": deferral_by_place, "throughput": throughput,
}  # fmt: skip
