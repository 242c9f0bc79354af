"""Optional libraries: whether they are there is asked before any work is done, not after it."""

from __future__ import annotations

from importlib.util import find_spec

# Import name -> its name on the package index, and the extra that brings it.
EXTRAS = {
    "matplotlib": ("matplotlib", "plots"), "ortools": ("ortools", "ortools"), "filelock": ("filelock", "evaluation"),
    "jinja2": ("jinja2", "evaluation"), "math_verify": ("math-verify", "evaluation"), "datasets": ("datasets", "evaluation"),
    "optuna": ("optuna", "tune"), "lm_eval": ("lm-eval", "lm-eval"), "ray": ("ray", "ray"), "argcomplete": ("argcomplete", "completion"),
    "starlette": ("starlette", "play"), "uvicorn": ("uvicorn", "play"),
}  # fmt: skip


def need(what: str, *modules: str) -> None:
    """Raise an ImportError that names the extra, if one of these libraries is not installed.

    Args:
        what: who needs it, the beginning of the sentence.
        modules: import names.

    >>> need("the report", "json")
    """
    for module in modules:
        if find_spec(module) is None:
            package, extra = EXTRAS[module]
            raise ImportError(f"{what} needs {package}: pip install 'kad-align[{extra}]'.")
