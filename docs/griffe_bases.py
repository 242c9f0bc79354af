"""A griffe extension: of a class's bases only public ones are shown, and in place of an internal one the public one above it."""

from typing import Any

import griffe

INTERNAL = {
    "Checked": "Target",
    "Alone": "Target",
    "RowSolver": "Solver",
    "Budgeted": "Solver",
    "Parameters": None,
    "ABC": None,
}  # and what stands above them


class Bases(griffe.Extension):
    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:
        shown = []
        for base in cls.bases:
            name = str(base)
            above = INTERNAL.get(name, name)
            if above is not None:
                shown.append(base if above == name else griffe.ExprName(above, parent=cls.module))
        cls.bases = shown
