"""``kad bench``: runs the contenders, prints a table, and writes results.json and speed.png."""

from __future__ import annotations

import datetime
import json
import platform
import statistics
from dataclasses import asdict
from typing import Any

import torch
import transformers
from rich.progress import Progress
from rich.table import Table

from ..bench.contenders import Race, contenders
from ..bench.measure import Result, bandwidth, cost_ratio, measure
from ..bench.pairs import Models, build
from ..checkpoints import load_checkpoints
from ..checks import whole
from ..decoding.huggingface import check_model
from ..decoding.packed import pack_weights
from ..defaults import THRESHOLD
from ..evaluation.files import write_whole
from ..extras import need
from ..mixture import dual
from ..plots import save, speed
from ..terminal import Console
from ..version import VERSION
from .options import Bench


def measure_speed(o: Bench) -> dict[str, Any]:
    """Measure, show, write."""
    check_bench(o)
    if o.threads is not None:
        torch.set_num_threads(o.threads)
    place = o.device or ("cuda" if torch.cuda.is_available() else "cpu")
    usual = torch.bfloat16 if place.startswith("cuda") else torch.float32
    kind = usual if o.dtype == "auto" else getattr(torch, o.dtype)
    models = load_pair(o, place, kind) if o.base or o.proxy else build(o.pair, place, kind, o.seed)
    if o.pack:
        for model in (models.base, models.proxy):
            pack_weights(model)
    rate, target, acceptance = bandwidth(models.device, kind), o.target or dual(THRESHOLD), o.acceptance
    if acceptance is None and not o.base and not o.greedy:
        acceptance = 0.78  # random weights say nothing about it
    generator, console = torch.Generator().manual_seed(o.seed), Console()
    prompts = [torch.randint(3, models.vocabulary, (size, o.prompt_tokens), generator=generator) for size in o.batch]
    races = [
        Race(models, ids.to(models.device), o.new_tokens, not o.greedy, target, acceptance, o.deferral, o.compile)
        for ids in prompts
    ]
    results = measured(races, list(o.gamma), o.rounds, rate, console)
    report = {
        "kad": VERSION, "torch": torch.__version__, "transformers": transformers.__version__,
        "python": platform.python_version(), "date": datetime.date.today().isoformat(), "machine": machine(models),
        "threads": torch.get_num_threads(), "dtype": str(kind).removeprefix("torch."), "pair": models.name,
        "parameters": [sum(p.numel() for p in m.parameters()) for m in (models.base, models.proxy)],
        "sampled": not o.greedy, "new_tokens": o.new_tokens, "prompt_tokens": o.prompt_tokens, "rounds": o.rounds,
        "synthetic_acceptance": acceptance, "synthetic_deferral": None if acceptance is None else o.deferral, "compiled": o.compile,
        "packed": o.pack, "target": repr(target), "bandwidth": rate, "cost_ratio": cost_ratio(models),
        "results": [asdict(r) for r in results],
    }  # fmt: skip
    print_table(console, report, results)
    if o.output is not None:
        save(speed(report), o.output / "speed.png", 160, tight=True)
        write_whole(o.output / "results.json", json.dumps(report, indent=1) + "\n")
        console.print(f"written: {o.output}/results.json, speed.png")
    return report


def measured(races: list[Race], windows: list[int | str], rounds: int, rate: float, console: Console) -> list[Result]:
    """The results of all races, with a bar while they are found."""
    who, results = contenders(windows), list[Result]()
    with Progress(console=console, transient=True) as progress:
        steps = sum(rounds + sum(1 for c in who if len(s.prompts) == 1 or not c.only_single) for s in races)
        task = progress.add_task("warming up", total=steps)
        for race in races:
            results += measure(race, who, rounds, rate, lambda text: progress.update(task, advance=1, description=text))
    return results


