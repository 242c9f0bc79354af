"""What the decoders ask of a target at some positions: the decision, and the π that is sampled.

A `Reading` is one model's distribution with and without the temperature; which of them a rule reads and which is mixed
is the target's placement. A `Decision` answers only what is asked: d of the drafted tokens, α, d over the vocabulary
where a row stops.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .arithmetic import TORCH, arithmetic_of
from .cut import Cut
from .distributions import alpha_of, temper
from .target import Target


@dataclass(frozen=True)
class Reading:
    """One model's next-token distributions at some positions, without and with the temperature, ``(*batch, V)``."""

    plain: Tensor
    tempered: Tensor

    def at(self, index: Any) -> Reading:
        """The same at some rows or positions."""
        plain = self.plain[index]
        return Reading(plain, plain if self.tempered is self.plain else self.tempered[index])

    def for_rule(self, target: Target) -> Tensor:
        return self.tempered if target.placement == "models" else self.plain

    def for_mixture(self, target: Target) -> Tensor:
        return self.plain if target.placement == "mixture" else self.tempered


@dataclass(frozen=True)
class Decision:
    """d at some positions, dense or as a `Cut`.

    Attributes:
        rule: the masses that the rule read, ``(*batch, V)``.
        alpha: α = Σ_v p_v d_v under the masses that are mixed, ``(*batch,)``; 1 where all are deferred.
        kind: d itself, ``(*batch, V)``, or a cut of ``rule``, which is then what is mixed too.
    """

    rule: Tensor
    alpha: Tensor
    kind: Tensor | Cut

    def at(self, index: Any, rule: Tensor | None = None) -> Decision:
        """The same at some positions; ``rule`` there, if somebody has it already."""
        kind = self.kind.at(index) if isinstance(self.kind, Cut) else self.kind[index]
        return Decision(self.rule[index] if rule is None else rule, self.alpha[index], kind)

    def of(self, token: Tensor, mass: Tensor) -> Tensor:
        """d of one token per position, ``(*batch,)``, from its id and the mass that is mixed."""
        if isinstance(self.kind, Cut):
            return self.kind.of(mass, token)
        return self.kind.gather(-1, token.unsqueeze(-1)).squeeze(-1)

    def dense(self) -> Tensor:
        """d, ``(*batch, V)``."""
        return self.kind.dense(self.rule) if isinstance(self.kind, Cut) else self.kind

    def kept(self, p: Tensor) -> Tensor:
        """p_v (1 − d_v) of the masses p that are mixed, ``(*batch, V)``, a tensor of its own; a cut is always of these masses."""
        if isinstance(self.kind, Cut):
            return arithmetic_of(self.rule).kept(self.kind, self.rule)
        return torch.addcmul(p, p, self.dense(), value=-1)


def decide(target: Target, base: Reading, proxy: Reading | None = None) -> Decision | None:
    """The target's decision at these positions, with the temperature where its placement says; None if it is no mixture.

    ``proxy`` is only needed for targets that read q*.
    """
    rule, mixed = base.for_rule(target), base.for_mixture(target)
    cut = target.cut(rule)
    if cut is not None and mixed is rule:
        return Decision(rule, cut.alpha, cut)
    d = target.defer(rule, proxy.for_rule(target)) if target.reads_proxy and proxy is not None else target.defer(rule)
    return None if d is None else Decision(rule, alpha_of(mixed, d), d)


def pi_of(
    target: Target,
    base: Reading,
    proxy: Reading | None,
    reference: Reading | None,
    temperature: float,
    decision: Decision | None,
    formula: Callable[..., Tensor] = TORCH.formula,
) -> Tensor:
    """The distribution that is sampled at these positions: π with the temperature where its placement says.

    ``decision`` is the target's there, None if it is no mixture; no proxy is needed where a mixture defers nothing. ``formula``
    is the machine's.
    """
    p = base.for_mixture(target)
    if proxy is None:
        pi = p
    elif decision is not None:
        pi = formula(mixed_by, p, proxy.for_mixture(target), decision)
    else:
        r = None if reference is None else reference.for_mixture(target)
        pi = target.unchecked(p, proxy.for_mixture(target), r)
    return temper(pi, temperature) if target.placement == "mixture" else pi


def mixed_by(p: Tensor, q: Tensor, d: Decision) -> Tensor:
    """p_v (1 − d_v) + α q*_v, ``(*batch, V)``."""
    return d.kept(p).addcmul_(d.alpha.unsqueeze(-1), q)
