"""Chat templates: programs of strangers in a sandbox, and the sandbox bounds neither their time nor their memory. Here both are."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from ..checks import number
from ..errors import said

SECONDS, CHARACTERS, BYTES = 10.0, 10_000_000, 2**31
TAKEN = {
    "messages", "conversation", "tokenize", "add_generation_prompt", "chat_template", "return_tensors", "return_dict",
}  # fmt: skip
CHECK = 1000  # steps between two looks at the clock
ONE_AT_A_TIME = threading.RLock()  # the limit of memory is the whole process's


class TemplateFailed(ValueError):
    """The template refuses the conversation, or is broken."""


class TooLong(BaseException):
    """The time is up; no handler of the template's own may catch it."""


def through_template(
    tokenizer: Any, turns: Sequence[Mapping[str, Any]], variables: Mapping[str, Any] | None = None
) -> str:
    """The conversation as text, with the header of the assistant's turn at the end.

    The template may take `SECONDS`, ask for `BYTES` of memory (on Linux) and write `CHARACTERS`.

    Args:
        variables: what the template reads beside the conversation, such as ``{"enable_thinking": False}``.

    Raises:
        TemplateFailed: the template raises an error.
        ValueError: it takes more than that, or there is none; one sentence.

    >>> import kad
    >>> through_template(kad.demo.load().tokenizer, [{"role": "user", "content": "2 + 2 ?"}])
    '<bos>q : 2 + 2 ? a :'
    """
    with bounded(tokenizer) as name:
        options = dict(variables or {})
        text = str(tokenizer.apply_chat_template(list(turns), tokenize=False, add_generation_prompt=True, **options))
    if len(text) > CHARACTERS:
        raise ValueError(f"{name} wrote {len(text):,} characters; at most {CHARACTERS:,} make sense.")
    return text


def check_variables(variables: Mapping[Any, Any]) -> dict[str, Any]:
    """Variables of a chat template.

    Raises:
        ValueError: a name that is no identifier or is the conversation's, or a value that is no text, number or truth value.

    >>> check_variables({"enable_thinking": False})
    {'enable_thinking': False}
    """
    if not isinstance(variables, Mapping):
        raise ValueError(f"the chat template's variables are a mapping of names to values, got {variables!r}.")
    for name, value in variables.items():
        if not isinstance(name, str) or not name.isidentifier() or name in TAKEN:
            raise ValueError(f"a variable of the chat template has a name of its own, got {name!r}.")
        if not isinstance(value, str | bool | int | float):
            raise ValueError(f"the template's {name} must be a text, a number, true or false, got {value!r}.")
        if isinstance(value, float):
            number(f"the template's {name}", value)
    return dict(variables)


@contextmanager
def bounded(tokenizer: Any) -> Iterator[str]:
    """Let the tokenizer's chat template run within `SECONDS` and `BYTES`; what it is called in a sentence.

    Raises:
        TemplateFailed, ValueError: as for `through_template`.
    """
    name = f"the chat template of {getattr(tokenizer, 'name_or_path', '') or type(tokenizer).__name__}"
    try:
        with little_memory(), little_time():
            yield name
    except TooLong:
        raise ValueError(f"{name} took more than {SECONDS:g} seconds and was stopped.") from None
    except MemoryError:
        raise ValueError(f"{name} asked for more than {BYTES / 2**30:g} GiB of memory and was stopped.") from None
    except Exception as error:
        raise TemplateFailed(f"{name} fails: {said(error)}") from error


@contextmanager
def little_time() -> Iterator[None]:
    """Stop what runs after `SECONDS`: by an alarm, or in a thread or beside another alarm at the next line of Python."""
    main = threading.current_thread() is threading.main_thread()
    if main and hasattr(signal, "setitimer") and signal.getitimer(signal.ITIMER_REAL)[0] == 0:
        before = signal.signal(signal.SIGALRM, stop)
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        return
    end, steps, traced = time.monotonic() + SECONDS, 0, sys.gettrace()

    def step(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal steps
        steps += 1
        if steps % CHECK == 0 and time.monotonic() > end:
            raise TooLong
        return step

    sys.settrace(step)
    try:
        yield
    finally:
        sys.settrace(traced)


def stop(number: int, frame: object) -> None:
    raise TooLong


@contextmanager
def little_memory() -> Iterator[None]:
    """Let the process grow by `BYTES` at most, where the system can say how large it is."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (ImportError, OSError):
        yield
        return
    with ONE_AT_A_TIME:
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        limit = pages * resource.getpagesize() + BYTES
        if soft != resource.RLIM_INFINITY:
            limit = min(limit, soft)
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
