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
from ..errors import asked
from ..extras import need
from ..losses import Logistic, Loss
from ..solvers import Brute, Dual, Exact, Fractional, OrTools, Primal, Solution, Solver
from ..solvers.base import ROUNDING, certify
from ..solvers.brute import LARGEST
from ..terminal import Console, json_text, loading
from ..theory import critical_loss
from ..theory.families import family
from ..vocabulary import output_size, usable_ids
from .arrays import read_array
from .options import Solve
from .prompts import read_prompt

PROVERS = ("Brute", "Exact", "OrTools")


@dataclass(frozen=True)
class Given:
    """p and, where a model or a file gave it, q*: ``(steps, V)`` float64; a name per token if there is a tokenizer."""

    p: Tensor
    q: Tensor | None
    tokens: list[str] | None
    source: str


@dataclass(frozen=True)
class Compared:
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


def compare_solvers(o: Solve) -> None:
    """``kad solve``."""
    with asked():
        for b in o.budget:
            check_budget(b)
        if o.plots is not None:
            need("--plots", "matplotlib")
            claim_folder(o.plots)
    problem, loss = read_steps(o), o.loss or Logistic()
    if loss.reads_proxy and problem.q is None:
        name = type(loss).__name__
        raise ValueError(f"{name} reads the proxy's distribution: give a prompt, with models that have one.")
    values = loss(problem.p, problem.q)
    found = compare(values, problem.p, o.budget, o.solver, o.time_limit)
    if o.plots is not None:
        draw_steps(values, problem, o.budget[0], o.plots)
    if o.json:
        steps, vocabulary = problem.p.shape
        head = {"source": problem.source, "steps": steps, "vocabulary": vocabulary, "loss": repr(loss)}
        print(json_text(head | {"rows": [asdict(one) for one in found]}))
        return
    console = Console()
    console.print(table_of_solvers(found, problem, loss))
    if o.plots is not None:
        console.print(f"figures: {', '.join(sorted(str(f) for f in o.plots.glob('*.png')))}", soft_wrap=True)


def read_steps(o: Solve) -> Given:
    """The distributions, from where they are."""
    if o.file is not None and o.family is not None:
        raise ValueError("choose one of --file and --family.")
    if (o.file or o.family) and (o.prompt or o.base):
        raise ValueError("a prompt and models do not go with --file or --family.")
    if o.family is not None:
        parameter = {"zipf": f"exponent {o.exponent:g}", "peaked": f"peak {o.peak:g}, spread {o.spread:g}"}
        p = family(o.family, o.size, o.exponent, o.spread, o.peak, o.seed)
        return Given(p.unsqueeze(0), None, None, f"{o.family}, {parameter.get(o.family, f'spread {o.spread:g}')}")
    return of_file(o.file, o.logits, o.temperature) if o.file is not None else of_model(o)


def of_file(file: Path, logits: bool, temperature: float) -> Given:
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
        return Given(softmax(values, temperature), None, None, f"{file.name}, logits at T = {temperature:g}")
    if temperature != 1:
        raise ValueError("--temperature applies to logits; this file holds probabilities (or pass --logits).")
    try:
        check_distribution(str(file), values)
    except ValueError as error:
        raise ValueError(f"{error} If the file holds logits, pass --logits.") from error
    return Given(values / values.sum(-1, keepdim=True), None, None, file.name)


def of_model(o: Solve) -> Given:
    """The next-token distributions after the prompt, or at each of its positions."""
    text, alone, every = read_prompt(o.prompt, None), o.base is not None and o.proxy is None, o.every_position
    places = {"base": o.base, "proxy": o.base if alone else o.proxy}
    with loading(places):
        loaded = load_checkpoints(places, o.dtype, o.device)
    models, tokenizer = loaded.models, loaded.tokenizer
    if loaded.proxy_tokenizer is not None:
        raise ValueError("kad solve reads both models at the same positions: choose a proxy with the base's tokenizer.")
    ids = tokenizer(text, return_tensors="pt").input_ids
    rows, used = {}, {role: models[role] for role in (("base",) if alone else ("base", "proxy"))}
    stops = set().union(*(stop_tokens(model.generation_config) for model in used.values()))
    count = usable_ids(tokenizer, {role: output_size(model) for role, model in used.items()}, stops)
    with torch.inference_mode():
        for role, model in used.items():
            logits = model(ids.to(model.device)).logits[0].double().cpu()
            rows[role] = softmax(logits[:, :count], o.temperature)[0 if every else -1 :]
    names = [repr(tokenizer.decode([i]))[1:-1] for i in range(count)]
    where = f"{ids.shape[1]} positions of the prompt" if every else "after the prompt"
    return Given(rows["base"], rows.get("proxy"), names, where)


def compare(
    loss: Tensor, p: Tensor, budgets: Sequence[float], extra: Solver | None, time_limit: float
) -> list[Compared]:
    """Every solver at every budget. Exact comes first: the others are measured against its risk."""
    lines = list[Compared]()
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
            lines.append(compared(solver, b, found, reference, 1000 * seconds / len(p)))
    return lines


def compared(solver: Solver, budget: float, found: Solution, reference: Solution, milliseconds: float) -> Compared:
    """A solver's means, beside the first one's: its bound on r*(b) may prove what the solver's own cannot."""
    status: dict[str, int] = {word: found.status.count(word) for word in dict.fromkeys(found.status)}
    within = torch.tensor([word != "OVER_BUDGET" for word in found.status])
    left = budget - found.deferred_mass
    compared, above = bool(within.any()), found.risk - reference.risk
    best = found.risk - reference.lower_bound <= ROUNDING * (1 + found.risk)
    proved = torch.tensor([word == "OPTIMAL" for word in found.status]) | (best & within)
    return Compared(
        budget, name_of_solver(solver), float(found.risk.mean()), float(found.deferred_mass.mean()),
        float(torch.where(within, left, 0.0).mean()), float(torch.where(within, 0.0, -left).mean()), int((~within).sum()),
        float(above[within].mean()) if compared else None, float(found.gap[within].mean()) if compared else None,
        status, int(proved.sum()), ", ".join(dict.fromkeys(found.engine)), milliseconds,
    )  # fmt: skip


def name_of_solver(solver: Solver) -> str:
    """A solver's class, with its price where it has one; several prices are as many as there are steps."""
    prices = [(symbol, getattr(solver, name, None)) for name, symbol in (("multiplier", "μ"), ("threshold", "λ"))]
    shown = [f" {symbol}={'ℓ_c' if isinstance(x, Tensor) else f'{x:.3g}'}" for symbol, x in prices if x is not None]
    return type(solver).__name__ + "".join(shown)


def table_of_solvers(lines: Sequence[Compared], problem: Given, loss: Loss) -> Table:
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


def proof(x: Compared, steps: int) -> str:
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


def draw_steps(loss: Tensor, problem: Given, budget: float, folder: Path) -> None:
    """frontier.png, dual.png and step.png of the last step, and unfilled.png where there are several."""
    from .. import plots

    p, values = problem.p[-1], loss[-1]
    q = problem.q[-1] if problem.q is not None else None
    figures: dict[str, Callable[[], Any]] = {
        "frontier": lambda: plots.frontier(values, p),
        "dual": lambda: plots.duality(values, p, budget),
        "step": lambda: plots.step(p, Primal(budget).defer(values, p), q, problem.tokens),
    }
    if len(problem.p) > 1:
        figures["unfilled"] = lambda: plots.unfilled(loss, problem.p, budget)
    for name, figure in figures.items():
        plots.save(figure(), folder / f"{name}.png")
