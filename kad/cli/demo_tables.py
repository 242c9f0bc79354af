"""What ``kad demo`` shows: tables, coloured examples and pictures. Every number in them comes from the store's rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from rich.console import Group
from rich.table import Table
from rich.text import Text

from ..decoding.colour import LEGEND, coloured
from ..decoding.generate import generate
from ..defaults import EVALUATED_AT
from ..demo import Quartet
from ..demo.problems import Problem, aligned, held_out, prompt
from ..evaluation import figures
from ..evaluation.configuration import Configuration
from ..evaluation.methods import Method
from ..evaluation.schema import Line
from ..evaluation.summary import Comparison, Summary, comparisons, summaries
from ..mixture import Placement, dual
from ..plots import save
from ..terminal import Console
from .evaluate import two_places

FILTER, WINDOWS = 0.3, (3, 5, 7)
OURS = Method("dual", 0.4)
OTHERS = Method("p"), Method("q*"), Method("nudging", 0.4), Method("implicit-reward", 1.0)
ALONE = {"p": "p (large base)", "q*": "q* (small aligned)", "p*": "p* (large aligned)"}
PLACEMENTS: tuple[Placement, Placement] = ("models", "mixture")
CAVEATS = (
    "What this shows: the base knows arithmetic and the proxy knows the format; the mixture does what neither does "
    "alone, and the proxy's drafts are good proposals for it. What it does not show: scale. The models have 1.1 and 0.15 "
    "million parameters, the problems come from a template, and what the proxy supplies is shallow (how to begin, how "
    "to end). Part of the lead over nudging and implicit reward is truncation of p's tail: `kad demo --full` repeats "
    "every method under one common truncation filter. Answers: the number that a text announces, as after ####, else "
    "its last number; 'strict format' wants the aligned form throughout. Intervals: Wilson, with the problem as the unit "
    "of sampling."
)

Cells = dict[str, list[str]]  # a table by the first cells of its rows; the first row has the heads
RunKey = tuple[Method, Placement, int, bool, bool]  # method, placement, window, greedy, under the common filter


@dataclass(frozen=True)
class Shown:
    """What a demo found.

    Attributes:
        configurations: what it asked for, by key.
        rows: their answers.
    """

    configurations: dict[str, Configuration]
    rows: Sequence[Line]

    @property
    def methods(self) -> list[Method]:
        return list(dict.fromkeys(c.of for c in self.configurations.values()))

    @cached_property
    def lines(self) -> dict[RunKey, Summary]:
        """Every run's summary."""
        found = dict[RunKey, Summary]()
        for s in summaries(self.configurations, self.rows):
            c = s.configuration
            found[c.of, c.placement, c.window, c.temperature is None, bool(c.filtered)] = s
        return found

    def line(
        self, method: Method, placement: Placement = "models", window: int = 0, greedy: bool = False, filtered: bool = False
    ) -> Summary:  # fmt: skip
        """A method's run; one model alone has one placement."""
        return self.lines[method, "models" if method.kind.alone else placement, window, greedy, filtered]

    def strict(self, s: Summary) -> float:
        """The share of right answers in the aligned form throughout."""
        own = [row["correct"] and aligned(row["text"]) for row in self.rows if row["key"] == s.configuration.key]
        return sum(own) / len(own)

    def compared(self) -> dict[tuple[Method, Placement], Comparison]:
        """Ours against the others, by method and placement."""
        chosen = {self.line(method, at).configuration.key for method in (OURS, *OTHERS) for at in PLACEMENTS}
        rows, known = [row for row in self.rows if row["key"] in chosen], self.configurations
        return {(known[c.against].of, known[c.key].placement): c for c in comparisons(known, rows, OURS.label)}


def shown_name(method: Method) -> str:
    """As the tables print it."""
    return ALONE.get(method.name, method.label)


def accuracy_cells(shown: Shown, filtered: bool = False) -> Cells:
    """Every method in both placements, sampled and greedy."""
    cells = {"method": ["T on models\n(paper) [95%]", "T on mixture\n[95%]", "strict\nformat"]}
    cells["method"] += [] if filtered else ["greedy"]
    for method in shown.methods:
        models, mixture = (shown.line(method, at, filtered=filtered) for at in PLACEMENTS)
        row = [str(models.accuracy), "same" if method.kind.alone else str(mixture.accuracy)]
        row += [percent(shown.strict(mixture))]
        row += [] if filtered else [percent(shown.line(method, greedy=True).accuracy.share)]
        cells[shown_name(method)] = row
    return cells


