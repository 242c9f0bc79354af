"""Methods: a kind with its parameter, and the texts that name them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ..kinds import KINDS as KINDS
from ..kinds import Kind as Kind
from ..mixture import Placement, Target
from . import own


@dataclass(frozen=True)
class Method:
    """A kind with its parameter: one of kad's, a loss with a solver, or code of the user's own.

    Attributes:
        name: a key of `KINDS`, ``LOSS*SOLVER``, or the import path of a target.
        value: the parameter; None if there is none.

    >>> Method("dual", 0.4).target("models")
    Mixture(loss=Logistic(), solver=Dual(multiplier=None, threshold=0.4), placement='models')
    >>> Method("Squared*primal", 0.9).target("draws")
    Mixture(loss=Squared(), solver=Primal(budget=0.9), placement='draws')
    """

    name: str
    value: float | None = None

    @property
    def kind(self) -> Kind:
        """What its name says; nothing is imported."""
        return KINDS.get(self.name) or own.kind_of(self.name)

    @property
    def known(self) -> Kind:
        """The same, with what code of the user's own says of itself, which is imported for it."""
        return KINDS.get(self.name) or own.known(self.name)

    @property
    def label(self) -> str:
        """As tables print it.

        >>> Method("dual", 0.4).label, Method("p").label, Method("mine.Contrastive", 0.5).label
        ('dual λ=0.4', 'p', 'mine.Contrastive:0.5')
        """
        if self.value is None:
            return self.name
        symbol = self.kind.parameter
        return f"{self.name} {symbol}={self.value:g}" if symbol else f"{self.name}:{self.value:g}"

    @property
    def code(self) -> str:
        """A hash of the files of the user's own code; empty if it is all kad's."""
        if not self.kind.own:
            return ""
        return own.code_of(self.name, self.target("models", reference="given elsewhere"))

    def placed(self, placement: Placement) -> Placement:
        """The placement with which it is sampled: a target of one's own that does not take one has its own."""
        if not self.kind.own or own.crossed(self.name):
            return placement
        return self.target(placement, reference="given elsewhere").placement

    def target(self, placement: Placement, reference: Any = None) -> Target:
        """What is sampled.

        Raises:
            ValueError: a parameter outside its range, or no reference model where one is needed.
        """
        kind = self.known
        if kind.needs == "reference" and reference is None:
            raise ValueError(f"{self.name} needs the small base model q: give --reference.")
        value = 0.0 if self.value is None and self.name in KINDS else self.value
        found: Target = kind.make(value, placement, *([reference] if kind.needs == "reference" else []))
        return found


def methods_of(spec: str) -> list[Method]:
    """The methods that a text names: ``p``, ``dual`` (its default), ``dual:0.3,0.4``, a loss with a solver, an import path.

    ``LOSS*SOLVER:VALUES`` takes several losses, solvers and values, separated by commas, and stands for all of them. The
    value of a target or solver of one's own is its first parameter.

    Raises:
        ValueError: an unknown name, or a parameter that is none.

    >>> [m.label for m in methods_of("dual:0.3,0.4")]
    ['dual λ=0.3', 'dual λ=0.4']
    >>> [m.label for m in methods_of("Squared*dual,primal:0.5")]
    ['Squared*dual μ=0.5', 'Squared*primal b=0.5']
    """
    name, colon, values = spec.partition(":")
    names = [name] if name in KINDS else own.expanded(name)
    return list(dict.fromkeys(m for one in names for m in with_values(one, values if colon else None, spec)))


def with_values(name: str, values: str | None, spec: str) -> list[Method]:
    kind = Method(name).known
    if values is not None and kind.parameter is None:
        Method(name).target("models", reference="checked elsewhere")  # what cannot be made is said first
        raise ValueError(f"the method {name} has no parameter, got {spec!r}.")
    if values is None:
        found = [Method(name, kind.default)]
    else:
        try:
            found = [Method(name, float(value)) for value in values.split(",")]
        except ValueError:
            raise ValueError(f"the parameter of {name} is a number, got {spec!r}.") from None
        if not all(math.isfinite(method.value or 0.0) for method in found):
            raise ValueError(f"the parameter of {name} is a finite number, got {spec!r}.")
    for method in found:
        method.target("models", reference="checked elsewhere")
    return found


def available(roles: set[str]) -> list[Method]:
    """Every kind, with its default, that these models allow."""
    return [Method(name, kind.default) for name, kind in KINDS.items() if kind.needs is None or kind.needs in roles]
