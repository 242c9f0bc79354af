"""Kad's own methods by name: which model stands in the base's place, and which target is sampled.

In every name p is the large base model and q* the small aligned one. The rules of speculative cascades are written with p
in the place of their small model and q* in that of their large one (`kad.cascades`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from . import cascades, mixture
from .losses import ConfidenceBet, Loss, Nudging
from .mixture import Base, Mixture
from .solvers import Dual
from .stateful import Paced, paced
from .target import Placement

Role = Literal["base", "proxy", "reference", "aligned"]
Make = Callable[..., Any]


@dataclass(frozen=True)
class Kind:
    """A family of methods with one parameter, or none.

    Attributes:
        about: one line for people.
        make: the target, from the parameter, the placement of the temperature and, where it is needed, the reference model.
        parameter: the parameter's symbol; None if there is none.
        default: its value if none is given.
        base: the model that stands in the base's place; other than "base" it runs alone.
        needs: a further model that must be given.
        budget: the parameter is a budget, so that what is left of it can be shown.
        range: where tuning looks for the parameter.
        stateful: its rule moves along a text, which only kad's own engines can follow.
        own: it names code of the user's own, which is imported only where it runs (`kad.evaluation.own`).
    """

    about: str
    make: Make
    parameter: str | None = None
    default: float | None = None
    base: Role = "base"
    needs: Role | None = None
    budget: bool = False
    range: tuple[float, float] = (0.05, 0.95)
    stateful: bool = False
    own: bool = False

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
    return lambda value, at: Mixture(loss, Dual(multiplier=value), at)


def make_paced(budget: float, at: Placement) -> Paced:
    return paced(budget, placement=at)


KINDS: dict[str, Kind] = {
    "p": Kind("the large base model alone", lambda value, at: Base()),
    "q*": Kind("the small aligned model alone", lambda value, at: Base(), base="proxy"),
    "p*": Kind("the large model aligned itself", lambda value, at: Base(), base="aligned", needs="aligned"),
    "nudging": Kind("q* where max p < λ", mixture.nudging, "λ", 0.4),
    "implicit-reward": Kind(
        "π ∝ p (q*/q)^β", lambda value, at, q: mixture.implicit_reward(q, value, at), "β", 1.0, needs="reference"
    ),
    "dual": Kind("KAD, p_v < λ deferred", mixture.dual, "λ", 0.4),
    "primal": Kind("KAD, the lightest tokens of mass ≤ b", mixture.primal, "b", 0.9, budget=True),
    "fractional": Kind("KAD, the lightest tokens of mass b", mixture.fractional, "b", 0.9, budget=True),
    "paced": Kind("KAD, b deferred on average over every text", make_paced, "b", 0.3, stateful=True),
    "confidence-bet": Kind("p_v < max q* − m deferred", mixture.confidence_bet, "m", 0.1, range=(0.0, 0.6)),
    "cascade-chow": Kind("all deferred where max p < 1 − μ", rule(Nudging()), "μ", 0.6),
    "cascade-diff": Kind("all deferred where max p < max q* − μ", rule(cascades.Diff()), "μ", 0.1),
    "cascade-opt": Kind("all deferred where max p < max q* − μ D_TV(p, q*)", rule(cascades.Opt()), "μ", 0.1),
    "cascade-token-v1": Kind("p_v < max q* − μ deferred (the confidence bet)", rule(ConfidenceBet()), "μ", 0.1),
    "cascade-token-v2": Kind("q*_v < max q* − μ deferred", rule(cascades.TokenV2()), "μ", 0.6),
    "cascade-token-v3": Kind("q*_v < (1 − μ) max q* deferred", rule(cascades.TokenV3()), "μ", 0.9),
    "ensemble": Kind("π = (1 − w) p + w q*", mixture.Ensemble, "w", 0.5),
}