def percent(share: float) -> str:
    return f"{100 * share:.1f}"


def comparison(shown: Shown) -> Cells:
    """Ours minus the others, paired by problem."""
    cells, compared = {"against": [f"T on the {at}" for at in PLACEMENTS]}, shown.compared()
    for method in OTHERS:
        row = cells[shown_name(method)] = []
        for at in PLACEMENTS:
            c = compared[method, at]
            ratio = c.difference / c.error if c.error else math.inf
            row.append(f"{100 * c.difference:+.1f} ± {100 * c.error:.1f} ({ratio:+.1f} s.e.)")
    return cells


def speculation(shown: Shown) -> Cells:
    """Deferred mass, and what becomes of q*'s drafts, with the temperature on the models."""
    cells = {"method": ["deferred\nmass α", *(f"γ = {window}" for window in WINDOWS)]}
    for method in shown.methods:
        if method.kind.base == "base":
            mass, runs = shown.line(method).deferred, [shown.line(method, window=window) for window in WINDOWS]
            cells[shown_name(method)] = [two_places(mass) or "-"]
            cells[shown_name(method)] += [f"{two_places(s.acceptance)}, {two_places(s.tokens_per_pass)}" for s in runs]
    return cells


def demo_table(title: str, cells: Cells) -> Table:
    """Ours stands out."""
    found = Table(title=title, title_justify="left")
    (first, heads), *rows = cells.items()
    found.add_column(first, no_wrap=True)
    for head in heads:
        found.add_column(head, justify="right", no_wrap=True)
    for name, row in rows:
        found.add_row(name, *row, style="bold" if name == OURS.label else None)
    return found


def examples(pair: Quartet, problems: Sequence[Problem]) -> Group:
    """Worked examples with our method (window 0, so that a token's colour is the draw that made it)."""
    out = generate(
        pair.base, pair.proxy, [prompt(p) for p in problems], target=dual(0.4), window=0, seed=0,
        tokenizer=pair.tokenizer, do_sample=True, temperature=EVALUATED_AT, max_new_tokens=72,
    )  # fmt: skip
    lines: list[Text] = []
    for i, problem in enumerate(problems):
        lines += [Text(problem.text, "dim"), Text("  ") + coloured(out.trace, pair.tokenizer, i), Text("")]
    return Group(Text.assemble("Worked examples: ", LEGEND), Text(""), *lines)


def show_tables(console: Console, shown: Shown, pair: Quartet) -> None:
    """Print everything."""
    one = shown.line(OURS)
    size = f"{one.questions} problems x {one.seeds} sampling seed{'s' * (one.seeds > 1)}, temperature {EVALUATED_AT}"
    console.print(demo_table(f"Accuracy in %: {size}", accuracy_cells(shown)))
    console.print(demo_table(f"{OURS.label} minus the others, in points (paired by problem)", comparison(shown)))
    if any(filtered for *_, filtered in shown.lines):
        title = f"Accuracy in %: {size}\nand one common truncation filter (min-p {FILTER} on every model)"
        console.print(demo_table(title, accuracy_cells(shown, filtered=True)))
    title = "Speculation with q* as the drafter, temperature on the models:\naccepted/drafted, tokens per base pass"
    console.print(demo_table(title, speculation(shown)))
    console.print(examples(pair, held_out(3)))
    console.print(CAVEATS, style="dim")


def draw_pictures(shown: Shown, folder: Path) -> None:
    """``accuracy.png`` and ``acceptance.png``."""
    sampled = [(window, s) for (_, _, window, greedy, filtered), s in shown.lines.items() if not (greedy or filtered)]
    first, second = ([s for window, s in sampled if bool(window) == drafted] for drafted in (False, True))
    save(figures.accuracies(first, "embedded"), folder / "accuracy.png", tight=True)
    save(figures.acceptance_by_window(second, "embedded"), folder / "acceptance.png", tight=True)
