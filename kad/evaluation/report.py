"""One page with everything that a folder of results says; it needs no network and no other file."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..extras import need
from ..kinds import KINDS
from ..version import VERSION
from .configuration import Configuration
from .doubts import BASIS, REASONS, doubt, doubts
from .failures import Failure, read_failures
from .figures import PICTURES, defers, svg
from .files import write_whole
from .grading import Graded, regraded
from .methods import Method
from .presets import PRESETS
from .protocol import remarks
from .published import AVERAGED, beside
from .schema import Line
from .store import read_rows
from .summary import Comparison, Summary, comparisons, summaries
from .task import Task
from .traces import place_of, read_traces
from .wording import Words, variant, wordings

PAGE = "report.html"
NEEDS = ("jinja2", "matplotlib")


@dataclass(frozen=True)
class Results:
    """What a folder says.

    Attributes:
        folder: where it lies.
        lines: one per configuration.
        compared: the reference against the other methods.
        manifest: what made it.
        failures: questions that have no answer yet because they failed; they count nowhere.
        graded: by task, what graded it, and which verdicts that changed.
        superseded: how many answers count nowhere because their question's prompt has changed since.
        rows: what the lines were computed from.
    """

    folder: Path
    lines: list[Summary]
    compared: list[Comparison]
    manifest: dict[str, Any]
    failures: tuple[Failure, ...] = ()
    graded: dict[str, Graded] = field(default_factory=dict)
    superseded: int = 0
    rows: list[Line] = field(default_factory=list)

    @property
    def doubts(self) -> list[str]:
        """A sentence where so much, or so little, is deferred that the methods can hardly help."""
        return doubts((s.configuration, s.where) for s in self.lines)

    @property
    def unfinished(self) -> list[str]:
        """A sentence for every configuration that has fewer answers than were asked for."""
        words = wordings(s.configuration for s in self.lines)
        found = [
            f"{s.configuration.task}, {s.configuration.of.label} ({variant(s.configuration, words)}): {s.size}{s.more}"
            for s in self.lines if not s.complete
        ]  # fmt: skip
        have = {s.configuration.key for s in self.lines}
        return found + [
            f"{entry.get('task')}, {entry.get('method')}: 0 of {sum(entry['seeds'].values())}"
            for key, entry in self.manifest.get("asked", {}).items() if key not in have
        ]  # fmt: skip

    def numbers(self) -> dict[str, Any]:
        """For JSON: every number of the page."""
        return {
            "summaries": [s.as_dict() for s in self.lines], "comparisons": [c.__dict__ for c in self.compared],
            "failures": [asdict(failure) for failure in self.failures], "unfinished": self.unfinished, "doubts": self.doubts,
            "superseded": self.superseded, "beside": [asdict(b) for b in beside(self.lines, self.manifest)],
            "graded": {
                task: {"by": dict(g.grader), "now_right": g.changed[True], "now_wrong": g.changed[False], "kept": dict(g.kept)}
                for task, g in self.graded.items()
            },
        }  # fmt: skip


def results_of(folder: str | Path, against: str = "dual", tasks: Mapping[str, Task] | None = None) -> Results:
    """Read a folder and grade its texts again; compare with ``against``, or where that is "dual" and there is none, with the first method.

    Args:
        tasks: those at hand, by name, whose graders are used; kad's own graders are used in any case.

    Raises:
        ValueError: no results, or another method to compare with that is not there.
    """
    found, manifest = read_rows(folder)
    configurations = found.configurations
    # what the last run graded by, by the hash of the prompts; an edit of a task's kind is in force for all its lines
    recorded = manifest.get("prompts", {}).items()
    graders = {mark: p["grader"] for mark, p in recorded if isinstance(p.get("grader"), dict)}
    rows, graded = regraded(configurations, found.current, tasks, graders)
    lines = summaries(configurations, rows, manifest.get("asked"))
    if not lines:
        raise ValueError(f"{folder} holds no results yet.")
    if not any(against in (c.method, c.of.label) for c in configurations.values()):
        if against != "dual":
            raise ValueError(f"there is no method {against!r} to compare with in these results.")
        against = lines[0].configuration.of.label
    have = {(row["key"], row["seed"], row["item"]) for row in rows}
    failures = tuple(failure for failure in read_failures(Path(folder)) if failure.place not in have)
    compared = comparisons(configurations, rows, against)
    return Results(Path(folder), lines, compared, manifest, failures, graded, len(found.superseded), rows)


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
    environment.filters["one"] = lambda x: "" if x is None else f"{x:.1f}"
    environment.filters["two"] = lambda x: "" if x is None else f"{x:.2f}"
    tasks = list(dict.fromkeys(s.configuration.task for s in lines))
    named = {s.configuration.key: s.configuration for s in lines}
    words = wordings(named.values())
    drawn = {task: pictures_of(lines, task) for task in tasks}
    script, style = (Path(__file__).with_name(f"report.{kind}").read_text(encoding="utf-8") for kind in ("js", "css"))
    style += classes(drawn)
    text = environment.get_template("report.html.j2").render(
        policy=policy(script, style), script=script, style=style, version=VERSION, folder=folder.name, tasks=tasks,
        lines=lines, comparisons=results.compared, named=named, setting=lambda c: variant(c, words), pictures=drawn,
        sessions=manifest.get("sessions", []), kinds=abouts(lines), doubts=results.doubts, reasons=REASONS, basis=BASIS,
        deferred=[s for s in lines if defers(s)], doubt=doubt, unfinished=results.unfinished, graded=results.graded,
        superseded=results.superseded, prompts=prompts_asked(lines, manifest), old=any(not c.recorded for c in named.values()),
        published=published(manifest), protocols=remarks([s.configuration for s in lines]), averaged=AVERAGED,
        beside=beside(lines, manifest, words), failures=results.failures,
        traces=explorer(read_traces(folder), named, results.rows, words),
    )  # fmt: skip
    write_whole(folder / PAGE, text)
    return folder / PAGE


def policy(script: str, style: str) -> str:
    """The page's Content-Security-Policy: this script and this style sheet, whole, and nothing from anywhere else.

    >>> policy("", "")[:36]
    "default-src 'none'; script-src 'sha2"
    """
    own = [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in (script, style)]
    rest = "img-src data:; base-uri 'none'; form-action 'none'"
    return f"default-src 'none'; script-src {own[0]}; style-src {own[1]}; {rest}"


def classes(drawn: Mapping[str, dict[str, str]]) -> str:
    """Rules for the pictures, whose elements get classes in the place of style attributes, which the policy forbids."""
    known = dict[str, str]()

    def renamed(found: re.Match[str]) -> str:
        return f'{found[1]} class="{known.setdefault(html.unescape(found[2]), f"k{len(known)}")}"'

    for pictures in drawn.values():
        for name, picture in pictures.items():
            text = re.sub(r"<style[^<]*</style>", "", picture)
            pictures[name] = re.sub(r'(<[a-z][^<>]*?) style="([^"]*)"', renamed, text)
    return "".join(f".{name} {{ {rule} }}\n" for rule, name in known.items() if not re.search("[<>{}]", rule))


def abouts(lines: Sequence[Summary]) -> dict[str, str]:
    """What the methods of these lines are: kad's own first, in their order."""
    methods = dict.fromkeys(s.configuration.method for s in lines)
    return {name: Method(name).kind.about for name in sorted(methods, key=[*KINDS, *methods].index)}


