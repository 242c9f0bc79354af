"""Who answers for a command: this process, which then holds the models, workers of Ray, or vLLM, which do."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from ..checkpoints import Checkpoints, describe_checkpoints, load_checkpoints
from ..checks import whole
from ..decoding.packed import pack_weights
from ..engines import Engine, HuggingFace
from ..engines.vllm import VLLM
from ..engines.vllm.arguments import HELD
from ..engines.vllm.launch import need_vllm
from ..errors import asked
from ..evaluation.job import settings_of
from ..evaluation.plan import Plan
from ..evaluation.protocol import task_under
from ..evaluation.workers import HERE, Workers
from ..extras import need
from ..terminal import loading, waiting
from .options import Eval, Sweep, Tune
from .variables import named_values


@dataclass(frozen=True)
class Crew:
    """Who answers, the checkpoints, which are held here or described, and what decodes."""

    workers: Workers
    checkpoints: Checkpoints
    engine: Engine


@asked()
def check_crew(o: Eval | Sweep | Tune) -> None:
    """Raise an error about who is to answer before anything is loaded."""
    if o.workers is not None:
        whole("--workers", o.workers, 1)
        need("--workers", "ray")
    elif o.ray is not None:
        raise ValueError("--ray says where workers run; say how many with --workers, such as --workers 8.")


@asked()
def check_engine_options(o: Eval | Sweep, places: Mapping[str, str | None]) -> None:
    """Raise an error about options that are not the engine's."""
    if o.engine != "vllm":
        if o.vllm_option:
            raise ValueError("--vllm-option needs --engine vllm.")
        return
    if o.compile or o.pack or o.device is not None:
        raise ValueError(
            "--compile, --pack and --device are for kad's own engine; vLLM takes its options by --vllm-option."
        )
    if o.workers is not None:
        raise ValueError(
            "vLLM spreads a pair itself, as with --vllm-option tensor_parallel_size=2; --workers is for kad's own engine."
        )
    if places.get("aligned") is not None:
        raise ValueError("the engine vllm does not hold the large aligned model p*; leave --aligned out.")
    named_values("--vllm-option", o.vllm_option)


def check_methods(o: Eval | Sweep, plan: Plan, places: Mapping[str, str | None]) -> None:
    """Raise an error about a method that these models or the engine cannot do, before anything is loaded.

    Args:
        plan: with its methods, not one that leaves them to the models.
    """
    given = {role for role, place in places.items() if place is not None}
    engine = None
    if o.engine == "vllm":
        engine = VLLM(places.get("base"), places.get("proxy"), places.get("reference"), only_window(plan))
    for spec in plan.tasks:
        task = task_under(plan.protocol, spec, plan.shuffle)
        for c in plan.configurations(task.name, task.new_tokens):
            kind = c.of.known
            if missing := sorted({kind.base, kind.needs or kind.base} - given) if given else ():
                raise ValueError(f"the method {c.of.label} needs another model: give --{missing[0]}.")
            target = c.of.target(c.placement, places.get("reference") or "the embedded pair's")
            if engine is not None:
                engine.accepts(target, settings_of(c), kind.base)
    if engine is not None:
        need_vllm("--engine vllm")


def only_window(plan: Plan) -> int:
    """The window of a plan for vLLM; a ValueError if there are several."""
    windows = sorted({window for block in plan.blocks for window in block.windows})
    if len(windows) > 1:
        raise ValueError(
            f"vLLM drafts with one window as long as it runs, got {', '.join(map(str, windows))}: run once for each."
        )
    return windows[0]


@contextmanager
def crew(
    o: Eval | Sweep | Tune, places: Mapping[str, str | None], pack: bool = False, compile: bool = False
) -> Iterator[Crew]:
    """This process, or a pool of workers as long as the context lasts."""
    if o.workers is None:
        with loading(places):
            checkpoints = load_checkpoints(places, o.dtype, o.device)
        for model in checkpoints.models.values() if pack else ():
            pack_weights(model)
        yield Crew(HERE, checkpoints, HuggingFace(checkpoints, compile))
        return
    from ..evaluation.distributed import Pool

    with Pool(o.workers, o.ray, places=places, dtype=o.dtype, device=o.device, pack=pack) as pool:
        yield Crew(pool, pool.checkpoints, HuggingFace(pool.checkpoints, compile))


@contextmanager
def vllm_crew(o: Eval | Sweep, plan: Plan, places: Mapping[str, str | None]) -> Iterator[Crew]:
    """vLLM as long as the context lasts."""
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    # Its core in this process: in one of its own it would outlive a kill of this one, and keep its memory.
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    named = named_values("--vllm-option", o.vllm_option)
    options: dict[str, Any] = {key.replace("-", "_"): value for key, value in named.items()}
    engine = VLLM(places.get("base"), places.get("proxy"), places.get("reference"), only_window(plan), options)
    engine.arguments()  # what cannot be served is said before anything is read
    with loading(places):
        found = describe_checkpoints(places, o.dtype, engine.device)
    found = replace(found, absent={role: known for role, known in found.absent.items() if role in HELD})
    options.setdefault("dtype", found.described["base"].dtype)
    try:
        with waiting("starting vLLM"):
            engine.llm  # noqa: B018 # it starts
        yield Crew(HERE, found, engine)
    finally:
        engine.close()