def check_bench(o: Bench) -> None:
    """One sentence about the first option that cannot be."""
    if o.output is not None:
        need("--output", "matplotlib")
    for name, value in (("batch", min(o.batch)), ("rounds", o.rounds), ("prompt-tokens", o.prompt_tokens)):
        whole(f"--{name}", value, 1)
    whole("--new-tokens", o.new_tokens, 2)
    if any(w != "auto" and w < 0 for w in o.gamma):
        raise ValueError("--gamma must be ≥ 0 or auto.")
    for name, share in (("acceptance", o.acceptance), ("deferral", o.deferral)):
        if share is not None and not 0 <= share <= 1:
            raise ValueError(f"--{name} must lie in [0, 1], got {share}.")
    if o.output is not None and o.output.exists() and not o.output.is_dir():
        raise ValueError(f"--output {o.output} is a file; choose a new folder.")
    if o.output is not None and (o.output / "results.json").exists():
        raise ValueError(f"--output {o.output} holds results already; choose another folder.")


def load_pair(o: Bench, device: str, dtype: torch.dtype) -> Models:
    """Two checkpoints, made to emit as many tokens as they are asked for."""
    found = load_checkpoints({"base": o.base, "proxy": o.proxy}, str(dtype).removeprefix("torch."), device).models
    for name, model in found.items():
        check_model(model, name)
        model.generation_config.eos_token_id = None  # every contender emits the same number of tokens
        model.generation_config.pad_token_id = 0
    return Models(f"{o.base} + {o.proxy}", found["base"], found["proxy"])


def machine(models: Models) -> str:
    if models.device.type == "cuda":
        return torch.cuda.get_device_name(models.device)
    return f"CPU, {platform.machine()}"


def print_table(console: Console, report: dict[str, Any], results: list[Result]) -> None:
    """The table: ratios to the peers of the same batch."""
    kind = "greedy" if not report["sampled"] else "sampled"
    if report["compiled"]:
        kind += ", kad compiled"
    if report["packed"]:
        kind += ", packed weights"
    if report["synthetic_acceptance"] is not None:
        kind += f", SYNTHETIC acceptance {report['synthetic_acceptance']} and deferral {report['synthetic_deferral']}"
    console.print(
        f"{report['pair']}: {report['parameters'][0] / 1e6:.0f} M + {report['parameters'][1] / 1e6:.0f} M parameters, "
        f"{report['dtype']}, {report['machine']}, {report['threads']} thread(s); {kind}; {report['new_tokens']} tokens; "
        f"c = {report['cost_ratio']:.3f}; {report['bandwidth'] / 1e9:.1f} GB/s"
    )
    table = Table(box=None, pad_edge=False)
    for title in ("batch", "contender", "γ", "tok/s", "×HF", "×ass.", "×two", "base", "proxy", "outside", "floor"):
        table.add_column(title, justify="left" if title == "contender" else "right")
    for r in results:
        peers = [rival(results, r, name) for name in ("HF generate", "HF assisted", "two-model")]
        ratios = [f"{statistics.median(times_as_fast(peer, r)):.2f}" if peer else "" for peer in peers]
        table.add_row(
            str(r.batch), r.name, "" if r.window is None else str(r.window), f"{r.tokens_per_second:.1f}", *ratios,
            f"{r.base_passes}/{r.base_fed}/{r.base_places}", f"{r.proxy_passes}/{r.proxy_fed}/{r.proxy_places}",
            f"{r.outside:.1%}", f"{r.floor:.2f}",
        )  # fmt: skip
    console.print(table)
    console.print(
        "×HF, ×ass., ×two: times as fast as Hugging Face's generate on the base, its assisted decoding with the same γ, and "
        "the two-model loop. base, proxy: passes/tokens fed/places computed (rows times width, so padding too). outside: of "
        "the time, not in the models. floor: time that reading the weights takes, of the time taken."
    )


def rival(results: list[Result], own: Result, name: str) -> Result | None:
    found = [r for r in results if r.name.startswith(name) and r.batch == own.batch and r.window in (None, own.window)]
    return found[0] if found else None


def times_as_fast(peer: Result, own: Result) -> list[float]:
    """How many times as fast as the peer, round by round."""
    return [a / b for a, b in zip(peer.seconds, own.seconds, strict=True)]
