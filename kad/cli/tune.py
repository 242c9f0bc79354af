"""``kad tune``."""

from __future__ import annotations

from rich.text import Text

from ..checkpoints import given_places
from ..checks import whole
from ..errors import asked
from ..evaluation.job import ready
from ..evaluation.methods import KINDS, Method, methods_of
from ..evaluation.own import expanded
from ..evaluation.tuning import command, plan_of, tune
from ..extras import need
from ..terminal import Console
from .crew import check_crew, crew
from .evaluate import placements_of, tasks_of
from .options import Tune
from .variables import variables


def tune_method(o: Tune) -> None:
    """``kad tune``."""
    console = Console()
    with asked():
        tasks, chosen = tasks_of(o), one_method(o.method)
        template = tuple(variables(o.template_option).items())
        whole("--seeds", o.seeds, 1)
        plan = plan_of(tasks, chosen.name, o.n, o.seeds, o.temperature, o.new_tokens, template)
        given_places(o.places)
    need("kad tune", "optuna")
    ready(plan)
    check_crew(o)
    with console.status("starting") as status, crew(o, o.places) as team:
        told = lambda text: status.update(Text(text))  # noqa: E731
        found = tune(
            chosen.name, plan, team.checkpoints, o.output, o.trials, placements_of(o), o.seed, o.data, o.batch, told, o.low, o.high,
            team.workers,
        )  # fmt: skip
    speeds = ", ".join(f"γ {window}: {speed:.0f}" for window, speed in found.tokens_per_second.items())
    console.print(
        f"{Method(found.method, found.value).label} on the {found.placement}: "
        f"{100 * found.accuracy:.1f} [{100 * found.low:.0f}-{100 * found.high:.0f}] % of {found.questions} development questions, the "
        f"best of {found.trials} settings (so it flatters). Test questions asked: none.\n"
        f"tokens a second: {speeds}; fastest with γ = {found.window}.\n"
        f"On the test questions: {command(found, plan)}",
        soft_wrap=True,
    )  # fmt: skip


def one_method(method: str) -> Method:
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
