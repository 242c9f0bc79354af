"""What a simulated device counts: waits of the host, bytes that cross, launches and memory, by the line that caused them."""

from __future__ import annotations

import os
import sys
import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import torch

import kad

PACKAGE = str(Path(kad.__file__).parent) + os.sep
MODELS = os.sep + os.path.join("transformers", "models") + os.sep  # a frame in here is a model's own code

# Kernels of an operation that launches several, by a rough count of CUDA 12's; all others are one.
LAUNCHES = Counter({
    "aten::sort": 8, "aten::topk": 4, "aten::nonzero": 3, "aten::cumsum": 2, "aten::cumprod": 2, "aten::scatter": 2,
    "aten::masked_fill": 2, "aten::index_put": 2, "kad::draw": 2,
})  # fmt: skip
FREE = {
    "aten::empty", "aten::empty_like", "aten::empty_strided", "aten::new_empty", "aten::new_empty_strided",
    "aten::detach", "aten::alias", "aten::lift_fresh", "aten::_reshape_alias", "aten::view", "aten::_unsafe_view",
    "aten::set_", "aten::resize_", "aten::_local_scalar_dense",
}  # fmt: skip


class Place(NamedTuple):
    """Who did something: the innermost line of kad, and whether it or what it called is part of a model's pass."""

    line: str
    model: bool


def place() -> Place:
    """The place of the operation that is being dispatched."""
    frame: FrameType | None = sys._getframe(1)
    line, model = "elsewhere", False
    while frame is not None:
        name = frame.f_code.co_filename
        if line == "elsewhere" and name.startswith(PACKAGE):
            line = f"{name[len(PACKAGE) :]}:{frame.f_lineno}"
        if MODELS in name:
            model = True
            break
        frame = frame.f_back
    return Place(line, model)


class Ledger:
    """The counts since `clear`.

    Attributes:
        waits: how often the host waited for the device, by line and reason.
        outside, inside: launches outside and inside the models' passes, by line and operation.
        up, down: bytes to the device and back, models' own included.
        live, peak: bytes of the tensors on the device now, and at most since `mark`.
        at_peak: the line that reached the peak.
    """

    def __init__(self) -> None:
        self.live = self.peak = self.marked = 0
        self.at_peak = ""
        self.region: list[bool] | None = None  # of what the compiler would fuse: whether each is part of a pass
        self.storages: dict[int, list[int]] = {}
        self.clear()

    def clear(self) -> None:
        self.waits, self.outside, self.inside = (Counter[tuple[str, str]]() for _ in range(3))
        self.up = self.down = 0

    def mark(self) -> None:
        """Measure the peak from here."""
        self.peak = self.marked = self.live

    @property
    def above(self) -> int:
        """Bytes by which the peak exceeds what was there at the mark."""
        return self.peak - self.marked

    def wait(self, why: str) -> None:
        self.waits[place().line, why] += 1

    def launch(self, name: str, view: bool) -> None:
        if view or name in FREE:
            return
        here = place()
        if self.region is not None and not name.startswith("kad::"):
            self.region.append(here.model)
        else:
            (self.inside if here.model else self.outside)[here.line, name] += LAUNCHES.get(name, 1)

    @contextmanager
    def fused(self, name: str) -> Iterator[None]:
        """What is launched in here counts as one, inside the models if a pass is part of it; kad's own kernels stay what they are."""
        outer, self.region = self.region, [] if self.region is None else self.region
        try:
            yield
        finally:
            if outer is None and self.region:
                (self.inside if any(self.region) else self.outside)[place().line, f"fused {name}"] += 1
            self.region = outer

    def hold(self, wrapper: torch.Tensor, numbers: torch.Tensor) -> None:
        """Count a tensor's memory for as long as any tensor that shares it lives."""
        storage = numbers.untyped_storage()
        entry = self.storages.setdefault(storage._cdata, [0, storage.nbytes()])
        if not entry[0]:
            self.live += entry[1]
            if self.live > self.peak:
                self.peak, self.at_peak = self.live, place().line
        entry[0] += 1
        weakref.finalize(wrapper, self.drop, storage._cdata)

    def drop(self, key: int) -> None:
        entry = self.storages[key]
        entry[0] -= 1
        if not entry[0]:
            self.live -= entry[1]
            del self.storages[key]