def prompts_asked(lines: Sequence[Summary], manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What stands around the questions, with the limits under which they were asked; as far as it is recorded."""
    asked = defaultdict[tuple[str, str, str], list[Configuration]](list)
    for c in (s.configuration for s in lines):
        asked[c.prompt, c.task, c.protocol].append(c)
    found = list[dict[str, Any]]()
    for (mark, task, protocol), own in asked.items():
        limits, parts = sorted({c.new_tokens for c in own}), sorted({c.part or "?" for c in own})
        known = manifest.get("prompts", {}).get(mark, {})
        found.append({"task": task, "mark": mark, "protocol": protocol, "limits": limits, "parts": parts} | known)
    return found


def pictures_of(lines: Sequence[Summary], task: str) -> dict[str, str]:
    """The task's pictures, by name, those that these results allow."""
    drawn = {name: draw(lines, task) for name, draw in PICTURES.items()}
    return {name: svg(axes) for name, axes in drawn.items() if axes is not None}


def published(manifest: dict[str, Any]) -> bool:
    """Whether this pair is one of the paper's."""
    sessions = manifest.get("sessions", [])
    own = {model["name"] for session in sessions for model in session["models"].values()}
    return any({p.places["base"], p.places["proxy"]} <= own for p in PRESETS.values())


def explorer(
    traces: Sequence[dict[str, Any]], named: dict[str, Configuration], rows: Sequence[Line], words: Words
) -> list[dict[str, Any]]:
    """The traces of answers that count, with the names of their methods and the verdicts of today."""
    current = {place_of(row): row for row in rows} | {(row["key"], row["item"], row["seed"], ""): row for row in rows}
    found = list[dict[str, Any]]()
    for trace in traces:
        c, row = named.get(trace["key"]), current.get(place_of(trace))
        if c is not None and row is not None:
            now = {name: row[name] for name in ("answer", "correct", "gold") if name in row}
            found.append(trace | now | {"task": c.task, "method": f"{c.of.label} ({variant(c, words)})"})
    return found
