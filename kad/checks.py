"""Values from plans, files, options and callers: of the right type and in range, or one sentence.

YAML reads ``n: yes`` as True and ``n: 1e3`` as text; Python counts True as 1. None of it passes for a number here.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from numbers import Integral, Real
from typing import Any, TypeVar

Wanted = TypeVar("Wanted")


def whole(name: str, value: Any, least: int | None = None) -> int:
    """A whole number, of ``least`` at least.

    >>> whole("the batch", 64, 1)
    64
    >>> whole("the batch", True, 1)
    Traceback (most recent call last):
    ValueError: the batch must be a whole number, got True.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ValueError(f"{name} must be a whole number, got {value!r}.")
    if least is not None and value < least:
        raise ValueError(f"{name} must be ≥ {least}, got {value}.")
    return int(value)


def number(name: str, value: Any, low: float = -math.inf, high: float = math.inf, open_low: bool = False) -> float:
    """A finite number in [low, high], or in (low, high] with ``open_low``.

    >>> number("top_p", 0.9, 0, 1, open_low=True)
    0.9
    >>> number("top_p", 0, 0, 1, open_low=True)
    Traceback (most recent call last):
    ValueError: top_p must lie in (0, 1], got 0.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise ValueError(f"{name} must be a number, got {value!r}.")
    found = float(value)
    if not low <= found <= high or (open_low and found == low):
        raise ValueError(f"{name} must lie in {'(' if open_low else '['}{low:g}, {high:g}], got {found:g}.")
    return found


def text(name: str, value: Any) -> str:
    """A text that is not empty.

    >>> text("a task", "gsm8k")
    'gsm8k'
    """
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} must be a text, got {value!r}.")
    return value


def seed(value: Any, name: str = "seed") -> int:
    """A seed of PyTorch's generators: a whole number of 64 bits, with or without a sign.

    >>> seed(3)
    3
    >>> seed(2**70)
    Traceback (most recent call last):
    ValueError: seed must lie in [-2^63, 2^64), got 1180591620717411303424.
    """
    found = whole(name, value)
    if not -(2**63) <= found < 2**64:
        raise ValueError(f"{name} must lie in [-2^63, 2^64), got {found}.")
    return found


def instance(place: str, thing: Any, kind: type[Wanted]) -> Wanted:
    """An instance of a class of kad's or of a subclass; ``place`` is where it was given.

    >>> from numbers import Real
    >>> instance("a sum's first term", 1.5, Real)
    1.5
    >>> instance("a sum's first term", float, Real)
    Traceback (most recent call last):
    ValueError: a sum's first term must be a Real, got the class float; make an instance: float().
    """
    if isinstance(thing, kind):
        return thing
    if isinstance(thing, type):
        fix = f"; make an instance: {called(thing)}" if issubclass(thing, kind) else f", which is no {kind.__name__}"
        raise ValueError(f"{place} must be a {kind.__name__}, got the class {thing.__name__}{fix}.")
    shown = " ".join(repr(thing).split())
    if len(shown) > 60:  # a tensor, a model
        shown = f"an instance of {type(thing).__name__}"
    raise ValueError(f"{place} must be a {kind.__name__}, got {shown}.")


def called(kind: type) -> str:
    """How an instance is made, as far as the signature tells."""
    try:
        parameters = inspect.signature(kind).parameters.values()
    except ValueError:  # built in C
        return f"{kind.__name__}()"
    needed = any(p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)
    return f"{kind.__name__}({'...' if needed else ''})"


def missing(function: Any, arguments: int) -> str | None:
    """What a function's signature has against so many positional arguments; None if it takes them, or does not tell.

    >>> missing(lambda p: p, 2)
    'too many positional arguments'
    """
    try:
        inspect.signature(function).bind(*range(arguments))
    except TypeError as error:
        return str(error)
    except ValueError:  # built in C
        return None
    return None


def forgotten_classvar(thing: object, kind: type) -> str | None:
    """One sentence if a claim of ``kind`` has become a field of its dataclass, and so an argument of its constructor.

    >>> import dataclasses, kad
    >>> @dataclasses.dataclass(frozen=True)
    ... class Mine:
    ...     strict: bool = True
    >>> forgotten_classvar(Mine(), kad.Loss)
    'Mine.strict is a claim about the class but became an argument of Mine(...): write `strict: ClassVar[bool] = True`.'
    """
    found = {f.name: f.default for f in fields(thing)} if is_dataclass(thing) else {}
    name = next((claim for claim, default in vars(kind).items() if isinstance(default, bool) and claim in found), None)
    if name is None:
        return None
    mine, value = type(thing).__name__, found[name] if isinstance(found[name], bool) else True
    return (
        f"{mine}.{name} is a claim about the class but became an argument of {mine}(...): "
        f"write `{name}: ClassVar[bool] = {value}`."
    )


def distinct(name: str, values: Sequence[Any]) -> None:
    if twice := next((value for i, value in enumerate(values) if value in values[:i]), None):
        raise ValueError(f"{name} name {twice!r} twice.")
