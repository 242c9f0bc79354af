"""What ``kad gaps`` shows: a table at the rules' own masses, one at budgets, all numbers as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from ..evaluation.steps import Steps, Texts
from ..gap import Gap
from ..losses import Loss

WIDE = 5e-7  # Exact's tolerance: an interval of this width is a number
AT_OWN_MASS = (
    "gap: risk above that of the best whole tokens of no more mass; a rule that splits tokens may be below it. "
    "pooled: mean risk above the bound for the same mass in sum over all steps."
)
AT_BUDGET = (
    "over b: steps at which the rule exceeds it; the other columns are of the rest. gap: risk above that of the best whole "
    "tokens of mass ≤ b. unfilled: what the rule leaves of b, and what that optimum leaves."
)


@dataclass(frozen=True)
class OnSteps:
    """One rule on the steps of one group of texts."""

    texts: Texts
    steps: Steps
    rule: str
    gap: Gap

    @property
    def task(self) -> str:
        return self.texts.configuration.task

    def numbers(self) -> dict[str, Any]:
        """For JSON."""
        models = dict(self.texts.configuration.models)
        return {"task": self.task, "along": self.texts.label, "models": models, "rule": self.rule,
                "steps_in_all": self.steps.total, **self.gap.summary()}  # fmt: skip


def opened(title: str, found: Sequence[OnSteps]) -> tuple[Table, list[list[str]]]:
    """A table whose first columns say which rule on which steps; what never varies is left out."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    texts = short_labels(found)
    own = texts == [x.rule for x in found]
    heads = {"task": [x.task for x in found], "texts of": texts, "rule": [x.rule for x in found]}
    shown = {k: v for k, v in heads.items() if k == "rule" or (len(set(v)) > 1 and not (k == "texts of" and own))}
    for name in shown:
        table.add_column(name)
    return table, [list(row) for row in zip(*shown.values(), strict=True)]


def short_labels(found: Sequence[OnSteps]) -> list[str]:
    """Whose texts they are: the method alone, if no two groups of a task differ in the settings only."""
    groups = {(x.task, x.texts.label): x.texts.configuration.of.label for x in found}
    unique = len({(task, short) for (task, _), short in groups.items()}) == len(groups)
    return [x.texts.configuration.of.label if unique else x.texts.label for x in found]


def at_own_mass(found: Sequence[OnSteps], loss: Loss) -> Table:
    """Every rule beside the optimum for what it defers itself."""
    table, heads = opened(f"{type(loss).__name__} at the mass that each rule defers itself", found)
    for name in ("steps", "mass", "risk", "mean gap", "max", "optimal", "pooled"):
        table.add_column(name, justify="right", no_wrap=True)
    for head, x in zip(heads, found, strict=True):
        s = x.gap.summary()
        table.add_row(
            *head, str(s["steps"]), f"{s['mass']:.3f}", f"{s['risk']:.4f}", mean_of(s["own"]), figure(s["own"]["max"]),
            share(s["own"]), figure(s["pooled"]),
        )  # fmt: skip
    return table


def at_budget(found: Sequence[OnSteps]) -> Table:
    """Every rule with a budget beside the optimum for it, at the steps where it keeps it."""
    limited = [x for x in found if x.gap.summary()["budget"] is not None]
    table, heads = opened("At a budget b", limited)
    for name in ("b", "over b", "mean gap", "max", "optimal", "unfilled", "optimum's"):
        table.add_column(name, justify="right", no_wrap=True)
    for head, x in zip(heads, limited, strict=True):
        s = x.gap.summary()
        table.add_row(
            *head, f"{s['budget']:g}", f"{100 * s['over_share']:.0f}%", mean_of(s["stated"]), figure(s["stated"]["max"]),
            share(s["stated"]), figure(s["unfilled"]), figure(s["spare"]),
        )  # fmt: skip
    return table


def figure(x: float | None) -> str:
    return "" if x is None else "0" if abs(x) < 5e-9 else f"{x:.4f}" if abs(x) >= 1e-4 else f"{x:.0e}"


def mean_of(s: dict[str, Any]) -> str:
    """A mean gap; two numbers where less than Exact's tolerance could not be proved."""
    if s["mean"] is None:
        return ""
    narrow = s["mean"] - s["mean_low"] <= WIDE
    return figure(s["mean"]) if narrow else f"{figure(s['mean_low'])} to {figure(s['mean'])}"


def share(s: dict[str, Any]) -> str:
    """The share of steps proved optimal, and of those that might be."""
    if s["optimal"] is None:
        return ""
    return f"{100 * s['optimal']:.0f}%" + (f" (+{100 * s['open']:.0f}%?)" if s["open"] >= 0.005 else "")


def by_step(found: Sequence[OnSteps]) -> str:
    """All numbers, a line per rule and step."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    fields = ("risk", "mass", "budget", "unfilled", "over", "own_low", "own_high", "stated_low", "stated_high", "spare")
    writer.writerow(["task", "along", "rule", "item", "seed", "step", *fields, "late"])
    for x in found:
        g = x.gap
        stated = (g.stated.low, g.stated.high, g.spare)
        columns = (g.risk, g.mass, g.budget, g.unfilled, g.over, g.own.low, g.own.high, *stated)
        rows = zip(x.steps.places, zip(*(c.tolist() for c in columns), strict=True), g.late.tolist(), strict=True)
        for place, numbers, late in rows:
            shown = ["" if v != v else repr(v) for v in numbers]
            writer.writerow([x.task, x.texts.label, x.rule, *place, *shown, int(late)])
    return out.getvalue()
