"""Alternating rounds, medians, and what the machine could do at best."""

from __future__ import annotations

import contextlib
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch

from ..decoding.huggingface import cache_name
from .contenders import Contender, Job
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

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Meter:
    """Counts a model's forward calls, the places computed and the time inside, whoever makes them."""

    def __init__(self, model: Any, device: torch.device) -> None:
        self.model, self.device = model, device
        self.passes = self.places = 0
        self.seconds = 0.0

    @contextmanager
    def on(self) -> Iterator[Meter]:
        def before(module: Any, args: Any, kwargs: dict[str, Any]) -> None:
            wait(self.device)
            self.passes += 1
            self.places += kwargs["input_ids"].numel()
            self.start = time.perf_counter()

        def after(module: Any, args: Any, kwargs: dict[str, Any], output: Any) -> None:
            wait(self.device)
            self.seconds += time.perf_counter() - self.start

        hooks = [
            self.model.register_forward_pre_hook(before, with_kwargs=True),
            self.model.register_forward_hook(after, with_kwargs=True),
        ]
        try:
            yield self
        finally:
            for hook in hooks:
                hook.remove()


@dataclass
class Spent:
    """What one model's passes took: seconds, and places with their padding."""

    seconds: float = 0.0
    places: int = 0


class Watch:
    """Observes kad's passes by the model's role; hooks would be compiled into the models."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.found = device, {"base": Spent(), "proxy": Spent()}

    @contextmanager
    def __call__(self, name: str, places: int) -> Iterator[None]:
        wait(self.device)
        start = time.perf_counter()
        yield
        wait(self.device)
        self.found[name].seconds += time.perf_counter() - start
        self.found[name].places += places


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
    from transformers.cache_utils import DynamicCache

    prompt, one = torch.ones(1, 64, dtype=torch.long), torch.ones(1, 1, dtype=torch.long)
    found = []
    for model in (models.base, models.proxy):
        cache = {cache_name(model.forward): DynamicCache()}
        model(input_ids=prompt.to(models.device), use_cache=True, logits_to_keep=1, **cache)

        def step(model: Any = model, cache: Any = cache) -> None:
            model(input_ids=one.to(models.device), use_cache=True, logits_to_keep=1, **cache)

        found.append(seconds(step, models.device, repeats))
    return found[1] / found[0]


def measure(
    job: Job, who: list[Contender], rounds: int, bytes_per_second: float, told: Callable[[str], None]
) -> list[Result]:
    """Every contender once with meters, then all in turn for so many rounds."""
    batch, device = len(job.prompts), job.models.device
    taking_part = [c for c in who if batch == 1 or not c.only_single]
    results = []
    for contender in taking_part:
        result = Result(contender.name, contender.window, batch)
        contender.run(job)  # warm: allocator, kernels, compilation
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        base, proxy = Meter(job.models.base, device), Meter(job.models.proxy, device)
        hooked = not (job.compile and contender.name.startswith("kad"))
        watch = Watch(device)
        with contextlib.ExitStack() as stack:
            for meter in (base, proxy) if hooked else ():
                stack.enter_context(meter.on())
            start = time.perf_counter()
            ids, trace = contender.run(job if hooked else replace(job, observer=watch))
            wait(device)
            whole = time.perf_counter() - start
        if ids.shape != (batch, job.tokens):
            raise RuntimeError(f"{contender.name} emitted {tuple(ids.shape)} ids instead of {(batch, job.tokens)}.")
        result.tokens = ids.numel()
        if hooked or trace is None:
            result.base_passes, result.proxy_passes = base.passes, proxy.passes
            result.base_places, result.proxy_places = base.places, proxy.places
            result.outside = 1 - (base.seconds + proxy.seconds) / whole
        else:
            result.base_passes, result.proxy_passes = trace.base_passes, trace.proxy_passes
            result.base_places, result.proxy_places = watch.found["base"].places, watch.found["proxy"].places
            result.outside = 1 - sum(spent.seconds for spent in watch.found.values()) / whole
        result.base_fed, result.proxy_fed = result.base_places, result.proxy_places  # the peers pad nothing here
        if trace is not None:
            result.base_fed, result.proxy_fed = int(trace.base_fed.sum()), int(trace.proxy_fed.sum())
        result.acceptance = trace.acceptance_rate if trace is not None and trace.drafted else None
        cuda = device.type == "cuda"
        result.peak_bytes = (
            torch.cuda.max_memory_allocated(device)
            if cuda
            else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        )
        results.append(result)
        told(f"batch {batch}: {contender.name} {'' if contender.window is None else contender.window}")
    for n in range(rounds):
        for contender, result in zip(taking_part, results, strict=True):
            start = time.perf_counter()
            contender.run(job)
            wait(device)
            result.seconds.append(time.perf_counter() - start)
        told(f"batch {batch}: round {n + 1} of {rounds}")
    sizes = weight_bytes(job.models.base), weight_bytes(job.models.proxy)
    for result in results:
        median = statistics.median(result.seconds)
        result.tokens_per_second = result.tokens / median
        read = result.base_passes * sizes[0] + result.proxy_passes * sizes[1]
        result.floor = read / bytes_per_second / median
    return results
