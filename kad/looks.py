"""How a decoder looks at what a class that is not kad's own answers: shape, dtype, range, and the sentence if it is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .checks import called, missing
from .distributions import deferred_mass
from .solvers import Cut

CLOSE = {
    torch.float64: 1e-6
}  # what may be rounding in a sum over the vocabulary, or in the mass two decisions differ by
LOOSE = 1e-3  # the same in float32


def foreign(thing: object) -> bool:
    """Whether its class is not kad's own.

    >>> import kad
    >>> foreign(kad.dual(0.4)), foreign([])
    (False, True)
    """
    return not (type(thing).__module__ + ".").startswith("kad.")


def wrong(thing: Any, suite: str, what: str) -> ValueError:
    """The sentence: whose class, what is wrong, and the suite that shows it on small inputs."""
    kind = type(thing)
    return ValueError(f"{kind.__name__}{what}; kad.testing.check_{suite}({called(kind)}) shows it on small inputs.")


def close(p: Tensor) -> float:
    return CLOSE.get(p.dtype, LOOSE)


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
        """d over the vocabulary."""
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
        """A cut says what d says."""
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
        if not bool(((found.alpha - deferred_mass(p, d)).abs() <= close(p)).all()):
            raise self.fault(".cut has an alpha that is not the mass that it defers")
