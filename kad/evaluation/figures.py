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


def said(lines: Sequence[Summary]) -> Callable[[Summary], str]:
    """The settings of a summary in words, told apart from those of all the lines."""
    words = wordings(s.configuration for s in lines)
    return lambda s: variant(s.configuration, words)


def plainest(lines: Sequence[Summary], task: str) -> list[Summary]:
    """A task's configurations, of those that differ in the window alone the smallest: the law is the same."""
    found = dict[Configuration, Summary]()
    for s in sorted((s for s in lines if s.configuration.task == task), key=lambda s: s.configuration.window):
        found.setdefault(replace(s.configuration, window=0), s)
    return list(found.values())


def accuracy(lines: Sequence[Summary], task: str) -> Any:
    """One dot per configuration of a task with its interval, best at the top."""
    found = sorted(plainest(lines, task), key=lambda s: s.accuracy.share)
    setting = said(lines)
    variants = list(dict.fromkeys(setting(s) for s in found))
    axes = fresh(None, (8.0, 1.0 + 0.24 * len(found)))
    for place, s in enumerate(found):
        r, colour = s.accuracy, COLOURS[variants.index(setting(s)) % len(COLOURS)]
        axes.plot([100 * r.low, 100 * r.high], [place, place], color=colour, lw=2, alpha=0.6)
        axes.plot(100 * r.share, place, "o", color=colour, ms=5)
    names = [literal(s.configuration.of.label) + (f"  ({setting(s)})" if len(variants) > 1 else "") for s in found]
    axes.set_yticks(range(len(found)), names, fontsize=8)
    axes.set_xlabel("accuracy in %, 95% interval")
    axes.set_xlim(0, 100)
    axes.grid(axis="x", alpha=0.3)
    return axes


def series(lines: Sequence[Summary], task: str) -> dict[tuple[str, str], list[Summary]]:
    """Configurations that differ in the parameter alone, if there are several values."""
    found: dict[tuple[str, str], list[Summary]] = defaultdict(list)
    setting = said(lines)
    for s in plainest(lines, task):
        c = s.configuration
        if c.value is not None and c.of.kind.parameter:
            found[c.method, setting(s)].append(s)
    return {
        key: sorted(values, key=lambda s: s.configuration.value or 0.0)
        for key, values in found.items()
        if len(values) > 1
    }


def whiskers(lines: Sequence[Summary]) -> list[list[float]]:
    """How far the intervals reach below and above the accuracies, in points, as matplotlib's error bars want it."""
    rates = [s.accuracy for s in lines]
    return [[100 * (r.share - r.low) for r in rates], [100 * (r.high - r.share) for r in rates]]


def parameters(lines: Sequence[Summary], task: str) -> Any | None:
    """Accuracy against λ, b, margin, ...; None if no method has two values."""
    curves = series(lines, task)
    if not curves:
        return None
    axes = fresh(None)
    for number, ((method, kind), values) in enumerate(curves.items()):
        x = [s.configuration.value for s in values]
        y = [100 * s.accuracy.share for s in values]
        symbol = values[0].configuration.of.kind.parameter
        axes.errorbar(x, y, whiskers(values), fmt="o-", ms=4, capsize=2, lw=1.3, color=COLOURS[number % len(COLOURS)],
                      label=literal(f"{method} ({symbol}), {kind}"))  # fmt: skip
    axes.set_xlabel("parameter of the method (λ, b, m, μ, ...)")
    axes.set_ylabel("accuracy in %")
    legend(axes)
    return axes


def legend(axes: Any) -> None:
    """Below the picture, where it hides nothing."""
    handles, labels = axes.get_legend_handles_labels()
    columns = max(1, 72 // (4 + max(map(len, labels))))
    width, height = axes.figure.get_size_inches()
    axes.figure.set_size_inches(width, height + 0.22 * -(-len(labels) // columns))
    axes.figure.legend(handles, labels, frameon=False, fontsize=8, loc="outside lower center", ncols=columns)


def acceptance(lines: Sequence[Summary], task: str) -> Any | None:
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
    for number, (label, values) in enumerate(curves.items()):
        values.sort(key=lambda s: s.configuration.window)
        axes.plot([s.configuration.window for s in values], [s.acceptance for s in values], "o-", ms=4, lw=1.3,
                  color=COLOURS[number % len(COLOURS)], label=literal(label))  # fmt: skip
    axes.set_xlabel("window γ")
    axes.set_ylabel("accepted / drafted")
    axes.set_ylim(0, 1.02)
    axes.set_xticks(sorted({s.configuration.window for values in curves.values() for s in values}))
    legend(axes)
    return axes


def unfilled(lines: Sequence[Summary], task: str) -> Any | None:
    """How much of the budget a position leaves (the form of the paper's Figure 4); None without a budget."""
    found = [s for s in plainest(lines, task) if s.unfilled]
    if not found:
        return None
    axes = fresh(None)
    bins, setting = [i / 40 for i in range(41)], said(lines)
    for number, s in enumerate(found):
        weights = [1 / len(s.unfilled)] * len(s.unfilled)
        axes.hist([max(0.0, u) for u in s.unfilled], bins=bins, weights=weights, histtype="step", lw=1.4,
                  color=COLOURS[number % len(COLOURS)],
                  label=literal(f"{s.configuration.of.label}, {setting(s)}"))  # fmt: skip
    axes.set_xlabel("unfilled budget b − α")
    axes.set_ylabel("share of positions")
    axes.set_yscale("log")
    legend(axes)
    return axes


def deferral(lines: Sequence[Summary], task: str) -> Any | None:
    """Where in a text mass is deferred, at its first tokens and by tenths: of each method the setting with the best accuracy."""
    best = dict[str, Summary]()
    for s in plainest(lines, task):
        c = s.configuration
        if s.where is not None and s.where.mass is not None and not one_model(c):
            best[c.method] = max(best.get(c.method, s), s, key=lambda s: s.accuracy.share)
    if not best:
        return None
    setting = said(list(best.values()))
    several = len({setting(s) for s in best.values()}) > 1
    _, (first, tenths) = pyplot().subplots(1, 2, figsize=(7.0, 3.0), sharey=True, layout="constrained")
    for number, s in enumerate(best.values()):
        assert s.where is not None
        label = s.configuration.of.label + (f", {setting(s)}" if several else "")
        for axes, values in ((first, s.where.first), (tenths, s.where.tenths)):
            axes.plot(range(1, len(values) + 1), [float("nan") if v is None else v for v in values], marker="o", ms=3, lw=1.3,
                      color=COLOURS[number % len(COLOURS)], ls="-" if number < len(COLOURS) else "--", label=literal(label))  # fmt: skip
    for axes, name in ((first, "token"), (tenths, "tenth of the text")):
        fresh(axes).set_xlabel(name)
        axes.set_ylim(-0.02, 1.02)
        axes.grid(axis="y", alpha=0.3)
    first.set_ylabel("mean deferred mass α")
    legend(tenths)
    return tenths


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
    axes.set_xlabel("tokens a second on this machine, whole batches (triangles: with speculation)")
    axes.set_ylabel("accuracy in %")
    legend(axes)
    return axes
