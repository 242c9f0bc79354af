"""Files of strangers, read within bounds that are said in words: a small file must not stand for a large thing."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import yaml

CHARACTERS = 1_000_000  # of a plan, a task, a configuration or a prompt
VALUES, DEPTH = 100_000, 50  # of YAML, aliases written out


def read_text(path: Path, what: str, limit: int = CHARACTERS) -> str:
    """The text of a file that may hold ``limit`` characters.

    Raises:
        ValueError: it cannot be read, is longer, or is no UTF-8; one sentence about ``what``.
    """
    try:
        with open(path, encoding="utf-8-sig") as file:
            text = file.read(limit + 1)
    except OSError as error:
        raise ValueError(f"cannot read {what}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"cannot read {what}: it is not UTF-8 text.") from error
    if len(text) > limit:
        raise ValueError(f"cannot read {what}: it is longer than {limit:,} characters.")
    return text


@dataclass
class Open:
    """A list or mapping whose end has not been met.

    Attributes:
        mapping: it has keys.
        anchor: the name that aliases call it by.
        values: how many it holds, it among them, with its aliases written out.
        items: how many nodes stand directly in it: in a mapping, every other one is a key.
        keys: those met so far.
    """

    mapping: bool
    anchor: str | None
    values: int = 1
    items: int = 0
    keys: set[tuple[str, bool]] = field(default_factory=set)

    def check_key(self, event: yaml.ScalarEvent) -> None:
        """Raise a ValueError if this stands where a key does, and did so before."""
        if self.mapping and self.items % 2 == 0:
            key = (event.value, event.implicit[0])  # 1 and "1" are two keys
            if key in self.keys:
                raise ValueError(f"line {line_number(event)} gives the key {event.value!r} again; a key stands once.")
            self.keys.add(key)


def check_yaml(text: str) -> None:
    """Walk over YAML without building anything.

    Raises:
        yaml.YAMLError: it is none.
        ValueError: with its aliases written out it stands for more than `VALUES` values, it is nested deeper than `DEPTH`,
            or a mapping gives a key twice; one sentence.

    >>> check_yaml("a: &x [1, 2]\\nb: *x")
    >>> check_yaml("n: 3\\nm: 4\\nn: 5")
    Traceback (most recent call last):
    ...
    ValueError: line 3 gives the key 'n' again; a key stands once.
    """
    stack, known = [Open(False, None)], dict[str, int]()

    def add(values: int) -> None:
        stack[-1].items += 1
        stack[-1].values += values
        if sum(one.values for one in stack) > VALUES:
            raise ValueError(f"with its aliases written out it stands for more than {VALUES:,} values.")

    for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if isinstance(event, yaml.ScalarEvent):
            stack[-1].check_key(event)
            if event.anchor:
                known[event.anchor] = 1
            add(1)
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in known:
                raise ValueError(
                    f"the alias *{event.anchor} in line {line_number(event)} names nothing that has ended before it."
                )
            add(known[event.anchor])
        elif isinstance(event, yaml.CollectionStartEvent):
            if len(stack) > DEPTH:
                raise ValueError(f"it is nested deeper than {DEPTH} levels.")
            stack.append(Open(isinstance(event, yaml.MappingStartEvent), event.anchor))
        elif isinstance(event, yaml.CollectionEndEvent):
            closed = stack.pop()
            if closed.anchor:
                known[closed.anchor] = closed.values
            add(closed.values)


def line_number(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0
