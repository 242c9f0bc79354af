"""``kad bench``: runs the contenders, prints tables, and writes results.json, speed.md and speed.png."""

from __future__ import annotations

import datetime
import json
import platform
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import transformers
from rich.progress import Progress

from ..bench.contenders import Contender, Race, contenders
from ..bench.measure import Result, bandwidth, cost_ratio, measure, processor
from ..bench.outside import has_vllm, llama, vllm_contenders
from ..bench.pairs import Models, build
from ..checkpoints import load_checkpoints
from ..checks import whole
from ..decoding.huggingface import check_model
from ..decoding.packed import PackedLinear, pack_weights
from ..defaults import THRESHOLD
from ..engines.vllm.launch import need_vllm
from ..errors import asked
from ..evaluation.files import write_whole
from ..extras import need
from ..mixture import dual
from ..plots import save, speed
from ..terminal import Console
from ..version import VERSION
from .bench_tables import AGAIN, page, print_tables
from .options import Bench


def measure_speed(o: Bench) -> list[dict[str, Any]]:
    """Measure, show, write: one pair after the other."""
    check_bench(o)
    if o.threads is not None:
        torch.set_num_threads(o.threads)
    pairs = [None] if o.base or o.proxy else list(o.pair)
    return [measure_pair(o, pair, o.output if len(pairs) == 1 else o.output and o.output / str(pair)) for pair in pairs]


def measure_pair(o: Bench, pair: str | None, output: Path | None) -> dict[str, Any]:
    """One pair, which is let go of afterwards."""
    place = o.device or ("cuda" if torch.cuda.is_available() else "cpu")
    usual = torch.bfloat16 if place.startswith("cuda") else torch.float32
    kind = usual if o.dtype == "auto" else getattr(torch, o.dtype)
    models = load_pair(o, place, kind) if pair is None else build(pair, place, kind, o.seed)
    packed = pack_both(models, o) if o.pack else ""
    rate, target, console = bandwidth(models.device, kind), o.target or dual(THRESHOLD), Console()
    acceptance = o.acceptance
    if acceptance is None and not o.base and not o.greedy:
        acceptance = 0.78  # random weights say nothing about it
    generator = torch.Generator().manual_seed(o.seed)
    prompts = [torch.randint(3, models.vocabulary, (size, o.prompt_tokens), generator=generator) for size in o.batch]
    races = [Race(models, ids.to(models.device), o.new_tokens, not o.greedy, target, o.compile) for ids in prompts]
    synthetic = None if acceptance is None or o.greedy else (acceptance, o.deferral)
    with taking_part(o, models) as who:
        results = measured(races, who, o, rate, synthetic, console)
    report = {
        "kad": VERSION, "torch": torch.__version__, "transformers": transformers.__version__,
        "python": platform.python_version(), "date": datetime.date.today().isoformat(), "machine": machine(models),
        "threads": torch.get_num_threads(), "dtype": str(kind).removeprefix("torch."), "pair": models.name,
        "parameters": [sum(p.numel() for p in m.parameters()) for m in (models.base, models.proxy)],
        "sampled": not o.greedy, "new_tokens": o.new_tokens, "prompt_tokens": o.prompt_tokens, "rounds": o.rounds, "turns": o.turns,
        "synthetic_acceptance": acceptance, "synthetic_deferral": None if acceptance is None else o.deferral, "compiled": o.compile,
        "packed": packed, "target": repr(target), "bandwidth": rate, "cost_ratio": cost_ratio(models),
        "results": [r.report() for r in results],
    }  # fmt: skip
    print_tables(console, report, results)
    if output is not None:
        save(speed(report), output / "speed.png", 160, tight=True)
        write_whole(output / "speed.md", page(report, results))
        write_whole(output / "results.json", json.dumps(report, indent=1) + "\n")
        console.print(f"written: {output}/results.json, speed.md, speed.png")
    return report


