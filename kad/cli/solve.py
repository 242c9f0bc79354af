"""``kad solve``: every solver on one distribution, or on many steps, beside the exact optimum."""

from __future__ import annotations

import importlib.util
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.box import SIMPLE_HEAD
from rich.progress import track
from rich.table import Table
from torch import Tensor

from ..checkpoints import load_checkpoints
from ..decoding.settings import stop_tokens
from ..distributions import check_budget, check_distribution, softmax
from ..extras import need
from ..losses import Loss
from ..solvers import Brute, Dual, Exact, Fractional, OrTools, Primal, Solution, Solver
from ..solvers.base import ROUNDING, certify
from ..solvers.brute import LARGEST
from ..terminal import Console, json_text
from ..theory import critical_loss
from ..theory.families import Family, family
from ..vocabulary import usable_ids
from .arrays import read_array
from .generate import read_prompt

BUDGETS = (0.1, 0.3, 0.6, 0.9)
PROVERS = ("Brute", "Exact", "OrTools")


@dataclass(frozen=True)
class Problem:
    """p and, where a model or a file gave it, q*: ``(steps, V)`` float64; a name per token if there is a tokenizer."""

    p: Tensor
    q: Tensor | None
    tokens: list[str] | None
    source: str


@dataclass(frozen=True)
class Line:
    """One solver at one budget: means over the steps.

    ``above``, the risk above that of Exact, and ``gap`` are of the steps that keep the budget alone, None where there are
    none: a risk at more deferred mass is no better or worse than the optimum's at less. ``unfilled`` and ``excess`` are the
    means of (b − g)₊ and (g − b)₊ over all steps, ``proved`` counts the steps that are optimal by the solver's own bound or
    by that of Exact.
    """

    budget: float
    solver: str
    risk: float
    deferred: float
    unfilled: float
    excess: float
    over: int
    above: float | None
    gap: float | None
    status: dict[str, int]
    proved: int
    engine: str
    milliseconds: float


def run(
    *, prompt: str | None, file: Path | None, logits: bool, family: Family | None, size: int, exponent: float,
    spread: float, peak: float, base: str | None, proxy: str | None, every_position: bool, temperature: float,
    loss: Loss, solver: Solver | None, budget: list[float] | None, time_limit: float, seed: int, plots: Path | None,
    json: bool, dtype: str, device: str | None,
) -> None:  # fmt: skip
    """See `kad.cli.commands.solve`."""
    budgets = list(BUDGETS) if budget is None else budget
    if not budgets:
        raise ValueError("give at least one --budget.")
    for b in budgets:
        check_budget(b)
    if plots is not None:
        need("--plots", "matplotlib")
        claim_folder(plots)
    if file is not None and family is not None:
        raise ValueError("choose one of --file and --family.")
    if (file or family) and (prompt or base):
        raise ValueError("a prompt and models do not go with --file or --family.")
    if family is not None:
        problem = of_family(family, size, exponent, spread, peak, seed)
    elif file is not None:
        problem = of_file(file, logits, temperature)
    else:
        problem = of_model(read_prompt(prompt, None), base, proxy, every_position, temperature, dtype, device)
    if loss.reads_proxy and problem.q is None:
        raise ValueError(
            f"{type(loss).__name__} reads the proxy's distribution: give a prompt, with models that have one."
        )
    values = loss(problem.p, problem.q)
    lines = compare(values, problem.p, budgets, solver, time_limit)
    if plots is not None:
        draw(values, problem, budgets[0], plots)
    if json:
        steps, vocabulary = problem.p.shape
        head = {"source": problem.source, "steps": steps, "vocabulary": vocabulary, "loss": repr(loss)}
        print(json_text(head | {"rows": [asdict(line) for line in lines]}))
        return
    console = Console()
    console.print(table(lines, problem, loss))
    if plots is not None:
        console.print(f"figures: {', '.join(sorted(str(f) for f in plots.glob('*.png')))}", soft_wrap=True)


def of_family(name: Family, size: int, exponent: float, spread: float, peak: float, seed: int) -> Problem:
    parameter = {"zipf": f"exponent {exponent:g}", "peaked": f"peak {peak:g}, spread {spread:g}"}
    p = family(name, size, exponent, spread, peak, seed)
    return Problem(p.unsqueeze(0), None, None, f"{name}, {parameter.get(name, f'spread {spread:g}')}")


