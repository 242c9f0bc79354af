"""Figures of the knapsack: the frontier, the dual function, one step, the unfilled budget. The only file with matplotlib.

Every function draws on the Axes it is given, or on a new figure, and returns them. Install the extra:
``pip install "kad-align[plots]"``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .errors import visible
from .extras import need
from .gap import Gap
from .mixture import mix
from .solvers import Exact, Fractional, Primal, solve
from .theory import dual_function as theta
from .theory import fractional_risk, primal_risk

__all__ = ["duality", "frontier", "optimality_gaps", "speed", "step", "unfilled"]

KEPT, DEFERRED, OPTIMUM, BOUND = "#2171b5", "#e6867a", "#111111", "#8a8a8a"


def pyplot() -> Any:
    """matplotlib's pyplot, drawing to files; one sentence if it is missing."""
    need("a figure", "matplotlib")
    first = "matplotlib" not in sys.modules
    import matplotlib

    if first and os.path.abspath(matplotlib.matplotlib_fname()) == os.path.join(os.getcwd(), "matplotlibrc"):
        matplotlib.rcdefaults()  # a file of settings that lies beside someone's results is not the user's own
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def literal(text: str) -> str:
    """Text of others for a label: no formula begins at a dollar, and control characters are shown.

    >>> print(literal("$5 and $6"))
    \\$5 and \\$6
    """
    return visible(text).replace("$", r"\$")


