"""Targets that move along a text: a state in every row, which follows what has been emitted, and the price that paces itself."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from .checks import forgotten_classvar, instance
from .distributions import check_distributions
from .losses import Logistic, Loss
from .mixture import Mixture
from .solvers import Cut, Dual
from .solvers.parameters import one_number, probability
from .target import Placement, Target, check_placement

ALL = 2.0  # a threshold that every probability is below


class Stateful(Target):
    """A mixture whose rule moves along a text: at every position it is a target made from the row's state there.

    The state is one number a row, or a few. Behind every token that has been emitted it is made anew, from the mass that was
    deferred there and from the token. Decoders carry it through windows, rollbacks and batches: a row's text has the
    law that it would have token by token and alone, with ``s_1 = begin()``, ``π_t`` that of ``at(s_t)`` and
    ``s_{t+1} = follow(s_t, α_t, x_t)``. What was drafted and fell has changed nothing.

    Subclass it, make it a frozen dataclass, and implement the three; `kad.testing.check_target` looks at them. Called as a
    function, a stateful target is what it is at a text's first position. What holds for a `Target` holds for those that ``at``
    makes: ``reads_proxy`` and ``placement`` are the same for all, and are said by this class.

    >>> from dataclasses import dataclass
    >>> import kad
    >>> @dataclass(frozen=True)
    ... class Fading(kad.Stateful):
    ...     '''The dual, whose threshold falls with every token.'''
    ...     threshold: float = 0.8
    ...     rate: float = 0.9
    ...     reads_proxy = False
    ...     def begin(self):
    ...         return self.threshold
    ...     def at(self, state):
    ...         return kad.dual(state)
    ...     def follow(self, state, alpha, token):
    ...         return self.rate * state
    >>> pair = kad.demo.load()
    >>> prompt = "q : tom has 6 apples . he loses 2 . he finds 9 more . how many apples does tom have now ? a :"
    >>> out = kad.generate(pair.base, pair.proxy, prompt, target=Fading(), tokenizer=pair.tokenizer, window=3)
    >>> out.trace.states[0, :3]
    tensor([0.8000, 0.7200, 0.6480], dtype=torch.float64)
    """

    @property
    def stateful(self) -> Stateful:
        return self

    @abstractmethod
    def begin(self) -> float | tuple[float, ...]:
        """The state before a text's first token: a number, or k of them."""

    @abstractmethod
    def at(self, state: Tensor) -> Target:
        """The target at one position of every row, a mixture, from the rows' states ``(*batch,)`` or ``(*batch, k)``."""

    @abstractmethod
    def follow(self, state: Tensor, alpha: Tensor, token: Tensor) -> Tensor:
        """The states behind a token, like ``state``, from those before it, the deferred mass and the token, ``(*batch,)`` each.

        Every row on its own. Where a row's answer is not needed it may be given anything, NaN included.
        """

    def first(self, p: Tensor) -> Tensor:
        """The state before the first token, for every row of ``p (*batch, V)``, in its dtype and where it is."""
        begin = self.begin()
        if isinstance(begin, tuple):
            return torch.tensor(begin, dtype=p.dtype).to(p.device).expand(*p.shape[:-1], len(begin))
        return torch.full(p.shape[:-1], begin, dtype=p.dtype, device=p.device)

    def path(self, alphas: Tensor, tokens: Tensor) -> Tensor:
        """The states before every token of some texts, ``(B, N)`` or ``(B, N, k)`` in float64, from what a trace holds, ``(B, N)``.

        >>> import kad, torch
        >>> kad.Paced(kad.Logistic(), budget=0.5).path(torch.tensor([[1.0, 0.0]]), torch.zeros(1, 2))
        tensor([[1.0000, 1.5000]], dtype=torch.float64)
        """
        state, found = self.first(alphas[:, :0].double().new_empty(len(alphas), 1)), list[Tensor]()
        for alpha, token in zip(alphas.double().unbind(1), tokens.unbind(1), strict=True):
            found.append(state)
            state = self.follow(state, alpha, token)
        return torch.stack(found, 1) if found else state.unsqueeze(1)[:, :0]

    def __call__(self, p: Tensor, q: Tensor, r: Tensor | None = None) -> Tensor:
        check_distributions(p=p, q=q)
        return self.unchecked(p, q)

    def unchecked(self, p: Tensor, q: Tensor, r: Tensor | None = None) -> Tensor:
        return self.at(self.first(p)).unchecked(p, q)

    def defer(self, p: Tensor, q: Tensor | None = None) -> Tensor | None:
        return self.at(self.first(p)).defer(p, q)

    def cut(self, p: Tensor) -> Cut | None:
        return self.at(self.first(p)).cut(p)


