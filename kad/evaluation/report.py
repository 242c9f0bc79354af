"""One page with everything that a folder of results says; it needs no network and no other file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..extras import need
from ..version import VERSION
from . import figures
from .failures import Failure, read_failures
from .files import write_whole
from .methods import KINDS
from .plan import Configuration
from .presets import PRESETS, PUBLISHED, SOURCE
from .store import read
from .summary import Comparison, Summary, comparisons, summaries
from .traces import read_traces

PAGE = "report.html"
NEEDS = ("jinja2", "matplotlib")
PICTURES = {
    "accuracy": ("Accuracy", "Wilson intervals at 95%, with the question as the unit of sampling."),
    "parameters": ("Accuracy and the parameter", "Every method with more than one value of its parameter."),
    "acceptance": ("Acceptance and the window", "Accepted over drafted tokens; the form of the paper's Figure 2."),
    "unfilled": ("Unfilled budget", "b − α over all positions; the form of the paper's Figure 4. Logarithmic."),
    "throughput": ("Accuracy and throughput", "Times are of this machine, for whole batches; compare within a run."),
}


@dataclass(frozen=True)
class Results:
    """What a folder says.

    Attributes:
        folder: where it lies.
        lines: one per configuration.
        compared: the reference against the other methods.
        manifest: what made it.
        failures: questions that have no answer yet because they failed; they count nowhere.
    """

    folder: Path
    lines: list[Summary]
    compared: list[Comparison]
    manifest: dict[str, Any]
    failures: tuple[Failure, ...] = ()

    def numbers(self) -> dict[str, Any]:
        """For JSON: every number of the page."""
        return {
            "summaries": [s.as_dict() for s in self.lines], "comparisons": [c.__dict__ for c in self.compared],
            "failures": [asdict(failure) for failure in self.failures],
        }  # fmt: skip


def results_of(folder: str | Path, against: str = "dual") -> Results:
    """Read a folder; compare with ``against``, or where that is "dual" and there is none, with the first method.

    Raises:
        ValueError: no complete results, or another method to compare with that is not there.
    """
    configurations, rows, manifest = read(folder)
    lines = summaries(configurations, rows)
    if not lines:
        raise ValueError(f"{folder} holds no complete results yet.")
    if not any(against in (c.method, c.of.label) for c in configurations.values()):
        if against != "dual":
            raise ValueError(f"there is no method {against!r} to compare with in these results.")
        against = lines[0].configuration.of.label
    have = {(row["key"], row["seed"], row["item"]) for row in rows}
    failures = tuple(failure for failure in read_failures(Path(folder)) if failure.place not in have)
    return Results(Path(folder), lines, comparisons(configurations, rows, against), manifest, failures)


def write(results: Results) -> Path:
    """Make the page; its path.

    Questions, answers and names in it are others' texts. They are escaped, and besides the page allows no script but its own
    (by its hash) and nothing from anywhere.

    Raises:
        ImportError: jinja2 or matplotlib is missing.
        ValueError: the page cannot be written.
    """
    need("the report", *NEEDS)
    import jinja2

    folder, lines, manifest = results.folder, results.lines, results.manifest
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["percent"] = lambda x: "" if x is None else f"{100 * x:.1f}"
    environment.filters["two"] = lambda x: "" if x is None else f"{x:.2f}"
    tasks = list(dict.fromkeys(s.configuration.task for s in lines))
    named = {s.configuration.key: s.configuration for s in lines}
    script = (Path(__file__).parent / "report.js").read_text(encoding="utf-8")
    text = environment.get_template("report.html.j2").render(
        script=script, hash=f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}",
        version=VERSION, folder=folder.name, tasks=tasks, lines=[line_of(s) for s in lines],
        comparisons=[line_of_comparison(c, named) for c in results.compared],
        pictures={task: pictures(lines, task) for task in tasks}, sessions=manifest.get("sessions", []),
        kinds={name: kind.about for name, kind in KINDS.items() if any(s.configuration.method == name for s in lines)},
        published=published(manifest), source=SOURCE, failures=results.failures,
        traces=explorer(read_traces(folder), named),
    )  # fmt: skip
    write_whole(folder / PAGE, text)
    return folder / PAGE


def line_of(s: Summary) -> dict[str, Any]:
    return s.as_dict() | {"variant": figures.variant(s.configuration)}


def line_of_comparison(c: Comparison, named: dict[str, Configuration]) -> dict[str, Any]:
    ours, theirs = named[c.key], named[c.against]
    return c.__dict__ | {
        "task": ours.task, "ours": ours.of.label, "theirs": theirs.of.label, "variant": figures.variant(ours),
    }  # fmt: skip


def pictures(lines: Sequence[Summary], task: str) -> list[dict[str, str]]:
    """The task's figures, those that these results allow."""
    found = []
    for name, (title, about) in PICTURES.items():
        axes = getattr(figures, name)(lines, task)
        if axes is not None:
            found.append({"name": name, "title": title, "about": about, "svg": figures.svg(axes)})
    return found


def published(manifest: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """What the paper says of this pair, if it is one of its."""
    sessions = manifest.get("sessions", [])
    own = {model["name"] for session in sessions for model in session["models"].values()}
    return PUBLISHED if any({p.places["base"], p.places["proxy"]} <= own for p in PRESETS.values()) else ()


def explorer(traces: Sequence[dict[str, Any]], named: dict[str, Configuration]) -> list[dict[str, Any]]:
    """The traces of configurations that are in the results, with their names."""
    return [
        trace | {"task": c.task, "method": f"{c.of.label} ({figures.variant(c)})"}
        for trace in traces if (c := named.get(trace["key"])) is not None
    ]  # fmt: skip
