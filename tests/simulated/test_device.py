"""The simulated device itself: what it refuses, and what it counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from .device import Mixup, Simulated
from .guard import missing

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))


@pytest.fixture
def gpu() -> Iterator[Simulated]:
    with Simulated() as device:
        yield device


def on_gpu(*shape: int, device: str = "cuda:0") -> Tensor:
    return torch.ones(*shape, device=device)


@pytest.mark.parametrize(
    "mistake",
    [
        lambda: on_gpu(3) + torch.ones(3),
        lambda: on_gpu(3) + on_gpu(3, device="cuda:1"),
        lambda: torch.ones(3)[on_gpu(2).long()],
        lambda: on_gpu(3).index_put_((on_gpu(1).long(),), torch.ones(1)),
        lambda: on_gpu(3).gather(0, torch.tensor(1)),
        lambda: on_gpu(3).numpy(),
        lambda: torch.rand(3, generator=torch.Generator("cpu"), device="cuda"),
    ],
)
def test_what_cuda_refuses_is_refused(gpu: Simulated, mistake: Callable[[], object]) -> None:
    with pytest.raises(Mixup):
        mistake()


@pytest.mark.parametrize(
    ("act", "waits"),
    [
        (lambda x: x.cpu(), 1),
        (lambda x: x.tolist(), 1),
        (lambda x: int(x.sum()), 1),
        (lambda x: bool((x > 0).all()), 1),
        (lambda x: x[x > 0], 1),
        (lambda x: x.nonzero(), 1),
        (lambda x: torch.ones(4).to(x.device), 1),
        (lambda x: torch.ones(4).to(x.device, non_blocking=True), 1),  # from pageable memory it may wait too
        (lambda x: torch.ones(4).pin_memory().to(x.device, non_blocking=True), 0),
        (lambda x: x[torch.tensor([0, 1])], 1),
        (lambda x: x + torch.tensor(1.0), 0),
        (lambda x: (x * 2).cumsum(0)[1:], 0),
        (lambda x: x.to("cuda:1"), 0),
    ],
)
def test_every_wait_is_counted(gpu: Simulated, act: Callable[[Tensor], object], waits: int) -> None:
    x = on_gpu(4)
    gpu.ledger.clear()
    act(x)
    assert gpu.ledger.waits.total() == waits


def test_bytes_and_launches_are_counted(gpu: Simulated) -> None:
    x = on_gpu(1000)
    gpu.ledger.clear()
    gpu.ledger.mark()
    y = (x + 1)[:500].view(5, 100)  # the view is free, what it shows lives on
    assert gpu.ledger.outside.total() == 1
    assert gpu.ledger.above == 4000
    z = y * y
    assert gpu.ledger.above == 6000
    del y
    assert gpu.ledger.live - gpu.ledger.marked == 2000
    z.sum().cpu()
    assert gpu.ledger.down == 4
    assert gpu.ledger.waits == {("elsewhere", "a copy down"): 1}


def test_answers_are_those_of_the_cpu(gpu: Simulated) -> None:
    x = torch.arange(12.0).view(3, 4)
    there = x.to("cuda")
    assert there.device == torch.device("cuda:0")
    assert there.is_cuda
    values, places = there.topk(2)
    assert values.tolist() == x.topk(2).values.tolist()
    assert places.tolist() == x.topk(2).indices.tolist()
    there[1] = 0.0
    assert there.sum(-1).tolist() == [6, 0, 38]


def test_a_deterministic_run_refuses_a_scan_of_floats(gpu: Simulated) -> None:
    torch.use_deterministic_algorithms(True)
    try:
        on_gpu(3).long().cumsum(0)
        with pytest.raises(Mixup, match="cumsum"):
            on_gpu(3).cumsum(0)
    finally:
        torch.use_deterministic_algorithms(False)
