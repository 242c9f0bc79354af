"""What the second model and the law cost inside vLLM: tokens a CPU second beside vLLM's base alone, and `kad.generate`. On a CPU.

    .venv-vllm/bin/python benchmarks/vllm_throughput.py [--rounds 5] [--new-tokens 32] [--contenders "vLLM, base" ...]

The pair is `kad bench`'s small one (134 M and 13 M parameters, random weights, float32); every contender is a process of its own with
one thread; they take turns, one runs while the others wait for a line. CPU seconds are the process's own.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CONCURRENCY, PROMPT, SHARPER = (1, 8, 32), 32, 8.0  # final norms are so much larger, that the two models differ
BASE, COMPOSITE = "vLLM, base", "vLLM, kad, γ 0"
CONTENDERS: dict[str, tuple[bool, int | None]] = {  # whether vLLM; the window, None for the base alone
    BASE: (True, None), COMPOSITE: (True, 0), "vLLM, kad, γ 3": (True, 3),
    "kad.generate, base": (False, None), "kad.generate, γ 0": (False, 0), "kad.generate, γ 3": (False, 3),
}  # fmt: skip
QUIET = {
    "OMP_NUM_THREADS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1", "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
}  # fmt: skip


def write_sharper(folder: Path) -> None:
    """Both models with a tokenizer of as many words as they have outputs."""
    import torch

    from kad.bench.outside import write_pair
    from kad.bench.pairs import build

    pair = build("small", "cpu", torch.float32)
    for model in (pair.base, pair.proxy):
        with torch.no_grad():
            model.model.norm.weight *= SHARPER
    write_pair(pair, folder)


def writer(folder: Path, name: str, tokens: int) -> Callable[[list[list[int]]], int]:
    """What writes texts for prompts and says how many tokens that were."""
    import kad

    inside, window = CONTENDERS[name]
    target: kad.Target = kad.Base() if window is None else kad.dual(0.4)
    if not inside:
        from kad.checkpoints import load_checkpoints
        from kad.engines import HuggingFace, Settings

        engine = HuggingFace(load_checkpoints({role: str(folder / role) for role in ("base", "proxy")}))
        settings = Settings(tokens, 1.0, window=window or 0)
        return lambda prompts: sum(len(text.ids) for text in engine.generate(prompts, target, settings).texts)
    from vllm import LLM, SamplingParams

    from kad.engines.vllm import arguments

    given: dict[str, Any] = {
        "dtype": "float32", "enforce_eager": True, "gpu_memory_utilization": 0.25, "max_num_seqs": 64, "max_model_len": 256,
        "distributed_executor_backend": "uni",
    }  # fmt: skip
    given |= (
        {"model": str(folder / "base")}
        if window is None
        else arguments(folder / "base", folder / "proxy", target, window) | given
    )
    llm, params = LLM(**given), SamplingParams(temperature=1.0, max_tokens=tokens, ignore_eos=True)

    def write(prompts: list[list[int]]) -> int:
        out = llm.generate([{"prompt_token_ids": ids} for ids in prompts], params, use_tqdm=False)
        return sum(len(o.outputs[0].token_ids) for o in out)

    return write


def contend(folder: Path, name: str, tokens: int) -> None:
    """A contender: for every line a number of prompts, one line with tokens and CPU seconds."""
    import torch

    write, generator = writer(folder, name, tokens), torch.Generator().manual_seed(0)
    print("ready", flush=True)
    for line in sys.stdin:
        prompts = torch.randint(
            1, 32000, (int(line), PROMPT), generator=generator
        ).tolist()  # new ones: no prefix is cached
        cpu, wall = time.process_time(), time.perf_counter()
        count = write(prompts)
        print(json.dumps([count, time.process_time() - cpu, time.perf_counter() - wall]), flush=True)
    os._exit(0)


def answer(process: subprocess.Popen[str]) -> str:
    """The next line that is ours; libraries print too."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(("ready", "[")):
            return line
    raise SystemExit("a contender has ended; run it alone to see why.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--new-tokens", type=int, default=32)
    parser.add_argument("--contenders", nargs="+", default=list(CONTENDERS), choices=CONTENDERS)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        contend(Path(given.child[0]), given.child[1], given.new_tokens)
    folder = Path(tempfile.mkdtemp())
    write_sharper(folder)
    running = {}
    for name in given.contenders:
        words = [sys.executable, __file__, "--new-tokens", str(given.new_tokens), "--child", str(folder), name]
        running[name] = subprocess.Popen(
            words,
            env=os.environ | QUIET,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        answer(running[name])
    speeds: dict[tuple[str, int], list[float]] = {(name, n): [] for name in running for n in CONCURRENCY}
    for turn in range(given.rounds + 1):
        for n in CONCURRENCY:
            for name, process in running.items():
                assert process.stdin is not None
                process.stdin.write(f"{n}\n")
                process.stdin.flush()
                count, cpu, _ = json.loads(answer(process))
                assert count == n * given.new_tokens
                if turn:  # the first warms up
                    speeds[name, n].append(count / cpu)
    for process in running.values():
        process.kill()
    show(speeds)


def show(speeds: dict[tuple[str, int], list[float]]) -> None:
    names = list(dict.fromkeys(name for name, _ in speeds))
    print(
        "| tokens a CPU second, medians | "
        + " | ".join(str(n) for n in CONCURRENCY)
        + " |\n|---|"
        + "---|" * len(CONCURRENCY)
    )
    for name in names:
        print(f"| {name} | " + " | ".join(f"{statistics.median(speeds[name, n]):.1f}" for n in CONCURRENCY) + " |")
    for one, other in ((COMPOSITE, BASE), ("vLLM, kad, γ 3", COMPOSITE), (COMPOSITE, "kad.generate, γ 0")):
        if one in names and other in names:
            ratios = [[a / b for a, b in zip(speeds[one, n], speeds[other, n], strict=True)] for n in CONCURRENCY]
            told = (f"{statistics.median(r):.2f} [{min(r):.2f}-{max(r):.2f}]" for r in ratios)
            print(f"| {one} / {other} | " + " | ".join(told) + " |")


if __name__ == "__main__":
    main()
