"""The console of every command: what others wrote is shown as it is, never obeyed.

No text is markup, and control characters are shown as Python writes them. Into a file or a pipe, generated text goes as it
is, byte for byte.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from rich import console as rich_console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.segment import Segment, Segments
from rich.table import Column
from rich.text import Text

from .errors import UNSEEN, visible

KEPT = "\n\t"


class Console(rich_console.Console):
    """Rich's console, without markup, emoji codes and highlighting, and with control characters made visible.

    >>> console = Console(width=60)
    >>> console.print("out[dual] and a\\x1b[31mb")
    out[dual] and a\\x1b[31mb
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Strings, and the cells of tables: before their width is measured."""
        return super().render_str(visible(text, KEPT), **options)

    def render(
        self, renderable: rich_console.RenderableType, options: rich_console.ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Everything else on its way out; what rich itself says to the terminal is no text."""
        for segment in super().render(renderable, options):
            if segment.control or not UNSEEN.search(segment.text):
                yield segment
            else:
                yield Segment(visible(segment.text, KEPT), segment.style)


def generated(console: rich_console.Console, shown: Text, text: str, end: str = "\n") -> None:
    """A model's text: ``shown`` on a terminal, ``text`` as it is anywhere else.

    Raises:
        ValueError: the encoding of the output has no such characters.
    """
    if console.is_terminal:
        # As segments: printed as text, tabs and spaces at the end of a line would depend on what is printed with them.
        console.print(Segments([*shown.render(console), Segment(end)]), soft_wrap=True)
        return
    try:
        console.file.write(text + end)
    except UnicodeEncodeError as error:
        what = ascii(error.object[error.start])
        raise ValueError(
            f"the output is {error.encoding}, which cannot write {what}; set PYTHONIOENCODING=utf-8."
        ) from error
    console.file.flush()


def json_text(value: Any, **options: Any) -> str:
    """JSON that a terminal cannot obey: what `kad.errors.visible` shows otherwise, as an escape of JSON.

    >>> json_text({"λ": "\\x9b"})
    '{"λ": "\\\\u009b"}'
    """
    text = json.dumps(value, ensure_ascii=False, **options)
    return re.sub(UNSEEN, lambda c: c[0] if c[0] == "\n" else f"\\u{ord(c[0]):04x}", text)


@contextmanager
def waiting(text: str) -> Iterator[None]:
    """While this lasts, what is waited for and for how long, on a terminal's standard error; nothing anywhere else."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    shown = TextColumn("{task.description}", markup=False)
    with Progress(SpinnerColumn(), shown, TimeElapsedColumn(), console=console, transient=True) as progress:
        progress.add_task(visible(text), total=None)
        yield


def loading(places: Mapping[str, str | None]) -> AbstractContextManager[None]:
    """`waiting` for models, by their places."""
    return waiting(f"loading {' and '.join(filter(None, places.values())) or 'the embedded pair'}")


class Remaining(ProgressColumn):
    """The time that is left if the rest takes as long as what is done.

    Rich's own looks at the last half minute, in which a batch of questions may not have ended: it then says nothing at all.
    """

    def render(self, task: Task) -> Text:
        """From the first step on."""
        if not task.completed or task.elapsed is None or not task.total:
            return Text("? left")
        seconds = round(task.elapsed / task.completed * (task.total - task.completed))
        return Text(f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02} left")


def bar(console: Console, *more: ProgressColumn) -> Progress:
    """A bar that is gone when it is done, with what is left to do and how long that takes, behind columns of one's own."""
    text = TextColumn("{task.description:.30}", markup=False)
    return Progress(
        text,
        BarColumn(None),
        MofNCompleteColumn(),
        *more,
        Remaining(Column(no_wrap=True)),
        console=console,
        transient=True,
        expand=True,
    )
