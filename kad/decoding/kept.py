"""What compiled passes leave on a model between runs, and how to let go of it."""

from __future__ import annotations

from typing import Any

from .wrappers import shells

NAME = "_kad_kept"  # in the model, so that it goes when the model goes: the graphs refer to the model


def kept_for(model: Any) -> dict[Any, Any]:
    """Compiled passes by their options, idle caches by rows and capacity."""
    store: dict[Any, Any] = model.__dict__.setdefault(NAME, {})
    return store


def release(model: Any) -> None:
    """Let go of the graphs and caches that ``compile=True`` has left on a model; its next run compiles anew.

    >>> import kad
    >>> kad.release(kad.demo.load().base)
    """
    for shell in shells(model):
        shell.__dict__.pop(NAME, None)
