"""``kad demo``: train if asked, run, print, write."""

from __future__ import annotations

import json
import os
import platform
import shutil
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ..extras import need
from ..terminal import Console
from ..version import VERSION
from . import MODELS, Pair, load
from .evaluate import Plan, Run, records
from .evaluate import run as run_method
from .problems import Problem, held_out
from .report import comparison_lines, figures, show

PROBLEMS, QUICK_PROBLEMS, SEEDS = 400, 150, 3


def run(
    *, output: Path | None, quick: bool, full: bool, retrain: bool, models: Path | None, n: int | None, seed: int
) -> None:
    """See `kad.cli.commands.demo`."""
    need("kad demo", "matplotlib")
    console = Console()
    n = n if n is not None else QUICK_PROBLEMS if quick else PROBLEMS
    if n < 2:
        raise ValueError(f"--n must be at least 2 problems, got {n}.")
    output = free_folder(output)
    if retrain:
        if models is None:
            raise ValueError("--retrain needs --models FOLDER, an empty or new folder for the four models.")
        retrained(Path(models), seed, console)
    pair = load(models if models is not None else MODELS)
    problems = held_out(n)
    plan = Plan.of(range(seed, seed + (1 if quick else SEEDS)), full=full)
    start = time.perf_counter()
    runs = evaluate(pair, problems, plan, console)
    seconds = time.perf_counter() - start
    show(console, pair, problems, runs, plan)
    write(output, problems, runs, plan, seconds)
    console.print(
        f"{len(runs)} runs in {seconds:.0f} s. Wrote {output}/results.json, accuracy.png, acceptance.png.",
    )


def progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:22}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console,
        transient=True,
    )  # fmt: skip


def evaluate(pair: Pair, problems: list[Problem], plan: Plan, console: Console) -> list[Run]:
    """All runs of the plan, with a progress bar."""
    runs = []
    with progress(console) as bar:
        task = bar.add_task("", total=len(plan.runs))
        for method, settings in plan.runs:
            bar.update(task, description=method.name)
            runs.append(run_method(pair, method, problems, **settings))
            bar.advance(task)
    return runs


def retrained(folder: Path, seed: int, console: Console) -> None:
    """Train the four models into a new folder; a run that fails or is killed leaves nothing there."""
    from .train import train

    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty; give --models a new folder so that no other models are overwritten.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".kad-training-") as scratch, progress(console) as bar:
        tasks: dict[str, TaskID] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(f"training {stage}", total=total)
            bar.update(tasks[stage], completed=done)

        figures = train(Path(scratch) / "models", seed, report)
        if folder.exists():
            folder.rmdir()
        shutil.move(Path(scratch) / "models", folder)
    for name, value in figures.items():
        console.print(f"{name}: {value:.3f}")


def free_folder(output: Path | None) -> Path:
    """The folder to write to: the one given, if no run is there yet, or the first free kad-demo-N."""
    if output is None:
        i = 1
        while Path(f"kad-demo-{i}").exists():
            i += 1
        return Path(f"kad-demo-{i}")
    output = Path(output)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ValueError(f"{output} already exists and is not an empty folder; choose another --output.")
    parent = output.absolute().parent
    while not parent.exists():
        parent = parent.parent
    if not os.access(parent, os.W_OK):
        raise ValueError(f"cannot write to {output}: {parent} is read-only.")
    return output


def write(output: Path, problems: list[Problem], runs: list[Run], plan: Plan, seconds: float) -> None:
    """Everything into a scratch folder first, which then takes the final name: never half a result."""
    import torch
    import transformers

    output.absolute().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.absolute().parent, prefix=".kad-demo-") as scratch:
        folder = Path(scratch) / "run"
        folder.mkdir()
        figures(runs, plan, folder)
        result = {
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": {"kad": VERSION, "torch": torch.__version__, "transformers": transformers.__version__,
                         "python": platform.python_version()},
            "seconds": round(seconds, 1),
            "problems": [{"text": p.text, "answer": p.answer} for p in problems],
            "comparisons": comparison_lines(runs),
            "runs": records(runs),
        }  # fmt: skip
        (folder / "results.json").write_text(json.dumps(result, indent=1), encoding="utf-8")
        if output.exists():
            output.rmdir()
        folder.rename(output)
