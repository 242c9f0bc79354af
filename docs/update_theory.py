"""Brings the theory's figures and the table of the exact solver's evidence up to date.

OMP_NUM_THREADS=1 python benchmarks/exact_solver.py --or-tools > exact.txt && python docs/update_theory.py exact.txt
"""

import re
import sys
from pathlib import Path

import torch

import kad
from kad.vocabulary import id_bound

DOCS = Path(__file__).parent
QUESTION = "q : tom has 6 apples . he loses 2 . he finds 9 more . how many apples does tom have now ? a :"


def table(text: str) -> str:
    """The benchmark's columns as a table, and its last lines as sentences."""
    lines = text.strip().splitlines()
    head = ["solver", "family", "loss", "cases", "optimal", "worst gap", "median s", "worst s", "gain"]
    rows = [line.split() for line in lines[1:] if ":" not in line]
    cells = [" | ".join(row) for row in [head, ["---"] * len(head), *rows]]
    totals = [line + "." for line in lines if ":" in line]
    return "\n".join([f"| {cell} |" for cell in cells] + ["", *totals])


if __name__ == "__main__":
    pair = kad.demo.load()
    with torch.inference_mode():
        ids = pair.tokenizer(QUESTION, return_tensors="pt").input_ids
        p = torch.softmax(pair.base(ids).logits[0, :, : id_bound(pair.tokenizer)].double(), -1)
    loss = kad.Logistic()(p)
    for name, axes in {
        "frontier": kad.plots.frontier(loss[-1], p[-1]),
        "unfilled": kad.plots.unfilled(loss, p, 0.5),
    }.items():
        axes.figure.savefig(DOCS / "images" / f"{name}.png", dpi=130)
    page = DOCS / "evidence.md"
    found = table(Path(sys.argv[1]).read_text())
    marked = f"<!-- exact -->\n{found}\n<!-- end -->"
    page.write_text(re.sub(r"<!-- exact -->.*?<!-- end -->", lambda _: marked, page.read_text(), flags=re.DOTALL))
