"""Alternating rounds, medians, and what the machine could do at best."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from transformers.cache_utils import DynamicCache

from ..decoding.huggingface import cache_name
from .contenders import Contender, Race
from .pairs import Models, weight_bytes


@dataclass
class Result:
    """One contender in one setting.

    Attributes:
        seconds: of every round.
        tokens_per_second: of the whole batch, by the median round.
        base_passes, proxy_passes: forward calls.
        base_fed, proxy_fed: tokens fed in them, prompts included, as in `kad.Trace`.
        base_places, proxy_places: places computed in them, rows times width: the padding of shorter rows is included.
        outside: share of the time that is not spent in the models' forward calls.
        floor: seconds that reading the weights for these passes takes at the measured bandwidth, as a share of the
            median round: 1 is as fast as memory allows.
        peak_bytes: of the device's allocator; on a CPU of the process so far.
    """

    name: str
    window: int | str | None
    batch: int
    seconds: list[float] = field(default_factory=list)
    tokens_per_second: float = 0.0
    tokens: int = 0
    base_passes: int = 0
    proxy_passes: int = 0
    base_fed: int = 0
    proxy_fed: int = 0
    base_places: int = 0
    proxy_places: int = 0
    acceptance: float | None = None
    outside: float = 0.0
    floor: float = 0.0
    peak_bytes: int = 0


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Meter:
    """Counts a model's forward calls, the places computed and the time inside, whoever makes them."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.passes = self.places = 0
        self.seconds = 0.0

    @contextmanager
    def counting(self, places: int) -> Iterator[None]:
        """During one call; what kad's observer is given, as hooks would be compiled into the models."""
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

    def begin(self, places: int) -> None:
        wait(self.device)
        self.passes += 1
        self.places += places
        self.start = time.perf_counter()

    def end(self) -> None:
        wait(self.device)
        self.seconds += time.perf_counter() - self.start


def bandwidth(device: torch.device, dtype: torch.dtype) -> float:
    """Bytes a second at which matrices too large for any cache are read by a matrix-vector product."""
    size = 2**28 if device.type == "cuda" else 2**25
    matrix = torch.randn(size // 4096, 4096, device=device).to(dtype)
    vector = torch.randn(4096, device=device).to(dtype)
    return matrix.numel() * matrix.itemsize / seconds(lambda: torch.mv(matrix, vector), device, repeats=12)


def seconds(call: Callable[[], object], device: torch.device, repeats: int) -> float:
    """The median of some calls after two that are not counted."""
    times = []
    for _ in range(repeats + 2):
        start = time.perf_counter()
        call()
        wait(device)
        times.append(time.perf_counter() - start)
    return statistics.median(times[2:])


@torch.no_grad()
def cost_ratio(models: Models, repeats: int = 20) -> float:
    """c: a proxy pass over one token as a share of a base pass, with a prompt of 64 in the cache."""
    prompt, one = torch.ones(1, 64, dtype=torch.long), torch.ones(1, 1, dtype=torch.long)
    found = []
    for model in (models.base, models.proxy):
        cache = {cache_name(model.forward): DynamicCache()}
        model(input_ids=prompt.to(models.device), use_cache=True, logits_to_keep=1, **cache)

        def step(model: Any = model, cache: Any = cache) -> None:
            model(input_ids=one.to(models.device), use_cache=True, logits_to_keep=1, **cache)

        found.append(seconds(step, models.device, repeats))
    return found[1] / found[0]


def metered(race: Race, contender: Contender) -> Result:
    """One run with meters, after one that warms up."""
    batch, device = len(race.prompts), race.models.device
    contender.run(race)  # warm: allocator, kernels, compilation
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    base, proxy = Meter(device), Meter(device)
    observed = race.compile and contender.name.startswith("kad")
    if observed:
        race = replace(race, observer=lambda name, places: {"base": base, "proxy": proxy}[name].counting(places))
    with (
        nullcontext() if observed else base.on(race.models.base),
        nullcontext() if observed else proxy.on(race.models.proxy),
    ):
        start = time.perf_counter()
        ids, trace = contender.run(race)
        wait(device)
        whole = time.perf_counter() - start
    if ids.shape != (batch, race.tokens):
        raise RuntimeError(f"{contender.name} emitted {tuple(ids.shape)} ids instead of {(batch, race.tokens)}.")
    result = Result(contender.name, contender.window, batch, tokens=ids.numel())
    result.base_passes, result.proxy_passes = base.passes, proxy.passes
    result.base_places, result.proxy_places = base.places, proxy.places
    result.outside = 1 - (base.seconds + proxy.seconds) / whole
    result.base_fed, result.proxy_fed = base.places, proxy.places  # the peers pad nothing here
    if trace is not None:
        result.base_fed, result.proxy_fed = int(trace.base_fed.sum()), int(trace.proxy_fed.sum())
        result.acceptance = trace.acceptance_rate if trace.drafted else None
    if device.type == "cuda":
        result.peak_bytes = torch.cuda.max_memory_allocated(device)
    else:
        result.peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return result


def measure(
    race: Race, who: list[Contender], rounds: int, bytes_per_second: float, told: Callable[[str], None]
) -> list[Result]:
    """Every contender once with meters, then all in turn for so many rounds."""
    batch, models = len(race.prompts), race.models
    taking_part = [c for c in who if batch == 1 or not c.only_single]
    results = []
    for contender in taking_part:
        results.append(metered(race, contender))
        told(f"batch {batch}: {contender.name} {'' if contender.window is None else contender.window}")
    for n in range(rounds):
        for contender, result in zip(taking_part, results, strict=True):
            start = time.perf_counter()
            contender.run(race)
            wait(models.device)
            result.seconds.append(time.perf_counter() - start)
        told(f"batch {batch}: round {n + 1} of {rounds}")
    sizes = weight_bytes(models.base), weight_bytes(models.proxy)
    for result in results:
        median = statistics.median(result.seconds)
        result.tokens_per_second = result.tokens / median
        read = result.base_passes * sizes[0] + result.proxy_passes * sizes[1]
        result.floor = read / bytes_per_second / median
    return results
