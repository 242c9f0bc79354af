"""Prompts, from the argument, a file or standard input; who sits at a terminal is told that one is waited for."""

from __future__ import annotations

import sys
from pathlib import Path

from ..bounded import read_text
from ..errors import UsageError


def read_prompt(prompt: str | None, file: Path | None) -> str:
    """The prompt from where the user put it."""
    if prompt is not None and file is not None:
        raise UsageError("give the prompt or --file, not both.")
    if file is not None:
        prompt = read_text(Path(file), f"the prompt from {file}")
    text = (standard_input("the prompt") if prompt is None else prompt).rstrip("\n")
    if not text.strip():
        raise UsageError("the prompt is empty; give it as an argument, with --file, or on standard input.")
    return text


def read_prompts(prompt: str | None, file: Path | None) -> list[str]:
    """The prompt, or one a line."""
    if prompt is not None:
        lines = [prompt]
    elif file is not None:
        lines = read_text(file, f"the prompts from {file}").splitlines()
    else:
        lines = standard_input("the prompts, one a line").splitlines()
    found = [line for line in lines if line.strip()]
    if not found:
        raise UsageError("there is no prompt; give it as an argument, or one a line with --file or on standard input.")
    return found


def standard_input(what: str) -> str:
    """All of it."""
    if sys.stdin is None:
        return ""
    if sys.stdin.isatty():
        print(
            f"kad: reading {what} from the keyboard; end with Ctrl-D on a line of its own.", file=sys.stderr, flush=True
        )
    return sys.stdin.read()
