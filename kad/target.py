"""What a target is: a distribution made of two (or three) next-token distributions, and where the temperature enters.

Where the temperature T enters changes results, for some solvers by much, so it is a field of every target:

| placement | the rule reads | the mixture mixes | then |
|---|---|---|---|
| ``"models"`` (the paper; default) | p_T and q*_T | p_T and q*_T | |
| ``"draws"`` | p and q* | p_T and q*_T | |
| ``"mixture"`` | p and q* | p and q* | π^{1/T}, normalised |

with p_T ∝ p^{1/T}. The third is no longer a mixture, so the lazy proxy (theory S11) does not apply to it. Greedy
decoding is the argmax of the untempered π in all three.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor

from .checks import instance
from .distributions import check_distributions, check_same_shape
from .solvers import Cut

Placement = Literal["models", "draws", "mixture"]


class Target(ABC):
    """The distribution π that is sampled at every position, as a function of p and q*.

    Subclass it, make it a frozen dataclass and implement ``__call__``; that is all a decoder needs. A target that is
    a mixture π = p (1 − d) + α q* can also say what it defers: decoders then skip the proxy where they can.

    Attributes:
        reads_proxy: ``defer`` needs q* (or there is no ``defer``): the proxy runs at every position.
        placement: where the temperature enters (see the module's table).
        reference: a third model, the small base model q, for targets that need one.
    """

    reads_proxy: ClassVar[bool] = True
    placement: Placement = "models"
    reference: Any = None

    @property
    def made_of(self) -> dict[str, Any]:
        """What decides, by the suite of `kad.testing` that checks it: the target itself, or a mixture's loss and solver."""
        return {"target": self}

    @property
    def stateful(self) -> Any:
        """Itself, if it is a `kad.Stateful`; None if it is the same at every position."""
        return None

    @property
    def limit(self) -> Any:
        """The budget that it keeps, if it is given one; None if not."""
        return None

    @abstractmethod
    def __call__(self, p: Tensor, q: Tensor, r: Tensor | None = None) -> Tensor:
        """π, ``(*batch, V)``, from p, q* and (if there is a ``reference``) its distribution r, each ``(*batch, V)``.

        kad's own refuse what is no distribution, such as logits. Decoders call it for a target that is no mixture, at
        every position and for rows that are done too.
        """

    def defer(self, p: Tensor, q: Tensor | None = None) -> Tensor | None:
        """The decision d, ``(*batch, V)`` in [0, 1], if the target is a mixture; None if it is not."""
        return None

    def deferred(self, loss: Tensor, p: Tensor, q: Tensor | None) -> Tensor | None:
        """d, whatever the losses are by which a `Solver` would decide."""
        return self.defer(p, q)

    def cut(self, p: Tensor) -> Cut | None:
        """The same decision in a few numbers, if it defers the lightest tokens of p; None (the default) if not."""
        return None

    def unchecked(self, p: Tensor, q: Tensor, r: Tensor | None = None) -> Tensor:
        """π without a look at what is mixed, for a decoder: a row that is done may hold anything, and nobody reads its π."""
        return self(p, q) if r is None else self(p, q, r)


class Checked(Target):
    """A target of kad's own: it refuses what is no distribution where people call it, not where a decoder does."""

    def __call__(self, p: Tensor, q: Tensor, r: Tensor | None = None) -> Tensor:
        check_distributions(**({"p": p, "q": q} if r is None else {"p": p, "q": q, "r": r}))
        return self.unchecked(p, q, r)

    @abstractmethod
    def unchecked(self, p: Tensor, q: Tensor, r: Tensor | None = None) -> Tensor:
        """π of what is known to be distributions."""


def at_one_position(target: Any, what: str) -> None:
    """Raise a ValueError, in one sentence, if a target (or a solver) has a state, which ``what`` cannot follow along a text."""
    if getattr(target, "stateful", None) is not None:
        raise ValueError(
            f"{what} takes every position by itself, and {type(target).__name__} has a state that follows the text."
        )


def check_placement(placement: str) -> None:
    if placement not in get_args(Placement):
        raise ValueError(f"placement must be one of {', '.join(get_args(Placement))}; got {placement!r}.")


def mix(p: Tensor, q: Tensor, d: Tensor) -> Tensor:
    """π_v = p_v (1 − d_v) + q*_v Σ_w p_w d_w (paper, Section 3; theory S8), all ``(*batch, V)``.

    Raises:
        ValueError: p or q* is no distribution, shapes differ, or d lies outside [0, 1].

    >>> import torch
    >>> mix(torch.tensor([0.75, 0.25]), torch.tensor([0.5, 0.5]), torch.tensor([0.0, 1.0]))
    tensor([0.8750, 0.1250])
    """
    check_distributions(p=p, q=q)
    check_decision(p, d)
    return mixed(p, q, d)


def check_decision(p: Tensor, d: Tensor) -> None:
    """Raise a ValueError unless d is a decision about the tokens of p; not looked at while a compiler traces."""
    if torch.compiler.is_compiling():
        return
    instance("d", d, Tensor)
    check_same_shape("p", p, "d", d)
    if not bool(((d >= 0) & (d <= 1)).all()):
        raise ValueError("d must lie in [0, 1] for every token: it is a probability of deferral.")


def mixed(p: Tensor, q: Tensor, d: Tensor) -> Tensor:
    """`mix` of what is known to be right."""
    rejected = p * d
    return p - rejected + rejected.sum(-1, keepdim=True) * q
