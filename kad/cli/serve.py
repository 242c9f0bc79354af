"""``kad serve``."""

from __future__ import annotations

from typing import Any

from ..engines.vllm import arguments
from ..engines.vllm.launch import become_server, check_words, need_vllm
from ..errors import UsageError, asked, visible
from ..target import Target
from ..terminal import Console
from .generate import choose_target
from .options import Serve


def serve(o: Serve) -> None:
    """Look at everything that can be looked at in a second, then become vLLM's server, which takes a minute to start."""
    with asked():
        given, target = words_for_vllm(o)
    need_vllm("kad serve")
    what = f"{type(target).__name__}" if o.target is not None else repr(target)
    where = "the embedded pair" if o.base is None else f"{o.base} aligned by {o.proxy}"
    Console().print(visible(f"kad: {where}, {what}, as {o.name} on port {o.port}."), soft_wrap=True, markup=False)
    try:
        become_server(given, o.rest)
    except SystemExit as end:  # vLLM's parser has had its say
        if end.code == 2 and o.rest:
            raise UsageError(
                "vLLM does not take what stands after --, for the reason above; `kad serve -- --help` lists what it does take."
            ) from end
        if end.code not in (0, None):
            raise RuntimeError(f"vLLM's server ended with status {end.code}; its reasons stand above.") from end


def words_for_vllm(o: Serve) -> tuple[dict[str, Any], Target]:
    """What vLLM is told, and what is sampled; a ValueError about what cannot be served."""
    if o.window < 0:
        raise ValueError(f"--window must be ≥ 0 (the number of drafts a round), got {o.window}.")
    if o.tensor_parallel < 1:
        raise ValueError(f"--tensor-parallel must be ≥ 1, got {o.tensor_parallel}.")
    check_words(o.rest)
    target = choose_target(o, o.reference or ("the embedded pair's" if o.base is None else None))
    given = arguments(
        o.base, o.proxy, target, o.window, o.reference, served_model_name=o.name, port=o.port,
        tensor_parallel_size=o.tensor_parallel, **({} if o.host is None else {"host": o.host}),
        **({} if o.dtype == "auto" else {"dtype": o.dtype}),
    )  # fmt: skip
    return given, target
