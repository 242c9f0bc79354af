"""Brings the README's draw_pictures and docs/demo.md's tables up to date from a run of the demo.

kad demo --full --output full && python docs/update_demo.py full
"""

import io
import re
import sys
from pathlib import Path

from rich.console import Console

from kad import demo
from kad.checkpoints import load_checkpoints
from kad.cli.demo import PROBLEMS, SEEDS, jobs_of, shown_of
from kad.cli.demo_tables import Cells, accuracy_cells, comparison, draw_pictures, examples, speculation
from kad.demo.problems import held_out
from kad.evaluation import read

DOCS = Path(__file__).parent


def table(cells: Cells) -> str:
    rows = [[name, *row] for name, row in cells.items()]
    lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "\n".join("| " + " | ".join(line).replace("\n", " ") + " |" for line in lines)


if __name__ == "__main__":
    rows, seeds = read(sys.argv[1])[1], range(1, 1 + SEEDS)
    standard, full = (shown_of(rows, jobs_of(load_checkpoints({}), PROBLEMS, seeds, full)) for full in (False, True))
    draw_pictures(standard, DOCS / "images")
    console = Console(record=True, width=96, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(examples(demo.load(), held_out(3)))
    svg = console.export_svg(title="kad demo")
    svg = re.sub(r"@font-face \{.*?\}\n", "", svg, flags=re.DOTALL)  # fonts from elsewhere: any monospace will do
    (DOCS / "images" / "trace.svg").write_text(svg)
    page = (DOCS / "demo.md").read_text()
    for mark, cells in {
        "results": accuracy_cells(full),
        "comparisons": comparison(full),
        "filtered": accuracy_cells(full, filtered=True),
        "speculation": speculation(full),
    }.items():
        page = re.sub(
            rf"<!-- {mark} -->.*?<!-- end -->", f"<!-- {mark} -->\n{table(cells)}\n<!-- end -->", page, flags=re.DOTALL
        )
    (DOCS / "demo.md").write_text(page)