def fresh(axes: Any, size: tuple[float, float] = (7.0, 4.2)) -> Any:
    if axes is None:
        _, axes = pyplot().subplots(figsize=size, layout="constrained")
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def save(axes: Any, path: Path, dpi: int = 150, tight: bool = False) -> None:
    """Write the figure of some axes, as a whole or not at all, and let go of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.part")
    axes.figure.savefig(scratch, format="png", dpi=dpi, bbox_inches="tight" if tight else None)
    pyplot().close(axes.figure)
    scratch.replace(path)


def frontier(loss: Tensor, mass: Tensor, budgets: Sequence[float] | None = None, axes: Any = None) -> Any:
    """Risk against budget: the primal, the exact optimum and the LP bound, which the fractional solver attains.

    Args:
        loss: ℓ, ``(V,)``.
        mass: P, ``(V,)``.
        budgets: where to evaluate; by default 201 values over [0, 1], or 51 for more than 5,000 tokens.

    >>> import kad, pytest
    >>> _ = pytest.importorskip("matplotlib")
    >>> p = kad.theory.family("zipf", size=100)
    >>> kad.plots.frontier(kad.Logistic()(p), p).get_xlabel()
    'budget b'
    """
    axes = fresh(axes)
    count = 200 if mass.shape[-1] <= 5000 else 50
    grid = [i / count for i in range(count + 1)] if budgets is None else sorted(budgets)
    exact = [float(solve(loss, mass, Exact(b)).risk) for b in grid]
    axes.plot(grid, [float(primal_risk(loss, mass, b)) for b in grid], color=KEPT, lw=1.8, label="primal")
    axes.plot(grid, exact, color=OPTIMUM, lw=1.2, label="exact 0-1 optimum r*(b)")
    lp = [float(fractional_risk(loss, mass, b)) for b in grid]
    axes.plot(grid, lp, color=BOUND, ls="--", label="LP bound = fractional")
    axes.set(xlabel="budget b", ylabel="risk of what is kept", xlim=(0, 1), ylim=(0, None))
    axes.legend(frameon=False)
    return axes


def duality(loss: Tensor, mass: Tensor, budget: float, tangents: int = 4, axes: Any = None) -> Any:
    """θ(μ) with tangents of slope g(d⁻(μ)) − b, its maximum at ℓ_c, and the optimum r*(b) that it bounds.

    Args:
        loss: ℓ, ``(V,)``.
        mass: P, ``(V,)``.
        budget: b.
        tangents: how many tangents to draw.

    >>> import kad, pytest
    >>> _ = pytest.importorskip("matplotlib")
    >>> p = kad.theory.family("zipf", size=100)
    >>> kad.plots.duality(kad.Logistic()(p), p, 0.3).get_xlabel()
    'multiplier μ'
    """
    axes = fresh(axes)
    best = solve(loss, mass, Exact(budget))
    price = float(best.price)
    right = max(2 * price, 1e-3)
    grid = torch.linspace(0, right, 201, dtype=torch.float64)
    values = torch.stack([theta(loss, mass, float(mu), budget) for mu in grid])
    axes.plot(grid, values, color=KEPT, lw=2, label="θ(μ)")
    for i in range(tangents):
        mu = right * (i + 0.5) / tangents
        at = float(theta(loss, mass, mu, budget))
        slope = float((mass * (loss > mu)).sum()) - budget
        axes.plot(grid, at + slope * (grid - mu), color=KEPT, lw=0.8, alpha=0.6, label="tangents" if i == 0 else None)
    axes.axhline(float(best.risk), color=OPTIMUM, lw=1.2, label="exact 0-1 optimum r*(b)")
    highest = float(theta(loss, mass, price, budget))
    axes.plot([price], [highest], "o", color=KEPT, label="max θ = LP bound, at $\\mu = \\ell_c$")
    span = min(float(values.min()), 0.0), max(float(best.risk), float(values.max())) * 1.15 + 1e-6
    axes.set(xlabel="multiplier μ", ylabel=f"bound on the risk at b = {budget:g}", xlim=(0, right), ylim=span)
    axes.legend(frameon=False, loc="lower center")
    return axes


def step(
    p: Tensor, d: Tensor, q: Tensor | None = None, tokens: Sequence[str] | None = None, top: int = 20, axes: Any = None
) -> Any:
    """One step: the heaviest tokens of p, what is kept of each and what is deferred, and with q* the mixture π.

    Args:
        p: the base distribution, ``(V,)``.
        d: a decision, ``(V,)``, in [0, 1].
        q: q*, ``(V,)``, to show where the deferred mass goes.
        tokens: a label per token id, ``V`` of them; by default the ids.
        top: how many tokens to show.

    >>> import kad, pytest
    >>> _ = pytest.importorskip("matplotlib")
    >>> p = kad.theory.family("zipf", size=100)
    >>> kad.plots.step(p, kad.Primal(0.3).defer(-p.log(), p)).get_ylabel()
    'probability'
    """
    axes = fresh(axes)
    shown = p.sort(descending=True, stable=True).indices[:top]
    place = list(range(len(shown)))
    kept, gone = (p * (1 - d))[shown].tolist(), (p * d)[shown].tolist()
    axes.bar(place, kept, color=KEPT, label="kept from the base")
    axes.bar(place, gone, bottom=kept, color=DEFERRED, label="deferred to the proxy")
    if q is not None:
        axes.plot(place, mix(p, q, d)[shown].tolist(), "_", color=OPTIMUM, ms=11, mew=1.8, label="π, what is sampled")
    names = [str(int(v)) if tokens is None else literal(tokens[int(v)]) for v in shown]
    axes.set_xticks(place, names, rotation=60, ha="right", rotation_mode="anchor")
    axes.set_ylabel("probability")
    axes.set_title(f"deferred mass {float((p * d).sum()):.3f}", fontsize=10, loc="left")
    axes.legend(frameon=False)
    return axes


def unfilled(loss: Tensor, mass: Tensor, budget: float, axes: Any = None) -> Any:
    """The unfilled budget u = b − g(d) over many steps (as the paper's Figure 4): primal, exact and fractional.

    Args:
        loss: ℓ, ``(steps, V)``.
        mass: P, ``(steps, V)``.
        budget: b.

    >>> import kad, pytest, torch
    >>> _ = pytest.importorskip("matplotlib")
    >>> p = torch.stack([kad.theory.family("gaussian", size=100, seed=s) for s in range(4)])
    >>> kad.plots.unfilled(-p.log(), p, 0.3).get_xlabel()
    'step'
    """
    if mass.ndim != 2:
        raise ValueError(f"unfilled draws many steps: pass (steps, V), got {tuple(mass.shape)}.")
    axes = fresh(axes)
    styles = {Primal(budget): (KEPT, 1.6), Exact(budget): (OPTIMUM, 1.0), Fractional(budget): (DEFERRED, 1.6)}
    for solver, (colour, width) in styles.items():
        left = budget - solve(loss, mass, solver).deferred_mass
        label = f"{type(solver).__name__.lower()} (mean {round(float(left.mean()), 3) + 0.0:.3f})"
        axes.plot(left.tolist(), color=colour, lw=width, label=label, drawstyle="steps-mid")  # nothing is between steps
    axes.set(xlabel="step", ylabel=f"unfilled budget at b = {budget:g}")
    axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
    return axes


def optimality_gaps(found: Mapping[str, Gap], axes: Sequence[Any] | None = None) -> list[Any]:
    """Every step a dot, a row per rule: the gap at the rule's own mass, and where there are budgets the gap there and what is left.

    Args:
        found: what `kad.gaps` returned.
        axes: one for every panel, three where a rule has a budget, else one.

    >>> import kad, pytest, torch
    >>> _ = pytest.importorskip("matplotlib")
    >>> p = torch.stack([kad.theory.family("gaussian", size=100, seed=s) for s in range(4)])
    >>> panels = kad.plots.optimality_gaps(kad.gaps(p, {"primal": kad.Primal(0.3)}, kad.Logistic()))
    >>> [axes.get_xlabel().split(' (')[0] for axes in panels]
    ['risk above r*(own mass)', 'risk above r*(b)', 'unfilled budget']
    """
    limited = {name: gap for name, gap in found.items() if not bool(gap.budget.isnan().any())}
    shown = {"risk above r*(own mass)": {name: gap.own.high for name, gap in found.items()}}
    if limited:
        shown["risk above r*(b)"] = {name: gap.stated.high for name, gap in limited.items()}
        left = {name: torch.where(gap.over > 0, torch.nan, gap.unfilled) for name, gap in limited.items()}
        shown["unfilled budget"] = left
    if axes is None:
        heights = [len(values) + 1.6 for values in shown.values()]
        size = 5.0, 0.36 * sum(heights)
        figure = pyplot().figure(figsize=size, layout="constrained")
        axes = list(figure.subplots(len(heights), height_ratios=heights, squeeze=False).flat)
    for panel, (label, values) in zip(axes, shown.items(), strict=True):
        strips(fresh(panel), values, label)
    return list(axes)


def strips(axes: Any, values: Mapping[str, Tensor], label: str) -> None:
    """A row of dots for every name, spread within it, with a bar at their mean, which stands at the right."""
    means = list[str]()
    for place, one in enumerate(values.values()):
        known = one[~one.isnan()].sort().values
        spread = [place + 0.6 * ((i * 0.618) % 1 - 0.5) for i in range(len(known))]
        axes.plot(known.tolist(), spread, ".", color=KEPT, ms=5, alpha=0.4, mec="none")
        means.append(f"{round(float(known.mean()), 4) + 0.0:.3f}" if len(known) else "none")
        if len(known):
            axes.plot([float(known.mean())] * 2, [place - 0.38, place + 0.38], color=OPTIMUM, lw=1.8)
    axes.set_yticks(range(len(values)), [literal(name) for name in values])
    low, high = axes.get_xlim()
    axes.set(xlim=(min(0.0, low), max(high, 0.01)), ylim=(len(values) - 0.5, -0.5))
    axes.axvline(0, color=BOUND, lw=0.8, zorder=0)
    axes.set_xlabel(f"{label} (bar and number: mean)")
    beside = axes.secondary_yaxis("right")
    beside.set_yticks(range(len(values)), means)
    beside.tick_params(length=0)
    beside.spines["right"].set_visible(False)


def speed(report: dict[str, Any], axes: Any = None) -> Any:
    """Tokens a second against the batch, one line per contender, from the report of ``kad bench``.

    >>> import kad, pytest
    >>> _ = pytest.importorskip("matplotlib")
    >>> one = {"name": "kad", "window": 3, "batch": 1, "tokens_per_second": 20.0}
    >>> kad.plots.speed({"results": [one], "synthetic_acceptance": 0.78}).get_ylabel()
    'tokens a second'
    """
    axes = fresh(axes, (8.0, 4.4))
    lines: dict[tuple[str, Any], list[tuple[int, float]]] = {}
    for r in report["results"]:
        if r["name"] != "kad, π = p":  # it lies on kad's own lines
            lines.setdefault((r["name"], r["window"]), []).append((r["batch"], r["tokens_per_second"]))
    own = [key for key in lines if key[0] == "kad"]
    marks = dict(zip(dict.fromkeys(name for name, _ in lines if name != "kad"), "os^vDPX*", strict=False))
    for (name, window), points in lines.items():
        label = name if window is None else f"{name}, γ = {window}"
        colour, dashes = BOUND, "-." if name.startswith("two") else "--"
        if name == "kad":
            shade = 0.35 + 0.65 * own.index((name, window)) / max(1, len(own) - 1)
            colour, dashes = pyplot().get_cmap("Blues")(shade), "-"
        elif window is not None:
            colour, dashes = DEFERRED, ":"
        size = 5 if name == "kad" else 4
        style = {"color": colour, "ls": dashes, "marker": marks.get(name, "o")}
        axes.plot(*zip(*sorted(points), strict=True), **style, ms=size, label=label)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    batches = sorted({r["batch"] for r in report["results"]})
    axes.set_xticks(batches, [str(b) for b in batches])
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set(xlabel="batch", ylabel="tokens a second")
    if report["synthetic_acceptance"] is not None:
        axes.set_title(f"synthetic acceptance {report['synthetic_acceptance']}", fontsize=10)
    axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return axes
