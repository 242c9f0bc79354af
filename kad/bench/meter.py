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
        self.watch, self.marks = Stopwatch(device), list[tuple[Any, Any]]()
        self.passes = self.places = 0

    @contextmanager
    def counting(self, places: int) -> Iterator[None]:
        """During one call."""
        self.passes += 1
        self.places += places
        before = self.watch.mark()
        yield
        self.marks.append((before, self.watch.mark()))

    @contextmanager
    def on(self, model: Any) -> Iterator[None]:
        """Counting every call of the model, by hooks."""
        open_calls: list[Any] = []

        def before(module: Any, args: Any, kwargs: dict[str, Any]) -> None:
            open_calls.append(self.counting(kwargs["input_ids"].numel()))
            open_calls[-1].__enter__()

        def after(module: Any, args: Any, out: Any) -> None:
            open_calls.pop().__exit__(None, None, None)

        hooks = [model.register_forward_pre_hook(before, with_kwargs=True), model.register_forward_hook(after)]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def seconds(self) -> list[float]:
        """Of every pass, once the device has done its work."""
        return [self.watch.between(*marks) for marks in self.marks]


def observer_of(meters: dict[str, Meter]) -> Callable[[str, int], Any]:
    """What counts a pass by the role of its model."""
    return lambda role, places: meters[role].counting(places)
