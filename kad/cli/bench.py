"""``kad bench``."""

from __future__ import annotations

from ..bench.command import run_bench
from .options import Bench


def measure_speed(o: Bench) -> None:
    """See `kad.bench`."""
    run_bench(
        pair=o.pair, base=o.base, proxy=o.proxy, batch=list(o.batch), window=list(o.gamma), new_tokens=o.new_tokens,
        prompt_tokens=o.prompt_tokens, rounds=o.rounds, acceptance=o.acceptance, deferral=o.deferral, greedy=o.greedy,
        target=o.target, threads=o.threads, dtype=o.dtype, device=o.device, compile=o.compile, pack=o.pack, output=o.output, seed=o.seed,
    )  # fmt: skip
