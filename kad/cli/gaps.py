"""``kad gaps``: rules beside the exact optimum over the steps of texts; what it shows is in `gap_tables`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..bounded import read_text
from ..checkpoints import Checkpoints, load_checkpoints
from ..checks import whole
from ..decoding.settings import DEFAULT_NEW_TOKENS
from ..distributions import check_budget, check_temperature
from ..evaluation.files import write_whole
from ..evaluation.methods import Method, methods_of
from ..evaluation.steps import Texts, steps, stored, written
from ..extras import need
from ..gap import gaps as gaps_of
from ..losses import Logistic, Loss
from ..terminal import Console, json_text
from .gap_tables import AT_BUDGET, AT_OWN_MASS, Found, at_budget, at_own_mass, by_step, short_labels
from .generate import TEMPERATURE
from .solve import claim_folder

RULES = ("dual:0.4", "primal:0.9", "fractional:0.9", "nudging:0.4")


def run(
    *, prompt: str | None, file: Path | None, results: Path | None, method: list[str] | None, along: str | None,
    loss: Loss | None, budget: float | None, base: str | None, proxy: str | None, chat: bool, data: Path | None,
    task: list[str] | None, n: int, seed: int, temperature: float | None, greedy: bool, max_new_tokens: int | None,
    time_limit: float, plots: Path | None, output: Path | None, json: bool, dtype: str, device: str | None,
) -> None:  # fmt: skip
    """See `kad.cli.evaluation.gaps`."""
    check(prompt, file, results, budget, n, temperature, max_new_tokens, plots, output)
    rules = list(dict.fromkeys(m for text in method or ([] if results else RULES) for m in methods_of(text)))
    for rule in rules:
        if not decides(rule):
            raise ValueError(f"{rule.label} defers no tokens of p, so it has no gap; choose dual, primal, nudging, ...")
    judge, prompts = loss if loss is not None else Logistic(), [] if results else read_prompts(prompt, file)
    checkpoints = load_checkpoints({"base": base, "proxy": proxy}, dtype, device)
    if results is not None:
        groups, others = stored(results, checkpoints, data, task or (), along)
    else:
        own = checkpoints.models["proxy"].generation_config
        heat = None if greedy else temperature or own.temperature or TEMPERATURE
        length = max_new_tokens if max_new_tokens is not None else own.max_new_tokens or DEFAULT_NEW_TOKENS
        groups, others = [written(checkpoints, prompts, writer_of(along), heat, length, seed, chat)], []
    found = measure(checkpoints, groups, rules, judge, budget, n or None, seed, time_limit)
    if not found:
        raise ValueError(f"none of the methods in {results} defers tokens of p; name rules with --method.")
    left = [f"{c.task}: {c.of.label}" for c in others]
    show(found, judge, left, plots, output, json)


def writer_of(along: str | None) -> Method:
    """The method whose texts they are."""
    found = methods_of(along or RULES[0])
    if len(found) > 1 or found[0].kind.needs is not None:
        raise ValueError(f"--along takes one method that needs no further model, got {along}.")
    return found[0]


def check(
    prompt: str | None, file: Path | None, results: Path | None, budget: float | None, n: int, temperature: float | None,
    length: int | None, plots: Path | None, output: Path | None,
) -> None:  # fmt: skip
    """What can be known to be wrong before anything is loaded."""
    if sum(x is not None for x in (prompt, file, results)) > 1:
        raise ValueError("choose one of a prompt, --file and --results.")
    whole("--n", n, 0)
    if budget is not None:
        check_budget(budget)
    if plots is not None:
        need("--plots", "matplotlib")
        claim_folder(plots)
    if temperature is not None:
        check_temperature(temperature)
    if length is not None:
        whole("--max-new-tokens", length, 1)
    if output is not None and output.exists():
        raise ValueError(f"--output {output} exists; name a new file.")


def decides(method: Method) -> bool:
    """Whether a method defers tokens of p: not one of another model alone, nor implicit reward, nor p itself."""
    return (not method.kind.alone and method.kind.needs is None) or "." in method.name


def read_prompts(prompt: str | None, file: Path | None) -> list[str]:
    """The prompt, or one a line."""
    if prompt is not None:
        lines = [prompt]
    elif file is not None:
        lines = read_text(file, f"the prompts from {file}").splitlines()
    else:
        lines = sys.stdin.read().splitlines()
    found = [line for line in lines if line.strip()]
    if not found:
        raise ValueError("there is no prompt; give it as an argument, or one a line with --file or on standard input.")
    return found


def measure(
    checkpoints: Checkpoints, groups: Sequence[Texts], rules: Sequence[Method], loss: Loss, budget: float | None,
    n: int | None, seed: int, time_limit: float,
) -> list[Found]:  # fmt: skip
    """Every rule on every group, or where none is named each text's own; with a bar on the standard error."""
    found = list[Found]()
    columns = (
        TextColumn("{task.description:40.40}", markup=False), BarColumn(), MofNCompleteColumn(), TextColumn("left"), TimeRemainingColumn()
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        for texts in groups:
            c = texts.configuration
            chosen = rules or ([c.of] if decides(c.of) else [])
            if not chosen:
                continue
            task = bar.add_task(f"{c.task}: reading", total=len(texts.texts))
            read = steps(checkpoints, texts, n, seed, lambda task=task: bar.update(task, advance=1))  # type: ignore[misc]
            bar.update(task, total=len(chosen) * len(read.p), completed=0)
            targets = {rule.label: rule.target(c.placement) for rule in chosen}
            gaps = gaps_of(
                read.p, targets, loss, budget, read.q, time_limit,
                lambda name, task=task, c=c: bar.update(task, description=f"{c.task}: {name}", advance=1),  # type: ignore[misc]
            )  # fmt: skip
            found += [Found(texts, read, name, gap) for name, gap in gaps.items()]
            bar.remove_task(task)
    return found


def show(
    found: Sequence[Found], loss: Loss, left: Sequence[str], plots: Path | None, output: Path | None, json: bool
) -> None:  # fmt: skip
    """Tables or JSON, and files."""
    files = draw(found, plots) if plots is not None else []
    if output is not None:
        write_whole(output, by_step(found))
        files.append(str(output))
    if json:
        print(json_text({"loss": repr(loss), "rows": [x.numbers() for x in found], "left_out": list(left)}))
        return
    console = Console()
    console.print(at_own_mass(found, loss))
    console.print(AT_OWN_MASS)
    if any(x.gap.summary()["budget"] is not None for x in found):
        console.print()
        console.print(at_budget(found))
        console.print(AT_BUDGET)
    if late := sum(x.gap.summary()["late"] for x in found):
        console.print(f"at {late} steps Exact ran out of time: their gaps are intervals (--time-limit).")
    if left:
        console.print(f"left out, of other models: {', '.join(left)}", soft_wrap=True)
    if files:
        console.print(f"written: {', '.join(files)}", soft_wrap=True)


def draw(found: Sequence[Found], folder: Path) -> list[str]:
    """One figure per task."""
    from .. import plots

    folder.mkdir(parents=True, exist_ok=True)
    tasks, files = list(dict.fromkeys(x.task for x in found)), list[str]()
    for i, task in enumerate(tasks):
        own = [x for x in found if x.task == task]
        texts = short_labels(own)
        plain = len(set(texts)) == 1 or texts == [x.rule for x in own]
        names = [x.rule if plain else f"{x.rule} on {text}" for x, text in zip(own, texts, strict=True)]
        axes = plots.optimality_gaps({name: x.gap for name, x in zip(names, own, strict=True)})
        if len(tasks) > 1:
            axes[0].set_title(plots.literal(task), fontsize=10, loc="left")
        path = folder / ("gaps.png" if len(tasks) == 1 else f"gaps-{i + 1}.png")
        axes[0].figure.savefig(path, dpi=160)
        plots.pyplot().close(axes[0].figure)
        files.append(str(path))
    return files
