"""``kad demo``: a plan on the embedded pair, into a folder of results; then tables, coloured examples, pictures and the page."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.progress import TaskID

from ..checkpoints import Checkpoints, of_pair
from ..defaults import EVALUATED_AT
from ..demo import MODELS, load
from ..evaluation.job import Job
from ..evaluation.methods import methods_of
from ..evaluation.plan import Block, Plan
from ..evaluation.report import NEEDS, results_of, write
from ..evaluation.schema import Line
from ..evaluation.store import Store, check_folder
from ..evaluation.traces import explain
from ..extras import need
from ..terminal import Console, bar
from .demo_tables import FILTER, OURS, WINDOWS, Shown, draw_pictures, show_tables
from .options import Demo
from .progress import with_progress

PROBLEMS, QUICK_PROBLEMS, SEEDS, TRACES = 400, 150, 3, 3
COMPARED = "p", "q*", "nudging:0.4", "implicit-reward", "dual:0.4", "primal:0.9", "fractional:0.9", "confidence-bet:0.1"
MORE_METHODS = "dual:0.3,0.5", "primal:0.6", "fractional:0.6", "confidence-bet:0,0.2"


def show_demo(o: Demo) -> None:
    """``kad demo``."""
    need("kad demo", *NEEDS)
    console = Console()
    n = o.n if o.n is not None else QUICK_PROBLEMS if o.quick else PROBLEMS
    if n < 2:
        raise ValueError(f"--n must be at least 2 problems, got {n}.")
    output = folder_of(o.output)
    if o.retrain:
        if o.models is None:
            raise ValueError("--retrain needs --models FOLDER, an empty or new folder for the four models.")
        retrained(o.models, o.seed, console)
    pair = load(o.models if o.models is not None else MODELS)
    jobs = jobs_of(of_pair(pair), n, range(o.seed, o.seed + (1 if o.quick else SEEDS)), o.full)
    start = time.perf_counter()
    with Store(output) as store:
        answered = with_progress(jobs, store, console)
        results = results_of(output, OURS.label)
        explain(jobs[0], store, results.rows, TRACES)
    shown = shown_of(results.rows, jobs)
    show_tables(console, shown, pair)
    draw_pictures(shown, output)
    write(results)
    there, seconds = len(shown.rows) - answered, time.perf_counter() - start
    console.print(f"{answered} questions answered, {there} were there; {seconds:.0f} s.")
    console.print(f"Wrote {output}/report.html, accuracy.png, acceptance.png, results.jsonl.", soft_wrap=True)


def jobs_of(checkpoints: Checkpoints, n: int, seeds: Sequence[int], full: bool = False) -> list[Job]:
    """Everything that one demo runs: every method sampled and greedily, and the mixtures with drafts, with one seed."""
    texts = (*COMPARED, *(MORE_METHODS if full else ()), "p*")
    methods = tuple(method for text in texts for method in methods_of(text))
    filters = ((), (("min_p", FILTER),)) if full else ((),)
    plain = Block(methods, ("models", "mixture"), temperatures=(EVALUATED_AT,), filters=filters)
    greedy = Block(methods, temperatures=(None,))
    drafts = Block(tuple(m for m in methods if m.kind.base == "base"), windows=WINDOWS, temperatures=(EVALUATED_AT,))
    rounds = ((plain, greedy), seeds), ((drafts,), seeds[:1])
    plans = [Plan(("embedded",), blocks, n, tuple(own)) for blocks, own in rounds]
    return [Job(plan, checkpoints, batch=n) for plan in plans]


def shown_of(rows: Sequence[Line], jobs: Sequence[Job]) -> Shown:
    """What these jobs ask for, of the rows of a folder, which may hold those of other runs."""
    asked = {(u.configuration.key, u.seed, item.id) for job in jobs for u in job.units() for item in u.items}
    own = [row for row in rows if (row["key"], row["seed"], row["item"]) in asked]
    return Shown({c.key: c for job in jobs for c in job.configurations()}, own)


def retrained(folder: Path, seed: int, console: Console) -> None:
    """Train the four models into a new folder; a run that fails or is killed leaves nothing there."""
    from ..demo.train import train

    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty; give --models a new folder so that no other models are overwritten.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".kad-training-") as scratch, bar(console) as progress:
        tasks: dict[str, TaskID] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(f"training {stage}", total=total)
            progress.update(tasks[stage], completed=done)

        figures = train(Path(scratch) / "models", seed, report)
        if folder.exists():
            folder.rmdir()
        shutil.move(Path(scratch) / "models", folder)
    for name, value in figures.items():
        console.print(f"{name}: {value:.3f}")


def folder_of(output: Path | None) -> Path:
    """The one given, or the first free kad-demo-N; that it can be written is known before anything is trained or run."""
    if output is None:
        i = 1
        while Path(f"kad-demo-{i}").exists():
            i += 1
        output = Path(f"kad-demo-{i}")
    check_folder(output)
    there = output.absolute()
    while not there.exists():
        there = there.parent
    if not os.access(there, os.W_OK):
        raise ValueError(f"cannot write to {output}: {there} is read-only.")
    return output