def of_file(file: Path, logits: bool, temperature: float) -> Problem:
    """Probabilities, or with ``logits`` logits: a vector, or one row per step."""
    try:
        found = read_array(file)
        values = found.reshape(1, -1) if found.ndim < 2 else found
    except OSError as error:
        raise ValueError(f"cannot read {file}: {error.strerror or 'not such a file'}.") from error
    except Exception as error:
        raise ValueError(f"cannot read a distribution from {file}: {' '.join(str(error).split())}") from error
    if values.ndim != 2 or values.numel() == 0:
        raise ValueError(f"{file} must hold a vector, or one row per step; its shape is {tuple(values.shape)}.")
    if logits:
        if bool(torch.isnan(values).any()) or bool((values == math.inf).any()):
            raise ValueError(f"{file} contains NaN or +inf logits.")
        return Problem(softmax(values, temperature), None, None, f"{file.name}, logits at T = {temperature:g}")
    if temperature != 1:
        raise ValueError("--temperature applies to logits; this file holds probabilities (or pass --logits).")
    try:
        check_distribution(str(file), values)
    except ValueError as error:
        raise ValueError(f"{error} If the file holds logits, pass --logits.") from error
    return Problem(values / values.sum(-1, keepdim=True), None, None, file.name)


def of_model(
    text: str, base: str | None, proxy: str | None, every: bool, temperature: float, dtype: str, device: str | None
) -> Problem:
    """The next-token distributions after the prompt, or at each of its positions."""
    alone = base is not None and proxy is None
    loaded = load_checkpoints({"base": base, "proxy": base if alone else proxy}, dtype, device)
    models, tokenizer = loaded.models, loaded.tokenizer
    if loaded.proxy_tokenizer is not None:
        raise ValueError("kad solve reads both models at the same positions: choose a proxy with the base's tokenizer.")
    ids = tokenizer(text, return_tensors="pt").input_ids
    rows, used = {}, {role: models[role] for role in (("base",) if alone else ("base", "proxy"))}
    stops = set().union(*(stop_tokens(model.generation_config) for model in used.values()))
    count = usable_ids(tokenizer, used, stops)
    with torch.inference_mode():
        for role, model in used.items():
            logits = model(ids.to(model.device)).logits[0].double().cpu()
            rows[role] = softmax(logits[:, :count], temperature)[0 if every else -1 :]
    names = [repr(tokenizer.decode([i]))[1:-1] for i in range(count)]
    where = f"{ids.shape[1]} positions of the prompt" if every else "after the prompt"
    return Problem(rows["base"], rows.get("proxy"), names, where)


def compare(loss: Tensor, p: Tensor, budgets: Sequence[float], extra: Solver | None, time_limit: float) -> list[Line]:
    """Every solver at every budget. Exact comes first: the others are measured against its risk."""
    lines = list[Line]()
    for b in track(budgets, "solving", console=Console(stderr=True), transient=True, disable=len(p) == 1):
        solvers: list[Solver] = [Exact(b, time_limit=time_limit), Primal(b), Fractional(b)]
        if importlib.util.find_spec("ortools"):
            solvers.insert(1, OrTools(b, time_limit=time_limit))
        if p.shape[-1] <= LARGEST:
            solvers.insert(0, Brute(b))
        solvers.append(Dual(multiplier=critical_loss(loss, p, b)))  # of every step its own
        if extra is not None:
            solvers.append(replace(extra, budget=b) if extra.limit is not None else extra)  # type: ignore[type-var]
        reference: Solution | None = None
        for solver in solvers:
            start = time.perf_counter()
            decided = solver.prove(loss, p) or solver.defer(loss, p)
            seconds = time.perf_counter() - start
            found = certify(loss, p, solver, decided, b)
            reference = reference or found
            lines.append(line(solver, b, found, reference, 1000 * seconds / len(p)))
    return lines


def line(solver: Solver, budget: float, found: Solution, reference: Solution, milliseconds: float) -> Line:
    """A solver's means, beside the first one's: its bound on r*(b) may prove what the solver's own cannot."""
    status: dict[str, int] = {word: found.status.count(word) for word in dict.fromkeys(found.status)}
    within = torch.tensor([word != "OVER_BUDGET" for word in found.status])
    left = budget - found.deferred_mass
    compared, above = bool(within.any()), found.risk - reference.risk
    best = found.risk - reference.lower_bound <= ROUNDING * (1 + found.risk)
    proved = torch.tensor([word == "OPTIMAL" for word in found.status]) | (best & within)
    return Line(
        budget, name_of(solver), float(found.risk.mean()), float(found.deferred_mass.mean()),
        float(torch.where(within, left, 0.0).mean()), float(torch.where(within, 0.0, -left).mean()), int((~within).sum()),
        float(above[within].mean()) if compared else None, float(found.gap[within].mean()) if compared else None,
        status, int(proved.sum()), ", ".join(dict.fromkeys(found.engine)), milliseconds,
    )  # fmt: skip


