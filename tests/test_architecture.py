"""Data flows one way: a module imports only from modules to its left."""

from __future__ import annotations

import ast
import graphlib
import inspect
import re
from pathlib import Path

import kad
from kad.decoding.model import Model
from kad.engines import Engine
from kad.laws.law import Law

ORDER = [
    "version", "defaults", "started", "errors", "checks", "extras", "imports", "loading", "bounded", "terminal",
    "transfers", "distributions", "cut", "arithmetic", "losses", "cascades", "solvers", "target", "mixture", "stateful", "kinds", "gap", "decisions",
    "speculation", "chances", "origins", "laws", "theory", "vocabulary", "vocabulary_map", "decoding", "plots",
    "statistics", "demo", "checkpoints", "engines", "testing", "bench", "evaluation", "play", "cli", "__main__",
]  # fmt: skip
ROOT = Path(kad.__file__).parent


def layer(module: str) -> int:
    """The place of ``kad.a.b`` in the order."""
    return ORDER.index(module.split(".")[1])


def imports(path: Path) -> list[str]:
    """The kad modules that a file imports, absolute."""
    package = ["kad", *path.relative_to(ROOT).parent.parts]
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            if node.module:
                found.append(".".join([*base, node.module]))
            else:
                found += [".".join([*base, alias.name]) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append(node.module)
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
    return [name for name in found if name.split(".")[0] == "kad"]


def test_imports_point_left() -> None:
    for path in ROOT.rglob("*.py"):
        if path == ROOT / "__init__.py":
            continue
        mine = ["kad", *path.relative_to(ROOT).with_suffix("").parts]
        for name in imports(path):
            if name == "kad":
                assert mine[1] in ("demo", "cli"), f"{path} imports the whole package"
                continue
            assert layer(name) <= layer(".".join(mine)), f"{path} imports {name}, which stands to its right"


def test_no_file_stands_in_a_circle_of_imports() -> None:
    """Also of those for types alone, and of those within functions."""

    def module(path: Path) -> str:
        return ".".join(["kad", *path.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__")

    files = {module(path): path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py"}
    graph = {}
    for name, path in files.items():
        package, found = ["kad", *path.relative_to(ROOT).parent.parts], set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                base = package[: len(package) - node.level + 1] if node.level else []
                source = ".".join([*base, *([node.module] if node.module else [])])
                found |= {
                    f"{source}.{alias.name}" if f"{source}.{alias.name}" in files else source for alias in node.names
                }
        graph[name] = (found & files.keys()) - {name}
    graphlib.TopologicalSorter(graph).prepare()


def test_importing_kad_leaves_heavy_extras_alone() -> None:
    import subprocess
    import sys

    code = "import sys, kad; print([m for m in ('matplotlib', 'ortools', 'jsonargparse', 'rich', 'scipy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


WITHOUT_EXAMPLE = {
    "Loss",
    "Options",
    "Round",
    "Solver",
    "Target",
    "Output",
    "TokenTrace",
}  # interfaces, and what others return


def test_every_public_name_is_documented_with_an_example() -> None:
    for name in dir(kad):
        thing = getattr(kad, name)
        if name.startswith("_") or not getattr(thing, "__module__", "").startswith("kad"):
            continue
        assert (thing.__doc__ or "").strip(), f"kad.{name} has no docstring"
        assert ">>>" in thing.__doc__ or name in WITHOUT_EXAMPLE, f"kad.{name} has no example"


def test_every_statement_says_which_one_it_is() -> None:
    for name in dir(kad.theory):
        thing = getattr(kad.theory, name)
        if inspect.isfunction(thing) and inspect.signature(thing).return_annotation == "Claim":
            assert re.match(r"S\d+", thing.__doc__ or ""), f"kad.theory.{name} does not name its statement"
            assert f"`{name}`" in kad.theory.__doc__, f"kad.theory.{name} is missing from the table of statements"


def test_files_and_functions_stay_small() -> None:
    for path in ROOT.rglob("*.py"):
        text = path.read_text()
        assert len(text.splitlines()) <= 300, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno is not None
                assert node.end_lineno - node.lineno < 45, f"{path}: {node.name}, with its docstring"


def test_a_name_lives_in_one_module() -> None:
    """Functions, classes and constants of the top level; a logger is every module's own."""
    places = dict[str, list[str]]()
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            made = (
                node.targets
                if isinstance(node, ast.Assign)
                else [node.target]
                if isinstance(node, ast.AnnAssign)
                else []
            )
            names = [target.id for target in made if isinstance(target, ast.Name)]
            names += [node.name] if isinstance(node, (ast.FunctionDef, ast.ClassDef)) else []
            for name in names:
                places.setdefault(name, []).append(str(path.relative_to(ROOT)))
    several = {name: found for name, found in places.items() if len(found) > 1 and name not in ("logger", "__all__")}
    assert not several


# What is given is looked at where it comes in: there a class may be asked for, and nowhere else.
INCOMING = {"settle_target", "source", "settable"}


def test_nobody_asks_for_the_class_of_what_can_be_exchanged() -> None:
    """Targets, solvers, sources of chance, models, laws, engines: what they are is what they answer."""
    roots = (kad.Target, kad.Solver, kad.Chance, Model, Law, Engine)
    kinds = {kind.__name__ for root in roots for kind in [root, *descendants(root)]}
    for path in ROOT.rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text())):
            if not isinstance(function, ast.FunctionDef) or function.name in INCOMING or function.name.startswith("__"):
                continue
            for call in ast.walk(function):
                if (
                    isinstance(call, ast.Call)
                    and isinstance(call.func, ast.Name)
                    and call.func.id in ("isinstance", "issubclass")
                ):
                    asked = {name.id for name in ast.walk(call.args[1]) if isinstance(name, ast.Name)}
                    assert not asked & kinds, f"{path}: {function.name} asks for {asked & kinds}"


def descendants(kind: type) -> list[type]:
    return [
        one
        for child in kind.__subclasses__()
        for one in [child, *descendants(child)]
        if one.__module__.startswith("kad.")
    ]
