"""``kad tune``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.text import Text

from ..checkpoints import load_checkpoints
from ..evaluation.job import ready
from ..evaluation.methods import KINDS, Method, methods_of
from ..evaluation.own import expanded
from ..evaluation.tuning import command, plan_of, tune
from ..extras import need
from ..terminal import Console
from .variables import variables


def run(
    *, task: list[str] | None, method: str, trials: int, placement: list[str] | None, base: str | None, proxy: str | None,
    reference: str | None, aligned: str | None, data: Path | None, n: int | None, seeds: int, temperature: float,
    new_tokens: int | None, template_option: list[str] | None, low: float | None, high: float | None,
    batch: int, seed: int, dtype: str, device: str | None, output: Path,
) -> None:  # fmt: skip
    """See `kad.cli.evaluation.tune`."""
    console = Console()
    if seeds < 1:
        raise ValueError(f"--seeds must be ≥ 1, got {seeds}.")
    if task is None and base is not None:
        raise ValueError("give the tasks with --task, such as --task gsm8k.")
    chosen = named(method)
    heat: tuple[Any, ...] = tuple(placement or ["models"])
    plan = plan_of(
        tuple(task or ["embedded"]),
        chosen.name,
        n,
        seeds,
        temperature,
        new_tokens,
        tuple(variables(template_option or []).items()),
    )
    need("kad tune", "optuna")
    ready(plan)
    checkpoints = load_checkpoints(
        {"base": base, "proxy": proxy, "reference": reference, "aligned": aligned}, dtype, device
    )
    with console.status("starting") as status:
        told = lambda text: status.update(Text(text))  # noqa: E731
        found = tune(chosen.name, plan, checkpoints, output, trials, heat, seed, data, batch, told, low, high)
    speeds = ", ".join(f"γ {window}: {speed:.0f}" for window, speed in found.tokens_per_second.items())
    console.print(
        f"{Method(found.method, found.value).label} on the {found.placement}: "
        f"{100 * found.accuracy:.1f} [{100 * found.low:.0f}-{100 * found.high:.0f}] % of {found.questions} development questions, the "
        f"best of {found.trials} settings (so it flatters). Test questions asked: none.\n"
        f"tokens a second: {speeds}; fastest with γ = {found.window}.\n"
        f"On the test questions: {command(found, plan)}",
        soft_wrap=True,
    )  # fmt: skip


def named(method: str) -> Method:
    """The one method that a text names; its value is what is looked for, and none need be given.

    Raises:
        ValueError: none, or several.
    """
    name = method.partition(":")[0]
    if name not in KINDS:
        names = expanded(name)
        if len(names) > 1:
            raise ValueError(f"kad tune searches one method at a time, got {method!r}.")
        return Method(names[0])
    (found,) = methods_of(name)
    return found
