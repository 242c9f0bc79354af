"""Import paths that users name, such as ``mymodule.MyLoss`` in an option, a configuration or a plan: code, which is run.

The current folder is looked into only for the module that was named, only after everything that is installed, and only
while the path is resolved; nothing else that kad or a library imports is ever looked for there.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import typing
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any, TypeVar

from .errors import said

Made = TypeVar("Made")


class Folder(MetaPathFinder):
    """The last of Python's finders: modules of some names, from the current folder.

    Attributes:
        names: top-level names that may be found.
        entry: what has been appended to the import path once one was found, so that it finds the files beside it.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.names, self.entry = set(names), ""

    def find_spec(self, fullname: str, path: object = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if path is not None or fullname not in self.names:
            return None
        folder = os.getcwd()
        found = PathFinder.find_spec(fullname, [folder])
        if found is not None and not self.entry:
            self.entry = folder
            sys.path.append(folder)
        return found


@contextmanager
def named(*texts: str) -> Iterator[None]:
    """While this lasts, the modules that import paths among ``texts`` begin with may come from the current folder.

    >>> with named("nowhere.MyLoss"):
    ...     importlib.util.find_spec("nowhere") is None
    True
    """
    finder = Folder(top for text in texts if (top := text.partition(".")[0]).isidentifier() and "." in text)
    sys.meta_path.append(finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        if finder.entry:
            del sys.path[next(i for i in reversed(range(len(sys.path))) if sys.path[i] is finder.entry)]


def imported(path: str, what: str) -> Any:
    """The thing at an import path such as ``mymodule.MyTask``; ``what`` is its name in the sentence if there is none.

    Raises:
        ValueError: it is not there, or its module fails or ends the program.

    >>> imported("math.pi", "number")
    3.141592653589793
    """
    module, _, name = path.rpartition(".")
    try:
        with named(path):
            return getattr(importlib.import_module(module), name)
    except KeyboardInterrupt:
        raise
    except (ImportError, AttributeError) as error:
        raise ValueError(f"cannot load the {what} {path}: {said(error)}.") from error
    except BaseException as error:  # SystemExit too: a module that ends the program is no success
        raise ValueError(f"cannot load the {what} {path}: its import failed ({blamed(error)}).") from error


def made(path: str, what: str, kind: type[Made], options: Mapping[str, Any] | None = None) -> Made:
    """The ``kind`` at an import path: an instance, or what a subclass or a function declared to return one makes.

    Nothing else is called.

    Args:
        path, what: as for `imported`.
        kind: the class.
        options: arguments that a subclass or function is given, those of them that it has parameters for.

    Raises:
        ValueError: nothing there, something else there, or it fails; one sentence.

    >>> import decimal
    >>> made("decimal.Decimal", "number", decimal.Decimal)
    Decimal('0')
    >>> made("os.abort", "number", int)
    Traceback (most recent call last):
    ...
    ValueError: cannot load the number os.abort: it is no int, no subclass, and no function declared to return one (def f() -> int).
    """
    found = imported(path, what)
    if isinstance(found, kind):
        return found
    if not declared(found, kind):
        raise ValueError(
            f"cannot load the {what} {path}: it is no {kind.__name__}, no subclass, and no function declared to "
            f"return one (def f() -> {kind.__name__})."
        )
    taken = parameters(found)
    try:
        with named(path):
            thing = found(**{key: value for key, value in (options or {}).items() if key in taken})
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise ValueError(f"cannot load the {what} {path}: making it failed ({blamed(error)}).") from error
    if not isinstance(thing, kind):
        raise ValueError(f"cannot load the {what} {path}: it made a {type(thing).__name__}, not a {kind.__name__}.")
    return thing


def parameters(found: Any) -> Mapping[str, inspect.Parameter]:
    """The parameters of a class or function that can be given by name; none where Python cannot tell."""
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    try:
        return {name: p for name, p in inspect.signature(found).parameters.items() if p.kind in by_name}
    except (TypeError, ValueError):
        return {}


def declared(found: object, kind: type) -> bool:
    """Whether this is a subclass of ``kind``, or a function whose annotation says that it returns one.

    >>> def one() -> int: ...
    >>> declared(bool, int), declared(one, int), declared(len, int), declared(lambda: 1, int)
    (True, True, False, False)
    """
    if isinstance(found, type):
        return issubclass(found, kind)
    if not inspect.isfunction(found) or inspect.iscoroutinefunction(found):
        return False
    try:
        returned = typing.get_type_hints(found).get("return")
    except Exception:  # an annotation of names that are not there says nothing
        return False
    return isinstance(returned, type) and issubclass(returned, kind)


def blamed(error: BaseException) -> str:
    text = said(error)
    return text if text == type(error).__name__ else f"{type(error).__name__}: {text}"