@final
@dataclass(frozen=True)
class Paced(Stateful):
    """The dual with a price that keeps to a budget over a text: μ_{t+1} = max(0, μ_t + η (α_t − b)) (theory S15).

    A constant multiplier defers more in one text than in another. Here the price rises where more than b was deferred and falls
    where less was, so the mean deferral of *every* text exceeds b by at most (max μ − μ_1) / (η T). With the logistic loss
    max μ ≤ max(μ_1, log(|V| / b) + η (1 − b)). Sure positions defer less than b, and with a price of 0 what they leave is forgotten;
    with ``equality`` the price may be negative, everything is then deferred, and the mean is kept from below too.

    Attributes:
        loss: ℓ; the price is in its units.
        budget: b, the deferred mass per token, on average over a text.
        step: η > 0, how fast the price moves. A small one is nearly the constant dual, which spends best what it spends (theory
            S14); a large one keeps to the budget in short texts.
        start: μ_1 ≥ 0, the price of the first token.
        placement: where the temperature enters.
        equality: whether the mean is to be b, rather than at most b.

    Raises:
        ValueError: no loss (a class in place of an instance, say), a budget outside [0, 1], a step or a start that is none, an
            unknown placement, or an equality that is neither True nor False.

    >>> import kad
    >>> pair = kad.demo.load()
    >>> prompt = "q : tom has 6 apples . he loses 2 . he finds 9 more . how many apples does tom have now ? a :"
    >>> target = kad.Paced(kad.Logistic(), budget=0.3)
    >>> out = kad.generate(pair.base, pair.proxy, prompt, target=target, tokenizer=pair.tokenizer, window=3)
    >>> [round(x, 2) for x in out.trace.states[0, :3].tolist()]
    [1.0, 1.7, 1.4]
    """

    loss: Loss
    budget: float
    step: float = 1.0
    start: float = 1.0
    placement: Placement = "models"
    equality: bool = False

    def __post_init__(self) -> None:
        instance("a Paced's loss", self.loss, Loss)  # type: ignore[type-abstract]
        check_placement(self.placement)
        if sentence := forgotten_classvar(self.loss, Loss):
            raise ValueError(f"{sentence[:-1]}, and run kad.testing.check_loss.")
        object.__setattr__(self, "budget", one_number("Paced budget", probability("Paced budget", self.budget)))
        for name in ("step", "start"):
            object.__setattr__(self, name, one_number(f"Paced {name}", getattr(self, name)))
        if not 0 < self.step < math.inf:
            raise ValueError(f"Paced step must be a finite number > 0, got {self.step}.")
        if not 0 <= self.start < math.inf:
            raise ValueError(f"Paced start must be a finite number ≥ 0, got {self.start}.")
        if not isinstance(self.equality, bool):
            raise ValueError(f"Paced equality must be True or False, got {self.equality!r}.")

    @property
    def reads_proxy(self) -> bool:  # type: ignore[override]
        return self.loss.reads_proxy

    @property
    def made_of(self) -> dict[str, Any]:
        return {"loss": self.loss, "solver": Dual(multiplier=self.start)}

    def begin(self) -> float:
        return self.start

    def at(self, state: Tensor) -> Mixture:
        threshold = self.loss.threshold(state.clamp_min(0) if self.equality else state)
        if threshold is not None and self.equality:
            threshold = threshold.masked_fill(state < 0, ALL)
        solver = Dual.of(multiplier=state) if threshold is None else Dual.of(threshold=threshold)
        return Mixture(self.loss, solver, self.placement)

    def follow(self, state: Tensor, alpha: Tensor, token: Tensor) -> Tensor:
        return next_price(state, alpha.to(state.dtype), self.budget, self.step, self.equality)


def next_price(price: Tensor, deferred: Tensor, budget: float, step: float, equality: bool = False) -> Tensor:
    """max(0, μ + η (g − b)), elementwise (theory S15); without the maximum where the mean is to be the budget."""
    moved = price + step * (deferred - budget)
    return moved if equality else moved.clamp_min(0)


def paced(
    budget: float, step: float = 1.0, start: float = 1.0, placement: Placement = "models", equality: bool = False
) -> Paced:
    """KAD with the logistic loss and a price that keeps to a budget over a text.

    >>> paced(0.3).budget
    0.3
    """
    return Paced(Logistic(), budget, step, start, placement, equality)
