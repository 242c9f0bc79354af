"""The first look at a target that is not kad's own, or that has a loss or a solver of somebody else's: one sentence.

`kad.testing` measures claims on many inputs, and whoever has run it meets nothing here. Whoever has not would otherwise
see text that is no sample of anything. kad's own classes are trusted, and a run of theirs does not come here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..chances.looked import foreign, wrong
from ..checks import missing
from ..decisions import Decision, Reading
from ..distributions import alpha_of, total
from ..losses import Loss
from ..solvers import Cut, Solver
from ..target import Target, mixed
from .trial import Owed, Trial


def look_at(target: Target) -> Look | None:
    """Who looks at a run's first position; nobody where all that decides is kad's own."""
    return Look(target) if any(foreign(part) for part in target.made_of.values()) else None


class Look:
    """The look at one run's target.

    Attributes:
        target: whose.
        mixture: whether it is one, by what its ``defer`` said at the first position; None before it was asked.
        done: whether π itself has been looked at.

    Raises:
        ValueError: one sentence that names the class, what is wrong, and the check to run.
    """

    def __init__(self, target: Target) -> None:
        self.target, self.seen = target, Looker(target, "target")
        self.mixture: bool | None = None
        self.done = False

    def at_debt(self, owed: Owed, q: Reading) -> None:
        """The first position, where it was owed."""
        self.first(owed.where, owed.base, q, owed.reference)

    def at_trial(self, trial: Trial) -> None:
        """The first position, at the first place of a round; without a draft there is no q* yet."""
        first, proxy, running, drafts = (slice(None), 0), None, trial.running, trial.drafts
        if drafts.width:
            proxy, running = drafts.at(torch.zeros_like(drafts.count)), running & (drafts.count > 0)
        self.first(running, trial.base.at(first), proxy, trial.reference and trial.reference.at(first))

    def first(self, where: Tensor, base: Reading, proxy: Reading | None, reference: Reading | None) -> None:
        """Look at the rows that count of the first position, until q* was known there; readings ``(B, V)``."""
        if self.done:
            return
        at = where.to(base.plain.device)
        base, proxy, reference = base.at(at), proxy and proxy.at(at), reference and reference.at(at)
        target, p = self.target, base.for_rule(self.target)
        q = None if proxy is None else proxy.for_rule(target)
        if self.mixture is None and (q is not None or not target.reads_proxy):
            reads = (p,) if q is None or not target.reads_proxy else (p, q)
            if "loss" in target.made_of:
                look_at_parts(target.made_of["loss"], target.made_of["solver"], reads)
                self.mixture = self.done = True
            else:
                self.mixture = target.reference is None and self.decides(reads)
                if target.stateful is not None and not self.mixture:
                    raise self.seen.fault(".at must return a mixture, such as kad.dual(0.4)")
        if proxy is not None and not self.done:
            self.whole(base, proxy, reference)
            self.done = True

    def decides(self, reads: tuple[Tensor, ...]) -> bool:
        """Look at ``defer`` and ``cut``; whether there is a decision."""
        seen, p, target = self.seen, reads[0], self.target
        found = seen.read("defer", reads)
        cut = seen.ask("cut", p)
        if found is None:
            if cut is not None:
                raise seen.fault(" has a cut, but its defer returns None, which says that it is no mixture")
            return False
        d = seen.decision(found, p, "defer")
        seen.again(target.defer, list(reads), d, p)
        seen.cut(cut, p, d)
        return True

    def whole(self, base: Reading, proxy: Reading, reference: Reading | None) -> None:
        """Look at π; of a mixture also whether it is the one of its own decision."""
        seen, target = self.seen, self.target
        given = [base, proxy] if reference is None else [base, proxy, reference]
        p, q, *r = [x.for_rule(target) if self.mixture else x.for_mixture(target) for x in given]
        pi = seen.per_token(seen.ask("__call__", p, q, *r), p, "π")
        if bool((pi < 0).any()):
            raise seen.fault(f"'s π must not be negative, got {float(pi.min()):g}")
        self.sums(pi, torch.ones(len(pi), dtype=torch.bool))
        seen.again(target, [p, q, *r], pi, None)
        d = target.defer(*(p.clone(), q.clone())[: 1 + target.reads_proxy]) if self.mixture else None
        if d is not None and not bool(((mixed(p, q, d) - pi).abs().sum(-1) <= 2 * close(p)).all()):
            raise seen.fault("'s π is not p (1 - d) + q* Σ p d with the d that its defer returns")

    # -- afterwards, at every position: what costs next to nothing beside a π or a d that is a stranger's ---------------

    def sums(self, pi: Tensor, where: Tensor) -> None:
        """Σ π = 1 wherever it counts, a mask on the CPU, so that no NaN is ever drawn from."""
        sums = total(pi)[where.to(pi.device)]
        off = (sums - 1).abs()
        if not bool((off <= close(pi)).all()):
            worst = float(sums[off.nan_to_num(torch.inf).argmax()])
            raise self.seen.fault(f"'s π must sum to 1 in every row, got {worst:g}")

    def decided(self, decision: Decision | None, where: Tensor) -> None:
        """There is a decision if there was one at first, and its α is one at the positions that count."""
        if decision is None and not self.mixture:
            return
        if decision is None:
            raise self.seen.fault(
                "'s defer returned a decision at first and None later; it must do the one or the other"
            )
        alpha = decision.alpha.cpu()[where]
        slack = close(alpha)
        if bool(((alpha >= -slack) & (alpha <= 1 + slack)).all()):
            return
        suite, thing = next(part for part in reversed(self.target.made_of.items()) if foreign(part[1]))
        raise wrong(thing, suite, f" leads to a deferred mass outside [0, 1], {float(alpha.min()):g}")


def look_at_parts(loss: Loss, solver: Solver, reads: tuple[Tensor, ...]) -> None:
    """A mixture's loss and solver, one of which at least is not kad's."""
    p = reads[0]
    if foreign(loss):
        seen = Looker(loss, "loss")
        values = seen.per_token(seen.read("__call__", reads), p, "loss")
        if bool((values < 0).any()):
            raise seen.fault(f" is negative for some token, {float(values.min()):g}")
        seen.again(loss, list(reads), values, p)
        if loss.strict and rises(values, p):
            raise seen.fault(" claims to be strict, but a likelier token costs more than a less likely one")
    if foreign(solver):
        seen = Looker(solver, "solver")
        values = loss(*reads)
        d = seen.decision(seen.ask("defer", values, p), p, "d")
        seen.again(solver.defer, [values, p], d, p)
        if loss.strict:
            seen.cut(seen.ask("cut", p), p, d)


def rises(loss: Tensor, p: Tensor) -> bool:
    """Whether a loss that should fall with the mass rises by more than rounding."""
    l = loss.gather(-1, p.argsort(-1)).nan_to_num(posinf=torch.finfo(p.dtype).max)
    return bool((l[..., 1:] - l[..., :-1] > close(p) * (1 + l[..., :-1].abs())).any())


def close(p: Tensor) -> float:
    """What may be rounding in a sum over the vocabulary, or in the mass that two decisions differ by."""
    return 1e-6 if p.dtype == torch.float64 else 1e-3


@dataclass
class Looker:
    """Asks one part of a target and looks at what it answers.

    Attributes:
        thing: the target, loss or solver.
        suite: of `kad.testing`.
    """

    thing: Any
    suite: str

    def fault(self, what: str) -> ValueError:
        return wrong(self.thing, self.suite, what)

    def ask(self, name: str, *given: Tensor) -> Any:
        """Call a method on copies, and look whether it left them as they were."""
        method, shown = getattr(self.thing, name), f".{name}".removesuffix(".__call__")
        if said := missing(method, len(given)):
            raise self.fault(f"{shown} must take {len(given)} tensors by position, but there is: {said}")
        copies = [x.clone() for x in given]
        found = method(*copies)
        if not all(torch.equal(copy, x) for copy, x in zip(copies, given, strict=True)):
            raise self.fault(
                f"{shown} changes the tensors that it is given, which others read too: let it work on copies"
            )
        return found

    def read(self, name: str, reads: tuple[Tensor, ...]) -> Any:
        """Call a method with p and q*, or with p alone if ``reads_proxy = False`` says that it can be."""
        try:
            return self.ask(name, *reads)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            if self.thing.reads_proxy:
                raise
            try:
                getattr(self.thing, name)(*[reads[0].clone() for _ in range(2)])
            except Exception:
                raise error from None  # it is not for want of q*
            shown = f".{name}".removesuffix(".__call__")
            raise self.fault(
                f"{shown} fails without q*, but the class says reads_proxy = False; say reads_proxy = True"
            ) from error

    def per_token(self, found: Any, p: Tensor, what: str) -> Tensor:
        """One number per token, of p's dtype and beside it, and none of them NaN."""
        if not isinstance(found, Tensor):
            raise self.fault(f"'s {what} must be a tensor, got {type(found).__name__}")
        if found.shape != p.shape:
            raise self.fault(f"'s {what} must have the shape {tuple(p.shape)} of p, got {tuple(found.shape)}")
        if found.dtype != p.dtype or found.device != p.device:
            raise self.fault(f"'s {what} must be {p.dtype} on {p.device} like p, got {found.dtype} on {found.device}")
        if bool(torch.isnan(found).any()):
            raise self.fault(f"'s {what} is NaN for some token")
        return found

    def decision(self, found: Any, p: Tensor, what: str) -> Tensor:
        d = self.per_token(found, p, what)
        if bool(((d < 0) | (d > 1)).any()):
            raise self.fault(f"'s {what} must lie in [0, 1], got {float(d.min()):g} to {float(d.max()):g}")
        return d

    def again(self, call: Callable[..., Any], given: list[Tensor], whole: Tensor, weight: Tensor | None) -> None:
        """The first row beside another, ``(1, 2, V)``, must give what it gave before: no randomness, no memory, and no
        reduction over another axis than the last. Differences are weighed by the masses, or counted as they are."""
        copies = [torch.stack([x[:1], x[:1].flip(-1)], 1) for x in given]
        try:
            both = call(*copies)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            shapes = f"{tuple(given[0].shape)} but not of {tuple(copies[0].shape)}"
            raise self.fault(f" takes p of the shape {shapes}; it must take (*batch, V)") from error
        same = isinstance(both, Tensor) and both.shape == copies[0].shape
        if same:
            apart, scale = (x.abs().nan_to_num(0.0, 0.0) for x in (both[0, 0] - whole[0], whole[0]))  # ∞ − ∞ of losses
            apart, scale = (x if weight is None else x * weight[0] for x in (apart, scale))
            same = float(apart.sum()) <= 10 * close(whole) * (1 + float(scale.sum()))
        if not same:
            raise self.fault(
                " gives a row another answer when it is asked again, in another batch: it must be a function of the row alone, "
                "along the last axis, with no randomness"
            )

    def cut(self, found: Any, p: Tensor, d: Tensor) -> None:
        if found is None:
            return
        if not isinstance(found, Cut):
            raise self.fault(f".cut must return a kad.Cut or None, got {type(found).__name__}")
        shape, fields = p.shape[:-1], [found.value, found.alpha, found.critical, found.share]
        given = [x for i, x in enumerate(fields) if i < 2 or x is not None]
        if not all(isinstance(x, Tensor) and x.shape == shape for x in given):
            raise self.fault(f".cut must have fields of the shape {tuple(shape)}, one number for every row")
        apart = (p * (found.dense(p) - d).abs()).sum(-1)
        if not bool((apart <= close(p)).all()):
            raise self.fault(".cut defers other tokens than its defer")
        if not bool(((found.alpha - alpha_of(p, d)).abs() <= close(p)).all()):
            raise self.fault(".cut has an alpha that is not the mass that it defers")
