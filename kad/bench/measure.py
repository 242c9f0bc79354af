"""Alternating rounds with shared verdicts, what each run did, and what the machine could do at best."""

from __future__ import annotations

import platform
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from transformers.cache_utils import DynamicCache

from ..decoding.huggingface import cache_name
from .contenders import Contender, Race
from .meter import Meter, observer_of
from .pairs import Models, weight_bytes
from .verdicts import Prescribed


@dataclass(frozen=True)
class Timed:
    """One timed run, and what its models did; the latter None where nobody sees it (inside another compiler, or another program).

    Attributes:
        seconds: from the prompts to the last token.
        prefill: of them, those of each model's first pass, which reads the prompt.
        base_passes, proxy_passes: forward calls.
        base_fed, proxy_fed: tokens fed in them, prompts included, as in `kad.Trace`.
        base_places, proxy_places: places computed in them, rows times width: the padding of shorter rows is included.
        outside: share of the time that is not spent in the models' forward calls.
        acceptance: share of the drafts that stood.
        peak_bytes: of the device's allocator; on a CPU of the process so far.
    """

    seconds: float
    prefill: float | None = None
    base_passes: int | None = None
    proxy_passes: int | None = None
    base_fed: int | None = None
    proxy_fed: int | None = None
    base_places: int | None = None
    proxy_places: int | None = None
    outside: float | None = None
    acceptance: float | None = None
    peak_bytes: int = 0


@dataclass
class Result:
    """One contender in one setting.

    Attributes:
        tokens: that a run emits, of all rows.
        runs: one of every turn of every round.
        weights: bytes that a pass of the base and of the proxy read.
        rate: bytes a second that the machine reads.
        turns: runs that make one round.
    """

    name: str
    window: int | str | None
    batch: int
    tokens: int
    weights: tuple[int, int]
    rate: float
    runs: list[Timed] = field(default_factory=list)
    turns: int = 1

    def mean(self, name: str) -> float | None:
        """Of the runs, of one of `Timed`'s fields; None where nobody saw it."""
        found = [getattr(run, name) for run in self.runs]
        return None if None in found else statistics.fmean(found)

    @property
    def seconds(self) -> list[float]:
        """Of every run."""
        return [run.seconds for run in self.runs]

    @property
    def tokens_per_second(self) -> float:
        """Of the whole batch, by the median round, and of a round by its turns' mean."""
        every, n = self.seconds, self.turns
        return self.tokens / statistics.median(statistics.fmean(every[i : i + n]) for i in range(0, len(every), n))

    @property
    def decoding(self) -> float | None:
        """Tokens a second without the passes that read the prompt."""
        rest = [run.seconds - run.prefill for run in self.runs if run.prefill is not None]
        return self.tokens / statistics.median(rest) if rest else None

    @property
    def milliseconds(self) -> float | None:
        """Of a pass of the base, with all that belongs to it: drafts, decisions, bookkeeping."""
        found = [1000 * run.seconds / run.base_passes for run in self.runs if run.base_passes]
        return statistics.median(found) if found else None

    @property
    def floor(self) -> float | None:
        """The seconds that reading the weights for these passes takes, as a share of those that they took: 1 is as fast as memory allows."""
        found = [
            (run.base_passes * self.weights[0] + run.proxy_passes * self.weights[1]) / self.rate / run.seconds
            for run in self.runs if run.base_passes is not None and run.proxy_passes is not None
        ]  # fmt: skip
        return statistics.median(found) if found else None

    def report(self) -> dict[str, Any]:
        """All of it, for JSON."""
        kept = ("name", "window", "batch", "tokens", "tokens_per_second", "decoding", "milliseconds", "floor")
        return {name: getattr(self, name) for name in kept} | {"runs": [asdict(run) for run in self.runs]}


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def processor() -> str:
    """The CPU's own name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    features = [name for name in ("amx_bf16", "avx512f", "avx2") if any(f" {name}" in line for line in lines)]
    return ", ".join(["CPU", *(names[:1] or [platform.processor() or platform.machine()]), *features[:1]])


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


def timed(race: Race, contender: Contender) -> Timed:
    """One run, with meters that cost next to nothing."""
    device, models = race.models.device, {"base": race.models.base, "proxy": race.models.proxy}
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    meters = {role: Meter(device) for role in models}
    seen = not contender.outside and (contender.observed or race.compile is False or not contender.compiles)
    with ExitStack() as stack:
        if contender.observed:
            race = replace(race, observer=observer_of(meters))
        elif seen:  # hooks would become part of what is compiled
            for role, model in models.items():
                stack.enter_context(meters[role].on(model))
        start = time.perf_counter()
        out = contender.run(race)
        wait(device)
        seconds = time.perf_counter() - start
    if isinstance(out, float):
        return Timed(out)
    ids, trace = out
    if ids.shape != (len(race.prompts), race.tokens):
        expected = len(race.prompts), race.tokens
        raise RuntimeError(f"{contender.name} emitted {tuple(ids.shape)} ids instead of {expected}.")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else peak
    if not seen:
        return Timed(seconds, peak_bytes=peak)
    base, proxy = meters.values()
    passes = [meter.seconds() for meter in meters.values()]
    fed = base.places, proxy.places  # the peers pad nothing here
    if trace is not None:
        fed = int(trace.base_fed.sum()), int(trace.proxy_fed.sum())
    return Timed(
        seconds, sum(sum(own[:1]) for own in passes), base.passes, proxy.passes, *fed,
        base.places, proxy.places, 1 - sum(map(sum, passes)) / seconds,
        trace.acceptance_rate if trace is not None and trace.drafted else None, peak,
    )  # fmt: skip


def measure(
    race: Race, who: Sequence[Contender], rounds: int, rate: float, told: Callable[[str], None],
    synthetic: tuple[float, float] | None = None, seed: int = 0, turns: int = 1,
) -> list[Result]:  # fmt: skip
    """Every contender once to warm up, then so many rounds, in each of which all take turns, forwards and then backwards.

    In one round all have the same verdicts and the same seed, so contenders that do the same make the same passes. Several short
    turns tell more than a long one: what else a machine does lasts for seconds, and hits neighbours in time alike.

    Args:
        race: the setting.
        who: the contenders; those that take one row alone are left out where there are more.
        rounds: how many.
        rate: bytes a second that the machine reads.
        told: is called after every step with what was done.
        synthetic: acceptance and deferral that verdicts are drawn with; None leaves them to the models.
        seed: of the first round.
        turns: of each contender in a round.
    """
    batch, models, so_far = len(race.prompts), race.models, 0
    taking_part = [c for c in who if batch == 1 or not c.only_single]
    weights = weight_bytes(models.base), weight_bytes(models.proxy)
    results = [Result(c.name, c.window, batch, batch * race.tokens, weights, rate, turns=turns) for c in taking_part]
    for n in range(rounds + 1):
        if synthetic is not None:
            race = replace(race, verdicts=Prescribed.drawn(batch, race.tokens, *synthetic, seed + n))
        for _ in range(turns if n else 1):
            order = list(zip(taking_part, results, strict=True))[:: 1 if so_far % 4 in (0, 3) else -1]
            for contender, result in order:
                torch.manual_seed(seed + n)
                run = timed(race, contender)
                if n:
                    result.runs.append(run)
                else:  # allocator, kernels, compilation
                    told(f"batch {batch}: {contender.name} {'' if contender.window is None else contender.window}")
            so_far += 1
        if n:
            told(f"batch {batch}: round {n} of {rounds}")
    return results