def pack_both(models: Models, o: Bench) -> str:
    """Packed weights for whom they make faster; who that is."""
    widest = 1 + max(int(w) for w in o.gamma if w != "auto") if any(w != "auto" for w in o.gamma) else 4
    for model, tokens in ((models.base, widest), (models.proxy, 1)):
        pack_weights(model, tokens * min(o.batch))
    both = {"base": models.base, "proxy": models.proxy}
    done = [role for role, model in both.items() if any(isinstance(m, PackedLinear) for m in model.modules())]
    return " and ".join(done) or "nobody's: slower here"


@contextmanager
def taking_part(o: Bench, models: Models) -> Iterator[list[Contender]]:
    """Everybody, or those who were named; those who are asked to twice."""
    with ExitStack() as stack:
        who = contenders(o.gamma, o.contender)
        if "vllm" in o.contender or (not o.contender and has_vllm() and models.device.type == "cpu"):
            places = [place for place in (o.base, o.proxy) if place is not None]
            length = o.prompt_tokens + o.new_tokens
            who = [*who, *stack.enter_context(vllm_contenders(models, places, max(o.batch), length, o.compile))]
        if o.llama_bench is not None and o.gguf is not None:
            who = [*who, llama(o.llama_bench, o.gguf)]
        yield [one for c in who for one in ([c, replace(c, name=c.name + AGAIN)] if o.twice else [c])]


def measured(
    races: Sequence[Race], who: Sequence[Contender], o: Bench, rate: float, synthetic: tuple[float, float] | None,
    console: Console,
) -> list[Result]:  # fmt: skip
    """The results of all races, with a bar while they are found."""
    results = list[Result]()
    with Progress(console=console, transient=True) as progress:
        steps = sum(o.rounds + sum(1 for c in who if len(s.prompts) == 1 or not c.only_single) for s in races)
        task = progress.add_task("warming up", total=steps)
        for race in races:

            def tell(text: str) -> None:
                progress.update(task, advance=1, description=text)

            results += measure(race, who, o.rounds, rate, tell, synthetic, o.seed, o.turns)
    return results


@asked()
def check_bench(o: Bench) -> None:
    """One sentence about the first option that cannot be."""
    if o.output is not None:
        need("--output", "matplotlib")
    for name, value in (
        ("batch", min(o.batch)), ("rounds", o.rounds), ("turns", o.turns), ("prompt-tokens", o.prompt_tokens),
    ):  # fmt: skip
        whole(f"--{name}", value, 1)
    whole("--new-tokens", o.new_tokens, 2)
    if any(w != "auto" and w < 0 for w in o.gamma):
        raise ValueError("--gamma must be ≥ 0 or auto.")
    for name, share in (("acceptance", o.acceptance), ("deferral", o.deferral)):
        if share is not None and not 0 <= share <= 1:
            raise ValueError(f"--{name} must lie in [0, 1], got {share}.")
    if (o.llama_bench is None) != (o.gguf is None):
        raise ValueError(
            "llama.cpp takes part with both --llama-bench, its program, and --gguf, the base as it reads it."
        )
    for name, path in (("llama-bench", o.llama_bench), ("gguf", o.gguf)):
        if path is not None and not path.is_file():
            raise ValueError(f"--{name} {path} is no file.")
    if "vllm" in o.contender:
        need_vllm("--contender vllm")
    for folder in [] if o.output is None else [o.output, *(o.output / name for name in o.pair)]:
        if folder.exists() and not folder.is_dir():
            raise ValueError(f"--output {folder} is a file; choose a new folder.")
        if (folder / "results.json").exists():
            raise ValueError(f"--output {folder} holds results already; choose another folder.")


def load_pair(o: Bench, device: str, dtype: torch.dtype) -> Models:
    """Two checkpoints, made to emit as many tokens as they are asked for."""
    found = load_checkpoints({"base": o.base, "proxy": o.proxy}, str(dtype).removeprefix("torch."), device).models
    for name, model in found.items():
        check_model(model, name)
        model.generation_config.eos_token_id = None  # every contender emits the same number of tokens
        model.generation_config.pad_token_id = 0
    return Models(f"{o.base} + {o.proxy}", found["base"], found["proxy"])


def machine(models: Models) -> str:
    """The card, or the processor."""
    if models.device.type == "cuda":
        return torch.cuda.get_device_name(models.device)
    return processor()
