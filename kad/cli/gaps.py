"""``kad gaps``: rules beside the exact optimum over the steps of texts; what it shows is in `gap_tables`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..checkpoints import Checkpoints, load_checkpoints
from ..checks import whole
from ..defaults import EVALUATED_AT, NEW_TOKENS
from ..distributions import check_budget, check_temperature
from ..errors import asked
from ..evaluation.files import write_whole
from ..evaluation.methods import Method, methods_of
from ..evaluation.steps import Texts, steps, stored, written
from ..extras import need
from ..gap import gaps as gaps_of
from ..losses import Logistic
from ..terminal import Console, bar, json_text, loading
from .gap_tables import AT_BUDGET, AT_OWN_MASS, OnSteps, at_budget, at_own_mass, by_step, short_labels
from .options import Gaps
from .prompts import read_prompts
from .solve import claim_folder

RULES = ("dual:0.4", "primal:0.9", "fractional:0.9", "nudging:0.4")


def measure_gaps(o: Gaps) -> None:
    """``kad gaps``."""
    check_gaps(o)
    rules = list(dict.fromkeys(m for text in o.method or (() if o.results else RULES) for m in methods_of(text)))
    for rule in rules:
        if not decides(rule):
            raise ValueError(f"{rule.label} defers no tokens of p, so it has no gap; choose dual, primal, nudging, ...")
    prompts = [] if o.results else read_prompts(o.prompt, o.file)
    with loading(o.places):
        checkpoints = load_checkpoints(o.places, o.dtype, o.device)
    if o.results is not None:
        groups, others = stored(o.results, checkpoints, o.data, o.task, o.along)
    else:
        own = checkpoints.models["proxy"].generation_config
        heat = None if o.greedy else o.temperature or own.temperature or EVALUATED_AT
        length = o.max_new_tokens if o.max_new_tokens is not None else own.max_new_tokens or NEW_TOKENS
        groups, others = [written(checkpoints, prompts, writer_of(o.along), heat, length, o.seed, o.chat)], []
    found = rules_over_texts(o, checkpoints, groups, rules)
    if not found:
        raise ValueError(f"none of the methods in {o.results} defers tokens of p; name rules with --method.")
    show_gaps(o, found, [f"{c.task}: {c.of.label}" for c in others])


def writer_of(along: str | None) -> Method:
    """The method whose texts they are."""
    found = methods_of(along or RULES[0])
    if len(found) > 1 or found[0].kind.needs is not None:
        raise ValueError(f"--along takes one method that needs no further model, got {along}.")
    return found[0]


@asked()
def check_gaps(o: Gaps) -> None:
    """What can be known to be wrong before anything is loaded."""
    if sum(x is not None for x in (o.prompt, o.file, o.results)) > 1:
        raise ValueError("choose one of a prompt, --file and --results.")
    whole("--n", o.n, 0)
    if o.budget is not None:
        check_budget(o.budget)
    if o.plots is not None:
        need("--plots", "matplotlib")
        claim_folder(o.plots)
    if o.temperature is not None:
        check_temperature(o.temperature)
    if o.max_new_tokens is not None:
        whole("--max-new-tokens", o.max_new_tokens, 1)
    if o.output is not None and o.output.exists():
        raise ValueError(f"--output {o.output} exists; name a new file.")


def decides(method: Method) -> bool:
    """Whether a method defers tokens of p: not one of another model alone, nor implicit reward, nor p itself."""
    return (not method.kind.alone and method.kind.needs is None) or "." in method.name


def rules_over_texts(
    o: Gaps, checkpoints: Checkpoints, groups: Sequence[Texts], rules: Sequence[Method]
) -> list[OnSteps]:  # fmt: skip
    """Every rule on every group, or where none is named each text's own; with a bar on the standard error."""
    found = list[OnSteps]()
    with bar(Console(stderr=True)) as progress:
        for texts in groups:
            c = texts.configuration
            chosen = rules or ([c.of] if decides(c.of) else [])
            if not chosen:
                continue
            task = progress.add_task(f"{c.task}: reading", total=len(texts.texts))
            read = steps(checkpoints, texts, o.n or None, o.seed, lambda task=task: progress.update(task, advance=1))  # type: ignore[misc]
            progress.update(task, total=len(chosen) * len(read.p), completed=0)
            targets = {rule.label: rule.target(c.placement) for rule in chosen}
            gaps = gaps_of(
                read.p, targets, o.loss or Logistic(), o.budget, read.q, o.time_limit,
                lambda name, task=task, c=c: progress.update(task, description=f"{c.task}: {name}", advance=1),  # type: ignore[misc]
            )  # fmt: skip
            found += [OnSteps(texts, read, name, gap) for name, gap in gaps.items()]
            progress.remove_task(task)
    return found


def show_gaps(o: Gaps, found: Sequence[OnSteps], left: Sequence[str]) -> None:
    """Tables or JSON, and files."""
    loss, files = o.loss or Logistic(), draw_gaps(found, o.plots) if o.plots is not None else []
    if o.output is not None:
        write_whole(o.output, by_step(found))
        files.append(str(o.output))
    if o.json:
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


def draw_gaps(found: Sequence[OnSteps], folder: Path) -> list[str]:
    """One figure per task."""
    from .. import plots

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
        plots.save(axes[0], path, 160)
        files.append(str(path))
    return files
