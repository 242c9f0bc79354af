"""Brings docs/speed.md's tables and picture up to date from results of `kad bench`.

kad bench ... --output sampled && python docs/update_speed.py speed=sampled greedy=greedy packed=packed
"""

import re
import shutil
import sys
from pathlib import Path

DOCS = Path(__file__).parent


def tables(folder: Path) -> list[str]:
    """The tables of a page that the command wrote, and what was measured."""
    parts = (folder / "speed.md").read_text().split("\n\n")
    return [part for part in parts if part.startswith("|")] + [parts[1]]


if __name__ == "__main__":
    page = (DOCS / "speed.md").read_text()
    for given in sys.argv[1:]:
        mark, _, folder = given.partition("=")
        speeds, work, about = tables(Path(folder))
        for name, text in ((mark, f"{about}\n\n{speeds}"), (f"{mark}-work", work)):
            found = re.compile(rf"<!-- {name} -->.*?<!-- end -->", re.DOTALL)
            page = found.sub(lambda _, name=name, text=text: f"<!-- {name} -->\n{text}\n<!-- end -->", page)
        if mark == "speed":
            shutil.copy(Path(folder) / "speed.png", DOCS / "images" / "speed.png")
    (DOCS / "speed.md").write_text(page)
