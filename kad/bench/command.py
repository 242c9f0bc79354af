"""``kad bench``: runs the contenders, prints a table, and writes results.json and speed.png."""

from __future__ import annotations

import datetime
import json
import platform
import statistics
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import transformers
from rich.progress import Progress
from rich.table import Table

from ..checkpoints import load_checkpoints
from ..checks import whole
from ..decoding.huggingface import check_model
from ..decoding.packed import pack_weights
from ..extras import need
from ..mixture import Target, dual
from ..plots import speed
from ..terminal import Console
from ..version import VERSION
from .contenders import Race, contenders
from .measure import Result, bandwidth, cost_ratio, measure
from .pairs import Models, build


def run_bench(
    *, pair: str, base: str | None, proxy: str | None, batch: list[int], window: list[int | str], new_tokens: int,
    prompt_tokens: int, rounds: int, acceptance: float | None, deferral: float, greedy: bool, target: Target | None,
    threads: int | None, dtype: str, device: str | None, compile: bool, pack: bool, output: Path | None, seed: int,
) -> dict[str, Any]:  # fmt: skip
    """Measure, show, write."""
    check_options(batch, window, new_tokens, prompt_tokens, rounds, acceptance, deferral, output)
    if threads is not None:
        torch.set_num_threads(threads)
    place = device or ("cuda" if torch.cuda.is_available() else "cpu")
    kind = (torch.bfloat16 if place.startswith("cuda") else torch.float32) if dtype == "auto" else getattr(torch, dtype)
    models = load_pair(base, proxy, place, kind) if base or proxy else build(pair, place, kind, seed)
    if pack:
        for model in (models.base, models.proxy):
            pack_weights(model)
    if acceptance is None and not base and not greedy:
        acceptance = 0.78  # random weights say nothing about it
    generator, console = torch.Generator().manual_seed(seed), Console()
    rate, target = bandwidth(models.device, kind), target or dual(0.4)
    prompts = [torch.randint(3, models.vocabulary, (size, prompt_tokens), generator=generator) for size in batch]
    races = [
        Race(models, ids.to(models.device), new_tokens, not greedy, target, acceptance, deferral, compile)
        for ids in prompts
    ]
    results = measured(races, window, rounds, rate, console)
    report = {
        "kad": VERSION, "torch": torch.__version__, "transformers": transformers.__version__,
        "python": platform.python_version(), "date": datetime.date.today().isoformat(), "machine": machine(models),
        "threads": torch.get_num_threads(), "dtype": str(kind).removeprefix("torch."), "pair": models.name,
        "parameters": [sum(p.numel() for p in m.parameters()) for m in (models.base, models.proxy)],
        "sampled": not greedy, "new_tokens": new_tokens, "prompt_tokens": prompt_tokens, "rounds": rounds,
        "synthetic_acceptance": acceptance, "synthetic_deferral": None if acceptance is None else deferral, "compiled": compile,
        "packed": pack, "target": repr(target), "bandwidth": rate, "cost_ratio": cost_ratio(models),
        "results": [asdict(r) for r in results],
    }  # fmt: skip
    print_table(console, report, results)
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        (output / "results.json").write_text(json.dumps(report, indent=1) + "\n")
        speed(report).figure.savefig(output / "speed.png", dpi=160, bbox_inches="tight")
        console.print(f"written: {output}/results.json, speed.png")
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


def check_options(
    batch: list[int], window: list[int | str], new_tokens: int, prompt_tokens: int, rounds: int,
    acceptance: float | None, deferral: float, output: Path | None,
) -> None:  # fmt: skip
    """One sentence about the first option that cannot be."""
    if output is not None:
        need("--output", "matplotlib")
    for name, value in (("batch", min(batch)), ("rounds", rounds), ("prompt-tokens", prompt_tokens)):
        whole(f"--{name}", value, 1)
    whole("--new-tokens", new_tokens, 2)
    if any(w != "auto" and int(w) < 0 for w in window):
        raise ValueError("--gamma must be ≥ 0 or auto.")
    for name, share in (("acceptance", acceptance), ("deferral", deferral)):
        if share is not None and not 0 <= share <= 1:
            raise ValueError(f"--{name} must lie in [0, 1], got {share}.")
    if output is not None and output.exists() and not output.is_dir():
        raise ValueError(f"--output {output} is a file; choose a new folder.")
    if output is not None and (output / "results.json").exists():
        raise ValueError(f"--output {output} holds results already; choose another folder.")


def load_pair(base: str | None, proxy: str | None, device: str, dtype: torch.dtype) -> Models:
    """Two checkpoints, made to emit as many tokens as they are asked for."""
    found = load_checkpoints({"base": base, "proxy": proxy}, str(dtype).removeprefix("torch."), device).models
    for name, model in found.items():
        check_model(model, name)
        model.generation_config.eos_token_id = None  # every contender emits the same number of tokens
        model.generation_config.pad_token_id = 0
    return Models(f"{base} + {proxy}", found["base"], found["proxy"])


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
