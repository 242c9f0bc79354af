"""Methods beyond kad's sixteen: any loss with any solver, and targets, losses and solvers of the user's own.

``LOSS*SOLVER`` is their mixture; either is a name of kad's (`LOSSES`, `WAYS`) or an import path. An import path alone is a
target. Code of one's own is imported where it runs, never where results are only read.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from .. import cascades, losses, solvers
from ..checkpoints import fingerprint
from ..imports import declared, imported, made, parameters
from ..kinds import KINDS, Kind
from ..losses import Loss
from ..mixture import Mixture, Placement, Target
from ..solvers import Dual, Solver

LOSSES: dict[str, Loss] = {
    "Logistic": losses.Logistic(), "Squared": losses.Squared(), "Brier": losses.Brier(), "Perceptron": losses.Perceptron(),
    "Perceptron-probability": losses.Perceptron("probability"), "ZeroOne": losses.ZeroOne(),
    "ConfidenceBet": losses.ConfidenceBet(), "Nudging": losses.Nudging(), "Diff": cascades.Diff(), "Opt": cascades.Opt(),
    "TokenV2": cascades.TokenV2(), "TokenV3": cascades.TokenV3(),
}  # fmt: skip
WAYS: dict[str, Kind] = {  # kad's solvers with one number, which ``make`` makes of it
    "dual": Kind("a price", lambda value: Dual(multiplier=value), "μ", range=(0.05, 2.0)),
    "threshold": Kind("a price, as a threshold of p", lambda value: Dual(threshold=value), "λ", 0.4),
    "primal": Kind("the budget, greedily", solvers.Primal, "b", 0.9, budget=True),
    "fractional": Kind("the budget, filled", solvers.Fractional, "b", 0.9, budget=True),
    "exact": Kind("the budget, exactly", solvers.Exact, "b", 0.9, budget=True),
    "or-tools": Kind("the budget, by OR-Tools", solvers.OrTools, "b", 0.9, budget=True),
}
SYNONYMS = {  # one law has one name, and so one key
    "Logistic*threshold": "dual", "Logistic*primal": "primal", "Logistic*fractional": "fractional",
    "ConfidenceBet*dual": "confidence-bet", "Nudging*dual": "cascade-chow", "Diff*dual": "cascade-diff",
    "Opt*dual": "cascade-opt", "TokenV2*dual": "cascade-token-v2", "TokenV3*dual": "cascade-token-v3",
}  # fmt: skip


def crossed(name: str) -> tuple[str, str] | None:
    """Loss and solver of a name such as ``Squared*primal``; None if it is another.

    >>> crossed("Squared*primal"), crossed("q*"), crossed("dual")
    (('Squared', 'primal'), None, None)
    """
    loss, star, solver = name.partition("*")
    return (loss, solver) if star and loss and solver else None


def expanded(name: str) -> list[str]:
    """The methods that a name outside `KINDS` stands for: every loss with every solver of ``A,B*C,D``, or an import path.

    >>> expanded("squared,Logistic*primal,exact")
    ['Squared*primal', 'Squared*exact', 'primal', 'Logistic*exact']
    """
    pair = crossed(name)
    if pair is None:
        if "." in name:
            return [name]
        raise ValueError(
            f"there is no method {name!r}; choose from {', '.join(KINDS)}, LOSS*SOLVER such as Squared*primal, or give an "
            "import path."
        )
    both = [
        f"{spelled(loss, LOSSES, 'loss')}*{spelled(solver, WAYS, 'solver')}"
        for loss in pair[0].split(",")
        for solver in pair[1].split(",")
    ]
    return [SYNONYMS.get(one, one) for one in both]


def spelled(name: str, known: Mapping[str, Any], what: str) -> str:
    """A loss or a solver as `LOSSES` or `WAYS` spells it, kad's own import paths too; other import paths as they are."""
    lower = {key.lower(): key for key in known} | {"ortools": "or-tools"}
    short = name.rpartition(".")[2] if name.startswith("kad.") else name
    if lower.get(short.lower()) in known:
        return lower[short.lower()]
    if "." in name:
        return name
    raise ValueError(f"there is no {what} {name!r}; choose from {', '.join(known)}, or give an import path.")