def name_of(solver: Solver) -> str:
    """A solver's class, with the price of a dual; several prices are as many as there are steps."""
    name = type(solver).__name__
    if isinstance(solver, Dual):
        symbol, price = ("λ", solver.threshold) if solver.multiplier is None else ("μ", solver.multiplier)
        name += f" {symbol}={price:.3g}" if not isinstance(price, Tensor) else f" {symbol}=ℓ_c"
    return name


def table(lines: Sequence[Line], problem: Problem, loss: Loss) -> Table:
    """Eighty columns wide; ``--json`` has the rest."""
    steps, size = problem.p.shape
    means = f", means over {steps} steps" if steps > 1 else ""
    engines = ", ".join(
        f"{x.solver} by {x.engine}" for x in lines if x.budget == lines[0].budget and x.solver in PROVERS
    )
    found = Table(
        title=f"{type(loss).__name__} on {problem.source}, |V| = {size:,}{means}",
        caption="above: risk above the exact solver's, at steps within b. proof: optimal\n"
        f"(by its own bound or Exact's), or its certified gap (* time was up), by\nrelaxation unless named: {engines}.",
        title_justify="left", caption_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False,
    )  # fmt: skip
    found.add_column("b")
    found.add_column("solver", no_wrap=True)
    for name in ("risk", "deferred", "unfilled", "above", "proof", "ms"):
        found.add_column(name, justify="right", no_wrap=True)
    last: float | None = None
    for x in lines:
        if last is not None and x.budget != last:
            found.add_section()
        found.add_row(
            f"{x.budget:g}" if x.budget != last else "", x.solver, f"{x.risk:.6f}", f"{x.deferred:.6f}",
            small(x.unfilled, ""), small(x.above, "+"), proof(x, steps),
            f"{x.milliseconds:.{2 if x.milliseconds < 99 else 0}f}",
        )  # fmt: skip
        last = x.budget
    return found


def small(x: float | None, sign: str) -> str:
    return "" if x is None else "0" if abs(x) < 1e-12 else f"{x:{sign}.1e}"


def proof(x: Line, steps: int) -> str:
    """What is proved at b; of a solver that exceeds it, at how many steps it does, and nothing about the optimum there."""
    if x.over:
        return "over b" if steps == 1 else f"{x.over}/{steps} over"
    if x.proved == steps:
        return "optimal"
    late = "*" if "TIME_LIMIT" in x.status else ""
    return f"gap {x.gap:.1e}{late}" if steps == 1 else f"{x.proved}/{steps} opt.{late}"


def claim_folder(folder: Path) -> None:
    """Refuse a folder that already holds figures, and anything that is not a folder."""
    if folder.exists() and (not folder.is_dir() or any(folder.glob("*.png"))):
        raise ValueError(f"--plots {folder} exists and holds figures, or is no folder; name a new one.")


def draw(loss: Tensor, problem: Problem, budget: float, folder: Path) -> None:
    """frontier.png, dual.png and step.png of the last step, and unfilled.png where there are several."""
    from .. import plots

    p, values = problem.p[-1], loss[-1]
    q = problem.q[-1] if problem.q is not None else None
    plot = plots.pyplot()
    folder.mkdir(parents=True, exist_ok=True)
    figures: dict[str, Callable[[], Any]] = {
        "frontier": lambda: plots.frontier(values, p),
        "dual": lambda: plots.duality(values, p, budget),
        "step": lambda: plots.step(p, Primal(budget).defer(values, p), q, problem.tokens),
    }
    if len(problem.p) > 1:
        figures["unfilled"] = lambda: plots.unfilled(loss, problem.p, budget)
    for name, figure in figures.items():
        axes = figure()
        axes.figure.savefig(folder / f".{name}.part", format="png", dpi=150)
        (folder / f".{name}.part").replace(folder / f"{name}.png")  # whole or not there
        plot.close(axes.figure)
