"""What ``kad bench`` shows: who is how fast beside whom, and what each run computed; on the screen and as a page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from ..bench.measure import Result
from ..statistics import Ratio, ratio
from ..terminal import Console

PEERS = {"×HF": "HF generate", "×assisted": "HF assisted", "×two-model": "two-model loop"}
AGAIN = " again"  # of a contender that is measured twice
NOTES = (
    "×: times as fast as Hugging Face's generate on the base, its assisted decoding with the same γ, and the two-model loop, with "
    "95% intervals over the rounds. decode: tokens a second without the passes that read the prompt. ms: of a pass of the base, with "
    "all that belongs to it. base, proxy: passes/tokens fed/places computed (rows times width, so padding too), means over the timed "
    "runs. outside: of the time, not in the models. floor: time that reading the weights takes, of the time taken."
)


def rival(results: Sequence[Result], own: Result, name: str) -> Result | None:
    """Who is called so in the same batch, with the same window if it has one."""
    found = [r for r in results if r.name == name and r.batch == own.batch and r.window in (None, own.window)]
    return found[0] if found else None


def ratio_to(results: Sequence[Result], own: Result, name: str) -> Ratio | None:
    """How many times as fast as this peer, round by round."""
    peer = rival(results, own, name)
    return None if peer is None else ratio(peer.seconds, own.seconds, own.turns)


def about_run(report: dict[str, Any]) -> str:
    """What was measured, on what."""
    kind = "sampled" if report["sampled"] else "greedy"
    if report["compiled"]:
        kind += ", compiled"
    if report["packed"]:
        kind += f", packed weights ({report['packed']})"
    if report["synthetic_acceptance"] is not None:
        kind += f", SYNTHETIC acceptance {report['synthetic_acceptance']} and deferral {report['synthetic_deferral']}"
    return (
        f"{report['pair']}: {report['parameters'][0] / 1e6:.0f} M + {report['parameters'][1] / 1e6:.0f} M parameters, "
        f"{report['dtype']}, {report['machine']}, {report['threads']} thread(s), {report['date']}; {kind}; {report['new_tokens']} "
        f"tokens; {report['rounds']} rounds of {report['turns']} turns; c = {report['cost_ratio']:.3f}; {report['bandwidth'] / 1e9:.1f} GB/s"
    )


def shown(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def titled(r: Result) -> list[str]:
    return [str(r.batch), r.name, "" if r.window is None else str(r.window)]


def speeds(results: Sequence[Result]) -> list[list[str]]:
    """Tokens a second, and ratios to the peers that took part."""
    peers = {title: name for title, name in PEERS.items() if any(r.name == name for r in results)}
    twice = any(r.name.endswith(AGAIN) for r in results)
    rows = [["batch", "contender", "γ", "tok/s", "decode", "ms", *peers, *(["×itself"] if twice else [])]]
    for r in results:
        cells = [str(ratio_to(results, r, name) or "") if r.name != name else "1" for name in peers.values()]
        if twice:
            cells.append(str(ratio_to(results, r, r.name.removesuffix(AGAIN))) if r.name.endswith(AGAIN) else "")
        numbers = [shown(x, ".1f") for x in (r.tokens_per_second, r.decoding, r.milliseconds)]
        rows.append([*titled(r), *numbers, *cells])
    return rows


def work(results: Sequence[Result]) -> list[list[str]]:
    """What every run computed, on average over the timed ones; contenders that nobody sees inside are left out."""
    rows = [["batch", "contender", "γ", "accepted", "base", "proxy", "outside", "floor"]]
    for r in results:
        counts = [
            "/".join(shown(r.mean(f"{role}_{what}"), ".0f") for what in ("passes", "fed", "places"))
            for role in ("base", "proxy")
        ]
        if r.floor is not None:
            shares = [shown(r.mean("outside"), ".1%"), f"{r.floor:.2f}"]
            rows.append([*titled(r), shown(r.mean("acceptance"), ".2f"), *counts, *shares])
    return rows


def print_tables(console: Console, report: dict[str, Any], results: Sequence[Result]) -> None:
    """Both tables of every batch."""
    console.print(about_run(report))
    for batch in dict.fromkeys(r.batch for r in results):
        own = [r for r in results if r.batch == batch]
        for rows in (speeds(own), work(own)):
            table = Table(title=f"batch {batch}", title_justify="left", box=None, pad_edge=False)
            for title in rows[0][1:]:
                width = 11 if title.startswith("×") else None  # an interval is not cut
                table.add_column(title, justify="left" if title == "contender" else "right", min_width=width)
            for row in rows[1:]:
                table.add_row(*row[1:])
            console.print(table)
    console.print(NOTES)


def markdown(rows: list[list[str]]) -> str:
    """A table of a page."""
    rule = ["---" if title == "contender" else "--:" for title in rows[0]]
    return "\n".join("| " + " | ".join(row) + " |" for row in [rows[0], rule, *rows[1:]])


def page(report: dict[str, Any], results: Sequence[Result]) -> str:
    """Both tables, with what was measured."""
    tables = markdown(speeds(results)), markdown(work(results))
    picture = "![Tokens a second against the batch](speed.png)"
    return "\n\n".join([f"# Speed: {report['pair']}", about_run(report) + ".", *tables, NOTES, picture]) + "\n"
