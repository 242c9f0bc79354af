"""What a request may ask for: a temperature, and one of kad's methods by name. It is looked at where it comes in, and never an import path."""

from __future__ import annotations

import functools
import math
from typing import Any

from ...distributions import check_temperature
from ...kinds import KINDS
from ...mixture import Base, Proxy
from ...target import Placement, Target

PARAMETER = "kad"  # the name in ``extra_args``, over HTTP in ``vllm_xargs``
GREEDY = 1e-5  # temperatures below are vLLM's word for greedy decoding
REST = (1.0, 0.0)  # the settings of a token that is no request's: temperature 1, the first target
SERVED = tuple(name for name, kind in KINDS.items() if kind.base != "aligned" and not kind.stateful)


@functools.lru_cache(maxsize=1024)  # of texts that anybody may send
def shipped(text: str, placement: Placement = "models", reference: str | None = None) -> Target:
    """The target that a request names, such as ``dual:0.3``, ``primal`` (its default) or ``q*``.

    Raises:
        ValueError: anything else; a parameter outside its range; a method that needs a model which is not held.

    >>> shipped("primal:0.9", "draws")
    Mixture(loss=Logistic(), solver=Primal(budget=0.9), placement='draws')
    >>> shipped("os.system")
    Traceback (most recent call last):
    ...
    ValueError: kad names one of the methods p, q*, nudging, implicit-reward, dual, primal, fractional, confidence-bet, cascade-chow, \
cascade-diff, cascade-opt, cascade-token-v1, cascade-token-v2, cascade-token-v3, ensemble, with a value as in dual:0.4; got 'os.system'.
    """
    name, colon, value = text.partition(":")
    if name not in SERVED:
        raise ValueError(
            f"kad names one of the methods {', '.join(SERVED)}, with a value as in dual:0.4; got {text!r}."
        )
    kind = KINDS[name]
    if kind.parameter is None:
        if colon:
            raise ValueError(f"the method {name} has no parameter, got {text!r}.")
        return Base() if kind.base == "base" else Proxy()
    try:
        number = float(value) if colon else float(kind.default or 0.0)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"the parameter of {name} is a finite number, got {text!r}.")
    if kind.needs is not None and reference is None:
        raise ValueError(
            f"{name} needs the small base model q, which this engine does not hold: start it with --reference."
        )
    found: Target = kind.make(number, placement, *([reference] if kind.needs is not None else []))
    return found


def check_request(params: Any, kad: dict[str, Any], placement: Placement) -> None:
    """Look at a request's ``SamplingParams`` where it comes in, before any model sees it.

    Args:
        params: vLLM's.
        kad: what the engine was given (`kad.engines.vllm.arguments`).
        placement: of the engine's own target.

    Raises:
        ValueError: one sentence for whoever asked.
    """
    extra = params.extra_args or {}
    if PARAMETER in extra:
        if not isinstance(extra[PARAMETER], str):
            raise ValueError(f"kad names a method in words, such as dual:0.4; got {extra[PARAMETER]!r}.")
        shipped(extra[PARAMETER], placement, kad.get("reference"))
    for key, value in extra.items():
        if key != PARAMETER and isinstance(value, str) and value.partition(":")[0] in SERVED:
            raise ValueError(f"a request names its method as {PARAMETER}, as in {{'kad': {value!r}}}; got {key!r}.")
    if params.temperature >= GREEDY:
        check_temperature(params.temperature)
        if params.prompt_logprobs is not None and params.temperature != 1:
            raise ValueError(
                "log-probabilities of the prompt are told at temperature 1 or 0 alone: vLLM does not divide them by the temperature."
            )


def heat_of(params: Any) -> float:
    """The temperature by which a request's distributions are read: greedy decoding reads them as they are."""
    return params.temperature if params is not None and params.temperature >= GREEDY else 1.0


def name_of(params: Any) -> str | None:
    """The method that a request names; None is the engine's own target."""
    name = None if params is None else (params.extra_args or {}).get(PARAMETER)
    return name if isinstance(name, str) else None
