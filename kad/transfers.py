"""Small tensors between the CPU and a device, so that the host waits once where it must and nowhere else.

On a GPU a plain ``.to(device)`` of a tensor in pageable memory waits for everything that the device was told before.
"""

from __future__ import annotations

import functools
import itertools
import time
from typing import Any

import torch
from torch import Tensor


def upload(x: Tensor, device: torch.device) -> Tensor:
    """A tensor of the CPU's on a device, without a wait; what is there already stays.

    >>> upload(torch.tensor([1, 2]), torch.device("cpu"))
    tensor([1, 2])
    """
    if device.type != "cuda" or x.device.type != "cpu":
        return x.to(device)
    return x.pin_memory().to(device, non_blocking=True)  # torch keeps pinned memory until the copy has been made


def among(x: Tensor, mask: Tensor) -> Tensor:
    """What holds of ``x (B,)`` on a device, for the rows of a mask on the CPU.

    >>> among(torch.tensor([True, True]), torch.tensor([True, False]))
    tensor([ True, False])
    """
    return x if bool(mask.all()) else x & upload(mask, x.device)


@functools.lru_cache(maxsize=64)
def ordinals(n: int, device: torch.device) -> Tensor:
    """0, 1, ... n − 1, made once on every device; not to be written to.

    >>> ordinals(3, torch.device("cpu"))
    tensor([0, 1, 2])
    """
    return torch.arange(n, device=device)


def fetch(*given: Tensor) -> list[Tensor]:
    """Tensors ``(B, ...)`` on the CPU, in one copy; those that are there already are handed back.

    >>> fetch(torch.tensor([1, 2]), torch.tensor([[0.5], [0.25]]))
    [tensor([1, 2]), tensor([[0.5000],
            [0.2500]])]
    """
    found = {i: x for i, x in enumerate(given) if x.device.type == "cpu"}
    away = {i: x for i, x in enumerate(given) if i not in found}
    if not away:
        return list(given)

    def lies(i: int) -> tuple[int, str, bool]:
        return -away[i].itemsize, str(away[i].dtype), away[i].is_contiguous()  # widest first: all lie aligned

    order, parts = sorted(away, key=lies), list[Tensor]()
    for (*_, whole), group in itertools.groupby(order, lies):
        own = [away[i] for i in group]
        if whole:  # views; of one number the stride may be any
            parts += [x.as_strided((x.numel(),), (1,)).view(torch.uint8) for x in own]
        else:  # such as the first column of wide rows: one copy for all
            parts.append(torch.cat([x.reshape(-1) for x in own]).view(torch.uint8))
    left = (parts[0] if len(parts) == 1 else torch.cat(parts)).cpu()
    for i in order:
        size = away[i].numel() * away[i].itemsize
        found[i], left = left[:size].view(given[i].dtype).view(given[i].shape), left[size:]
    return [found[i] for i in range(len(given))]


class Stopwatch:
    """Seconds between marks, on the device's own clock where it has one: to begin work on a GPU takes no time at all."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def mark(self) -> Any:
        """Now, in the order of what the device was told."""
        if self.device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self.device))
        return event

    def between(self, first: Any, second: Any) -> float:
        """Seconds from one mark to another; on a device, once the host has waited for what followed the second."""
        if self.device.type == "cuda":
            return float(first.elapsed_time(second)) / 1000
        return float(second - first)
