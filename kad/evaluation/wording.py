"""What tells configurations apart, in words: always where the temperature enters and how, the rest where it differs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from .configuration import Configuration

Words = Mapping[Configuration, str]
ALWAYS_KNOWN: dict[str, Callable[[Configuration], str]] = {
    "shots": lambda c: f"{c.shots} shots", "limit": lambda c: f"≤ {c.new_tokens} tokens",
    "shuffle": lambda c: f"shuffle {c.shuffle}",
}  # fmt: skip
RECORDED: dict[str, Callable[[Configuration], str]] = {
    "protocol": lambda c: f"protocol {c.protocol}", "part": lambda c: f"part {c.part}", "template": lambda c: c.options,
    "prompt": lambda c: f"prompt {c.prompt[:6]}", "engine": lambda c: c.engine, "law": lambda c: f"law {c.law}",
    "code": lambda c: f"code {c.code[:6]}",
}  # fmt: skip


def variant(c: Configuration, words: Words | None = None) -> str:
    """What tells two configurations of one method and task apart; ``words`` as `wordings` gives them.

    >>> variant(Configuration("gsm8k", "dual", 0.4, placement="draws", window=3, law=1))
    'T 0.7 on the draws, γ 3'
    """
    placed = "" if c.of.kind.alone or c.temperature is None or c.placement == "models" else f"on the {c.placement}"
    more = (words or {}).get(c, "" if c.recorded else OLD)
    return ", ".join(
        filter(None, [f"{c.heat} {placed}".strip(), f"γ {c.window}" if c.window else "", c.filtered, more])
    )


OLD = "of format 1"


def wordings(configurations: Iterable[Configuration]) -> dict[Configuration, str]:
    """For every configuration what differs among those of its task: limits, shots, part, prompt, template, models, ...

    >>> a, b = (Configuration("gsm8k", "p", part=part, law=1) for part in ("dev", "test"))
    >>> wordings([a, b])[a], wordings([a])[a]
    ('part dev', '')
    """
    tasks = defaultdict[str, list[Configuration]](list)
    for c in configurations:
        tasks[c.task].append(c)
    found = dict[Configuration, str]()
    for own in tasks.values():
        recorded = [c for c in own if c.recorded]
        shown = [say for say in ALWAYS_KNOWN.values() if len({say(c) for c in own}) > 1]
        newer = [RECORDED[n] for n in RECORDED if n != "code" and len({RECORDED[n](c) for c in recorded}) > 1]
        several = roles_that_vary(c.models for c in own)
        reset = roles_that_vary(c.settings for c in recorded)
        codes = defaultdict[tuple[str, float | None], set[str]](set)
        for c in recorded:
            codes[c.method, c.value].add(c.code)
        for c in own:
            parts = [say(c) for say in shown] + [f"{role} {mark[:6]}" for role, mark in c.models if role in several]
            parts += [f"{role}'s settings {mark[:6]}" for role, mark in c.settings if role in reset]
            parts += [say(c) for say in newer] if c.recorded else [OLD]
            parts += [RECORDED["code"](c)] if len(codes[c.method, c.value]) > 1 and c.recorded else []
            found[c] = ", ".join(filter(None, parts))
    return found


def roles_that_vary(pairs: Iterable[tuple[tuple[str, str], ...]]) -> set[str]:
    """The roles that have several marks."""
    marks = defaultdict[str, set[str]](set)
    for own in pairs:
        for role, mark in own:
            marks[role].add(mark)
    return {role for role, found in marks.items() if len(found) > 1}
