"""The interface: what is computed over whole vocabularies, and that machines do in different ways."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple, ParamSpec, TypeVar

from torch import Tensor

from ..cut import Cut

P = ParamSpec("P")
R = TypeVar("R")


class Prefix(NamedTuple):
    """The longest prefix, by falling loss and then by token id, of mass ≤ b.

    Attributes:
        fits: whether a token is in it, ``(*batch, V)``.
        critical: the first token that does not fit, ``(*batch, 1)``; V if all do.
        left: the budget that the prefix leaves unfilled, ``(*batch, 1)``, in the dtype of sums.
    """

    fits: Tensor
    critical: Tensor
    left: Tensor


class Weights(NamedTuple):
    """What a token is drawn from: weights over the vocabulary, ``(B, V)``, or over some tokens of each row, ``(B, k)``."""

    weights: Tensor
    tokens: Tensor | None = None

    def pick(self, pick: Callable[[Tensor], Tensor]) -> Tensor:
        """One token per row, ``(B,)``, by a source that gives a place for weights."""
        at = pick(self.weights)
        return at if self.tokens is None else self.tokens.gather(1, at.unsqueeze(-1)).squeeze(-1)


def each(value: float | Tensor, rows: int) -> list[float]:
    """The number of every row, from one of all rows or from those of the rows."""
    return value.reshape(-1).tolist() if isinstance(value, Tensor) else [value] * rows


class Arithmetic(ABC):
    """One machine's operations on masses ``(*batch, V)``. All give the same decisions; sums agree to their rounding.

    Attributes:
        asks: whether to ask about a tensor's values costs next to nothing (on a GPU it waits for all that was begun).
    """

    asks: bool = False

    @abstractmethod
    def softmax(self, logits: Tensor, temperature: float, out: Tensor | None = None) -> Tensor:
        """p_v ∝ exp(logits_v / T), in float32 or better; into ``out`` if it is given."""

    @abstractmethod
    def below(self, mass: Tensor, threshold: float | Tensor) -> Tensor:
        """Σ_v P_v [P_v < threshold], ``(*batch,)``, of masses that sum to 1: exactly 1 where all are below."""

    @abstractmethod
    def prefix(self, loss: Tensor, mass: Tensor, budget: float | Tensor) -> Prefix:
        """The greedy's prefix of every row. With b = 1 everything is deferred, whatever the masses' rounded sum.

        ``budget`` is that of all rows or of every row, ``(*batch,)`` in the dtype of accumulation.
        """

    @abstractmethod
    def lightest(self, mass: Tensor, budget: float | Tensor, fill: bool) -> Cut:
        """The greedy for any loss that falls strictly with the mass: the lightest tokens first, equal ones by token id.

        ``budget`` as for `prefix`; ``fill``: of the critical token, the share that fills it.
        """

    @abstractmethod
    def kept(self, cut: Cut, mass: Tensor) -> Tensor:
        """P_v (1 − d_v) of a cut of these masses, ``(*batch, V)``."""

    @abstractmethod
    def leftover(self, d: Tensor | Cut, p: Tensor, q: Tensor, alpha: Tensor) -> Weights:
        """What a rejected draft is replaced from: (p (1 − d) − (1 − α) q*)₊ of ``(B, V)``, unnormalised.

        That is (π − q*)₊ of a mixture, and proportional to (p_keep − q*)₊ (theory S10). Where it is numerically zero, π equals
        q* to rounding: then q*.
        """

    @abstractmethod
    def draw(self, weights: Tensor, uniform: Tensor) -> Tensor:
        """The token at which the cumulative weight first exceeds ``uniform · Σ w``; ``(B, V), (B,) -> (B,)``.

        A token of weight zero is never drawn, and the rounded sum does not matter.
        """

    @abstractmethod
    def mode(self, weights: Tensor) -> Tensor:
        """The heaviest token, of equal ones the first; ``(*batch, V) -> (*batch,)``."""

    def call(self, function: Callable[P, R], *given: P.args, **named: P.kwargs) -> R:
        """A function of tensors that is not the machine's own."""
        return function(*given, **named)

    def formula(self, function: Callable[..., Tensor], at: Tensor, *given: Any) -> Tensor:
        """A formula of kad's own over ``at`` and more, which on a GPU would launch a kernel for every operation."""
        return function(at, *given)
