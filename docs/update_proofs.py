"""Brings the names of the machine-checked theorems up to date: the table's last column, and the page with the proofs.

python docs/update_proofs.py
"""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
INDEX, PAGE = (ROOT / "docs" / "theory" / name for name in ("index.md", "machine.md"))
THEOREM = re.compile(r"^(?:Theorem|Lemma|Corollary|Example) (S\d+)_(\w+)", re.MULTILINE)
ROW = re.compile(r"^(\| (S\d+) \|.*\]\([\w-]+\.md#test-s\d+\)) \|.*$", re.MULTILINE)


def theorems() -> dict[str, list[tuple[str, str]]]:
    """Of every statement its theorems, (name without the statement, file without ending), as they stand in the files."""
    found: dict[str, list[tuple[str, str]]] = {}
    for file in sorted((ROOT / "proofs").glob("*.v")):
        for label, name in THEOREM.findall(file.read_text()):
            found.setdefault(label, []).append((name, file.stem))
    return found


def with_column(index: str) -> str:
    """The page of statements with the last column as the files have it."""
    known = theorems()

    def row(found: re.Match[str]) -> str:
        links = (f"[`{name}`](machine.md#{file.lower()})" for name, file in known.get(found[2], []))
        return f"{found[1]} | {' '.join(links)} |"

    return ROW.sub(row, index)


def with_files(page: str) -> str:
    """The page of machine proofs with every file on it."""
    parts = []
    for file in sorted((ROOT / "proofs").glob("*.v")):
        name = file.stem
        labels = sorted({label for label, _ in THEOREM.findall(file.read_text())}, key=lambda label: int(label[1:]))
        said = f"proofs/{name}.v" + (f": {', '.join(labels)}" if labels else "")
        snippet = f'    ```coq\n    --8<-- "proofs/{name}.v"\n    ```\n'
        parts.append(f'<a id="{name.lower()}"></a>\n\n??? example "{said}"\n{snippet}')
    marked = "<!-- proofs -->\n" + "\n".join(parts) + "<!-- end -->"
    return re.sub(r"<!-- proofs -->.*?<!-- end -->", lambda _: marked, page, flags=re.DOTALL)


if __name__ == "__main__":
    INDEX.write_text(with_column(INDEX.read_text()))
    PAGE.write_text(with_files(PAGE.read_text()))
