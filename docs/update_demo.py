"""Brings the README's pictures and docs/demo.md's tables up to date from two runs of the demo.

kad demo --output standard && kad demo --full --output full && python docs/update_demo.py standard full
"""

import io
import json
import re
import shutil
import sys
from pathlib import Path

from rich.console import Console

from kad import demo
from kad.demo.evaluate import Run
from kad.demo.problems import held_out
from kad.demo.report import examples, pick, sampled
from kad.statistics import rate

DOCS = Path(__file__).parent


def load(folder: str) -> tuple[dict, list[Run]]:
    """The results of a run, outcomes as lists again."""
    results = json.loads((Path(folder) / "results.json").read_text())
    for row in results["runs"]:
        row["correct"], row["strict"] = ([c == "1" for c in row[key]] for key in ("correct", "strict"))
    return results, [Run(**row) for row in results["runs"]]


def table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def accuracy(runs: list[Run], filtered: bool) -> str:
    rows = []
    for name in dict.fromkeys(r.method for r in runs):
        both = [rate([r.correct for r in sampled(runs, name, at, filtered)]) for at in ("models", "mixture")]
        greedy = pick(runs, method=name, seed=None, window=0)[0]
        alone = not pick(runs, method=name, placement="mixture")
        strict = rate([r.strict for r in sampled(runs, name, "mixture", filtered)])
        row = [name, str(both[0]), "same" if alone else str(both[1]), f"{100 * strict.share:.1f}"]
        rows.append(row if filtered else [*row, f"{100 * sum(greedy.correct) / len(greedy.correct):.1f}"])
    head = ["method", "T on the models (paper)", "T on the mixture", "strict format"]
    return table(head if filtered else [*head, "greedy"], rows)


def comparisons(results: dict) -> str:
    rows: dict[str, list[str]] = {}
    for line in results["comparisons"]:
        cell = f"{100 * line['difference']:+.1f} ± {100 * line['standard_error']:.1f}"
        rows.setdefault(line["against"], []).append(cell)
    return table(["against", "T on the models", "T on the mixture"], [[k, *v] for k, v in rows.items()])


def speculation(runs: list[Run]) -> str:
    rows, windows = [], sorted({r.window for r in runs if r.window})
    for name in dict.fromkeys(r.method for r in runs if r.window):
        totals = [pick(runs, method=name, window=w)[0].totals for w in windows]
        alpha = sampled(runs, name, "models")[0].totals["deferral_rate"]
        cells = [f"{t['acceptance_rate']:.2f}, {t['tokens_per_base_pass']:.2f}" for t in totals]
        rows.append([name, "-" if alpha is None else f"{alpha:.2f}", *cells])
    return table(["method", "deferred mass α", *(f"γ = {w}" for w in windows)], rows)


if __name__ == "__main__":
    standard, full = sys.argv[1:]
    for name in ("accuracy.png", "acceptance.png"):
        shutil.copy(Path(standard) / name, DOCS / "images" / name)
    console = Console(record=True, width=96, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(examples(demo.load(), held_out(3)))
    svg = console.export_svg(title="kad demo")
    svg = re.sub(r"@font-face \{.*?\}\n", "", svg, flags=re.DOTALL)  # fonts from elsewhere: any monospace will do
    (DOCS / "images" / "trace.svg").write_text(svg)
    results, runs = load(full)
    page = (DOCS / "demo.md").read_text()
    for mark, text in {
        "results": accuracy(runs, filtered=False),
        "comparisons": comparisons(results),
        "filtered": accuracy(runs, filtered=True),
        "speculation": speculation(runs),
    }.items():
        page = re.sub(
            rf"<!-- {mark} -->.*?<!-- end -->", f"<!-- {mark} -->\n{text}\n<!-- end -->", page, flags=re.DOTALL
        )
    (DOCS / "demo.md").write_text(page)
