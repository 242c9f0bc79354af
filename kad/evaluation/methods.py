"""Methods by name: which model stands in the base's place, and which target is sampled.

In every name p is the large base model and q* the small aligned one. The rules of speculative cascades are written with p
in the place of their small model and q* in that of their large one (`kad.cascades`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from .. import cascades
from ..imports import made
from ..losses import ConfidenceBet, Loss, Nudging
from ..mixture import (
    Base,
    Ensemble,
    Mixture,
    Placement,
    Target,
    confidence_bet,
    dual,
    fractional,
    implicit_reward,
    nudging,
    primal,
)
from ..solvers import Dual

Role = Literal["base", "proxy", "reference", "aligned"]
Make = Callable[[float, Placement, Any], Target]


@dataclass(frozen=True)
class Kind:
    """A family of methods with one parameter, or none.

    Attributes:
        about: one line for people.
        make: the target, from the parameter, the placement of the temperature and the reference model.
        parameter: the parameter's symbol; None if there is none.
        default: its value if none is given.
        base: the model that stands in the base's place; other than "base" it runs alone.
        needs: a further model that must be given.
        budget: the parameter is a budget, so that what is left of it can be shown.
        range: where tuning looks for the parameter.
    """

    about: str
    make: Make
    parameter: str | None = None
    default: float | None = None
    base: Role = "base"
    needs: Role | None = None
    budget: bool = False
    range: tuple[float, float] = (0.05, 0.95)

    @property
    def roles(self) -> set[Role]:
        """The models whose weights make a difference; the proxy always drafts, and gives the chat template."""
        return {self.base, "proxy"} | ({self.needs} if self.needs else set())

    @property
    def alone(self) -> bool:
        """What is sampled is one model's own distribution: the placement of the temperature makes no difference."""
        return self.parameter is None and self.needs != "reference"


def rule(loss: Loss) -> Make:
    """A loss under a multiplier."""
    return lambda value, at, reference: Mixture(loss, Dual(multiplier=value), at)


KINDS: dict[str, Kind] = {
    "p": Kind("the large base model alone", lambda value, at, reference: Base()),
    "q*": Kind("the small aligned model alone", lambda value, at, reference: Base(), base="proxy"),
    "p*": Kind("the large model aligned itself", lambda value, at, reference: Base(), base="aligned", needs="aligned"),
    "nudging": Kind("q* where max p < λ", lambda value, at, reference: nudging(value, at), "λ", 0.4),
    "implicit-reward": Kind(
        "π ∝ p (q*/q)^β",
        lambda value, at, reference: implicit_reward(reference, value, at),
        "β",
        1.0,
        needs="reference",
    ),
    "dual": Kind("KAD, p_v < λ deferred", lambda value, at, reference: dual(value, at), "λ", 0.4),
    "primal": Kind(
        "KAD, the lightest tokens of mass ≤ b", lambda value, at, reference: primal(value, at), "b", 0.9, budget=True
    ),
    "fractional": Kind(
        "KAD, the lightest tokens of mass b", lambda value, at, reference: fractional(value, at), "b", 0.9, budget=True
    ),
    "confidence-bet": Kind(
        "p_v < max q* − m deferred", lambda value, at, reference: confidence_bet(value, at), "m", 0.1, range=(0.0, 0.6)
    ),
    "cascade-chow": Kind("all deferred where max p < 1 − μ", rule(Nudging()), "μ", 0.6),
    "cascade-diff": Kind("all deferred where max p < max q* − μ", rule(cascades.Diff()), "μ", 0.1),
    "cascade-opt": Kind("all deferred where max p < max q* − μ D_TV(p, q*)", rule(cascades.Opt()), "μ", 0.1),
    "cascade-token-v1": Kind("p_v < max q* − μ deferred (the confidence bet)", rule(ConfidenceBet()), "μ", 0.1),
    "cascade-token-v2": Kind("q*_v < max q* − μ deferred", rule(cascades.TokenV2()), "μ", 0.6),
    "cascade-token-v3": Kind("q*_v < (1 − μ) max q* deferred", rule(cascades.TokenV3()), "μ", 0.9),
    "ensemble": Kind("π = (1 − w) p + w q*", lambda value, at, reference: Ensemble(value, at), "w", 0.5),
}


@dataclass(frozen=True)
class Method:
    """A kind with its parameter, or the import path of a target of the user's own.

    Attributes:
        name: a key of `KINDS`, or an import path.
        value: the parameter; None if the kind has none.

    >>> Method("dual", 0.4).target("models")
    Mixture(loss=Logistic(), solver=Dual(multiplier=None, threshold=0.4), placement='models')
    """

    name: str
    value: float | None = None

    @property
    def kind(self) -> Kind:
        found = KINDS.get(self.name)
        return found or Kind("a target of one's own", lambda value, at, reference: self.own(), self.name)

    @property
    def label(self) -> str:
        """As tables print it.

        >>> Method("dual", 0.4).label, Method("p").label
        ('dual λ=0.4', 'p')
        """
        return self.name if self.value is None else f"{self.name} {self.kind.parameter}={self.value:g}"

    def own(self) -> Target:
        """The target at the import path: a value, or a class, or a function declared to return one, without arguments."""
        return made(self.name, "target", Target)  # type: ignore[type-abstract]

    def target(self, placement: Placement, reference: Any = None) -> Target:
        """What is sampled.

        Raises:
            ValueError: a parameter outside its range, or no reference model where one is needed.
        """
        if self.kind.needs == "reference" and reference is None:
            raise ValueError(f"{self.name} needs the small base model q: give --reference.")
        return self.kind.make(self.value if self.value is not None else 0.0, placement, reference)


def methods_of(spec: str) -> list[Method]:
    """The methods that a text names: ``p``, ``dual`` (its default), ``dual:0.3,0.4``, or an import path.

    Raises:
        ValueError: an unknown name, or a parameter that is none.

    >>> [m.label for m in methods_of("dual:0.3,0.4")]
    ['dual λ=0.3', 'dual λ=0.4']
    """
    name, colon, values = spec.partition(":")
    if name not in KINDS:
        if "." in name and not colon:
            method = Method(name)
            method.own()
            return [method]
        raise ValueError(f"there is no method {name!r}; choose from {', '.join(KINDS)}, or give an import path.")
    kind = KINDS[name]
    if kind.parameter is None:
        if colon:
            raise ValueError(f"the method {name} has no parameter, got {spec!r}.")
        return [Method(name)]
    if not colon:
        return [Method(name, kind.default)]
    try:
        found = [Method(name, float(value)) for value in values.split(",")]
    except ValueError:
        raise ValueError(f"the parameter of {name} is a number, got {spec!r}.") from None
    for method in found:
        method.target("models", reference="checked elsewhere")
    return found


def available(roles: set[str]) -> list[Method]:
    """Every kind, with its default, that these models allow."""
    return [Method(name, kind.default) for name, kind in KINDS.items() if kind.needs is None or kind.needs in roles]