def kind_of(name: str) -> Kind:
    """What is known of a method of this name without importing anything of the user's."""
    pair = crossed(name)
    if pair is None:
        return Kind("a target of one's own", functools.partial(target_of, name), "", own=True)
    loss, solver = pair
    about, make = f"the loss {loss} under the solver {solver}", functools.partial(mixture_of, loss, solver)
    if solver not in WAYS:
        return Kind(about, make, "", own=True)
    return replace(WAYS[solver], about=about, make=make, own=loss not in LOSSES)


def known(name: str) -> Kind:
    """`kind_of`, with what the user's code says of its parameter; a ValueError if it cannot be imported."""
    kind, pair = kind_of(name), crossed(name)
    if not kind.own or (pair is not None and pair[1] in WAYS):
        return kind
    taken = settable(pair[1] if pair else name, "solver" if pair else "target")
    first = numeric(taken)
    default = taken[first].default if first else None
    usual = float(default) if isinstance(default, int | float) and not isinstance(default, bool) else None
    return replace(
        kind, parameter=None if first is None else "", default=usual,
        needs="reference" if "reference" in taken and pair is None else None,
    )  # fmt: skip


def settable(path: str, what: str) -> Mapping[str, inspect.Parameter]:
    """The parameters of the class or function at an import path; none of an instance, which is ready."""
    thing = imported(path, what)
    kind: type = Solver if what == "solver" else Target
    if what == "target" and (isinstance(thing, Loss) or declared(thing, Loss)):
        raise ValueError(
            f"cannot load the target {path}: it is a loss; name a solver with it, as in '{path}*primal:0.9'."
        )
    if isinstance(thing, kind) or not declared(thing, kind):
        return {}  # what is something else, `made` refuses in a sentence
    return parameters(thing)


def numeric(taken: Mapping[str, inspect.Parameter]) -> str | None:
    """The parameter that a value is for: the first that is neither the placement nor the reference."""
    return next((name for name in taken if name not in ("placement", "reference")), None)


def options_of(taken: Mapping[str, inspect.Parameter], value: float | None) -> dict[str, Any]:
    """The value under its parameter's name; whole where the default is."""
    first = numeric(taken)
    if first is None or value is None:
        return {}
    whole = type(taken[first].default) is int and float(value).is_integer()
    return {first: int(value) if whole else value}


def target_of(path: str, value: float | None, placement: Placement, reference: Any = None) -> Target:
    options = options_of(settable(path, "target"), value)
    return made(path, "target", Target, {**options, "placement": placement, "reference": reference})  # type: ignore[type-abstract]


def mixture_of(loss: str, solver: str, value: float | None, placement: Placement) -> Mixture:
    chosen = LOSSES.get(loss) or made(loss, "loss", Loss)  # type: ignore[type-abstract]
    if solver not in WAYS:
        options = options_of(settable(solver, "solver"), value)
        return Mixture(chosen, made(solver, "solver", Solver, options), placement)  # type: ignore[type-abstract]
    way, name = WAYS[solver], f"{loss}*{solver}"
    number = way.default if value is None else value
    if number is None:
        raise ValueError(f"{name} needs its parameter {way.parameter}, as in {name}:0.5.")
    return Mixture(chosen, way.make(number), placement)


def code_of(name: str, target: Target) -> str:
    """A hash of the files that hold a method's own code, and of a reference model that it brings; empty if all is kad's.

    An edit of such a file, even of another part, makes other results of it.
    """
    things = [getattr(target, part) for part in ("loss", "solver")] if crossed(name) else [target]
    paths = [path for path in crossed(name) or (name,) if "." in path]
    modules = {path.rpartition(".")[0] for path in paths} | {c.__module__ for x in things for c in type(x).__mro__}
    found = [READ[module][1] for module in sorted(modules) if own_module(module)]
    if isinstance(target.reference, torch.nn.Module):
        found.append(fingerprint(target.reference))
    return hashlib.sha256(" ".join(found).encode()).hexdigest()[:16] if found else ""


READ = dict[str, tuple[ModuleType, str]]()  # every module with a hash of its file as it was when it was first used


def own_module(name: str) -> bool:
    """Whether a module is neither kad's, Python's nor PyTorch's; its file is read once, for it may change while kad runs."""
    module = sys.modules.get(name)
    file = getattr(module, "__file__", None)
    if module is None or file is None or name.partition(".")[0] in ("kad", "torch", *sys.stdlib_module_names):
        return False
    if name not in READ or READ[name][0] is not module:
        READ[name] = module, hashlib.sha256(Path(file).read_bytes()).hexdigest() if Path(file).is_file() else ""
    return True
