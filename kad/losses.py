"""Losses: what it costs to keep a token of the base model (paper, Table 1).

A new loss is a frozen dataclass with one method; see ``examples/new_loss.py`` and `kad.testing.check_loss`.
Shapes everywhere: ``(*batch, V) -> (*batch, V)``, one loss per token, never negative. A token of probability zero
may cost infinity; it weighs nothing, so its risk counts as zero.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal, final

from torch import Tensor

from .distributions import log


class Loss(ABC):
    """The loss ℓ(p, v) ≥ 0 of keeping token v of the base distribution p, for every token at once.

    Subclass it, make it a frozen dataclass, and state three claims that `kad.testing.check_loss` measures:

    Attributes:
        reads_proxy: ℓ depends on the proxy's distribution q* too (the proxy can then not be skipped).
        decreasing: within one distribution, ℓ never rises with p_v. Then no multiplier defers a token that is more
            probable than one it keeps. (The greedy may, where losses tie, and the exact optimum of a budget may too.)
        strict: within one distribution, ℓ falls strictly with p_v alone, so that its order is that of the masses:
            greedy solvers then select by mass and never compute ℓ, and `kad.Dual` takes a probability threshold, which
            is then some multiplier's decision, up to tokens that cost nothing. Of masses whose rounded losses are equal, the lighter goes first.

    A claim is of the class and not of the instance: with a type it is written ``decreasing: ClassVar[bool] = True``,
    because ``decreasing: bool = True`` in a dataclass would be an argument of its constructor.
    """

    reads_proxy: ClassVar[bool] = False
    decreasing: ClassVar[bool] = False
    strict: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, p: Tensor, q: Tensor | None = None) -> Tensor:
        """The loss of every token, ``(*batch, V)``, from the distributions ``(*batch, V)``."""

    def threshold(self, multiplier: Tensor) -> Tensor | None:
        """λ with ℓ_v > μ exactly where p_v < λ, elementwise, for a loss that p_v alone decides; None (the default) for any other.

        `kad.Paced` then compares masses, and computes no loss.
        """
        return None


def proxy_of(loss: Loss, q: Tensor | None) -> Tensor:
    """q* for a loss that reads it, or one sentence."""
    if q is None:
        raise ValueError(f"{type(loss).__name__} reads the proxy: call it with p and q.")
    return q


@final
@dataclass(frozen=True)
class Logistic(Loss):
    """ℓ = −log p_v, in nats. With the dual it keeps p_v ≥ e^{−μ}: ε-sampling, but for one token at least.

    >>> import torch
    >>> Logistic()(torch.tensor([0.5, 0.5]))
    tensor([0.6931, 0.6931])
    """

    decreasing: ClassVar[bool] = True
    strict: ClassVar[bool] = True

    def __call__(self, p: Tensor, q: Tensor | None = None) -> Tensor:
        return -log(p)

    def threshold(self, multiplier: Tensor) -> Tensor:
        return (-multiplier).exp()


@final
@dataclass(frozen=True)
class Squared(Loss):
    """ℓ = (1 − p_v)². With the dual it keeps p_v ≥ 1 − √μ.

    >>> import torch
    >>> Squared()(torch.tensor([0.5, 0.5]))
    tensor([0.2500, 0.2500])
    """

    decreasing: ClassVar[bool] = True
    strict: ClassVar[bool] = True

    def __call__(self, p: Tensor, q: Tensor | None = None) -> Tensor:
        return (1 - p).square()

    def threshold(self, multiplier: Tensor) -> Tensor:
        return (1 - multiplier.sqrt()).clamp_min(0)


@final
@dataclass(frozen=True)
class Brier(Loss):
    """ℓ = 1 − 2 p_v + ‖p‖², the squared distance from p to the one-hot vector of v.

    >>> import torch
    >>> Brier()(torch.tensor([1.0, 0.0]))
    tensor([0., 2.])
    """

    decreasing: ClassVar[bool] = True
    strict: ClassVar[bool] = True

    def __call__(self, p: Tensor, q: Tensor | None = None) -> Tensor:
        # The clamp: 1 − 2 p_v + ‖p‖² ≥ (1 − p_v)² ≥ 0 in the reals, but may round to −1e−8 for p_v near 1.
        return (1 - 2 * p + p.square().sum(-1, keepdim=True)).clamp_min(0)


@final
@dataclass(frozen=True)
class Perceptron(Loss):
    """How far token v falls short of the mode, in log-probability or in probability.

    ``space="log"``: ℓ = log max_w p_w − log p_v; with the dual, min-p sampling with min_p = e^{−μ}.
    ``space="probability"``: ℓ = max_w p_w − p_v; with the dual, the form of the "TokenV2" rule of speculative
    cascades, on p instead of the distribution that is deferred to (`kad.cascades`).

    Raises:
        ValueError: another space.

    >>> import torch
    >>> Perceptron("probability")(torch.tensor([0.75, 0.25]))
    tensor([0.0000, 0.5000])
    """

    space: Literal["log", "probability"] = "log"
    decreasing: ClassVar[bool] = True
    strict: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.space not in ("log", "probability"):
            raise ValueError(f'Perceptron space must be "log" or "probability", got {self.space!r}.')

    def __call__(self, p: Tensor, q: Tensor | None = None) -> Tensor:
        top = p.amax(-1, keepdim=True)
        return top.log() - log(p) if self.space == "log" else top - p


@final
@dataclass(frozen=True)
class ZeroOne(Loss):
    """ℓ = 1 unless v is a mode of p: with the dual at μ < 1, top-1 with its ties.

    It does not tell the tokens below the mode apart, so it takes a multiplier, not a threshold.

    >>> import torch
    >>> ZeroOne()(torch.tensor([0.75, 0.25]))
    tensor([0., 1.])
    """

    decreasing: ClassVar[bool] = True

    def __call__(self, p: Tensor, q: Tensor | None = None) -> Tensor:
        return (p < p.amax(-1, keepdim=True)).to(p.dtype)


@final
@dataclass(frozen=True)
class ConfidenceBet(Loss):
    """ℓ = max(0, max_w q*_w − p_v): defer where the proxy is surer of its mode than the base is of v.

    From the authors' follow-up (arXiv 2604.16146). With the dual, p_v < max_w q*_w − margin is deferred.

    Raises:
        ValueError: called without the proxy's distribution.

    >>> import torch
    >>> ConfidenceBet()(torch.tensor([0.75, 0.25]), torch.tensor([0.5, 0.5]))
    tensor([0.0000, 0.2500])
    """

    reads_proxy: ClassVar[bool] = True
    decreasing: ClassVar[bool] = True

    def __call__(self, p: Tensor, q: Tensor | None = None) -> Tensor:
        return (proxy_of(self, q).amax(-1, keepdim=True) - p).clamp_min(0)


@final
@dataclass(frozen=True)
class Nudging(Loss):
    """ℓ = 1 − max_w p_w for every token: all or nothing, the rule of nudging (paper, Section 3).

    With the dual at μ = 1 − λ the whole distribution is deferred when max_w p_w < λ. It does not tell
    tokens apart, so it takes a multiplier, not a threshold.

    >>> import torch
    >>> Nudging()(torch.tensor([0.75, 0.25]))
    tensor([0.2500, 0.2500])
    """

    def __call__(self, p: Tensor, q: Tensor | None = None) -> Tensor:
        return (1 - p.amax(-1, keepdim=True)).expand_as(p)
