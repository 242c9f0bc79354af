"""What a model did in one run: its passes, the places computed in them, and how long they took."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from ..transfers import Stopwatch


class Meter:
    """Counts a model's passes, whoever makes them; marks are made on the device, so that nobody waits for them.

    Attributes:
        passes: how many.
        places: computed in them, rows times width.
    """

    def __init__(self, device: torch.device) -> None:
        self.watch, self.marks = Stopwatch(device), list[Any]()
        self.passes = self.places = 0

    def begin(self, places: int) -> None:
        self.passes += 1
        self.places += places
        self.marks.append(self.watch.mark())

    def end(self) -> None:
        self.marks.append(self.watch.mark())

    @contextmanager
    def counting(self, places: int) -> Iterator[None]:
        """During one call."""
        self.begin(places)
        yield
        self.end()

    @contextmanager
    def on(self, model: Any) -> Iterator[None]:
        """Counting every call of the model, by hooks."""

        def before(module: Any, args: Any, kwargs: dict[str, Any]) -> None:
            self.begin(kwargs["input_ids"].numel())

        hooks = [
            model.register_forward_pre_hook(before, with_kwargs=True),
            model.register_forward_hook(lambda *given: self.end()),
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def seconds(self) -> list[float]:
        """Of every pass, once the device has done its work."""
        return [self.watch.between(a, b) for a, b in zip(self.marks[::2], self.marks[1::2], strict=True)]


def observer_of(meters: dict[str, Meter]) -> Callable[[str, int], Any]:
    """What counts a pass by the role of its model."""
    return lambda role, places: meters[role].counting(places)
