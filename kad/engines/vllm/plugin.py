"""The plugin: vLLM calls `register` in each of its processes, perhaps more than once, and whether or not kad's model is served."""

from __future__ import annotations

import logging
import os

FIRST, BEYOND = (0, 32), (0, 33)  # the versions of vLLM that were tested: from the first on, below the other
WARNED = "KAD_VLLM_WARNED"  # said once, not by every process

logger = logging.getLogger(__name__)


def register() -> None:
    """Make kad's model known, and mend what it needs; outside the tested versions say so once, and leave vLLM as it is."""
    import vllm

    if not tested(vllm.__version__):
        if not os.environ.get(WARNED):
            os.environ[WARNED] = "1"
            logger.warning("%s", untested(vllm.__version__))
        return
    from vllm import ModelRegistry

    from .arguments import NAME
    from .model import KadForCausalLM
    from .patches import admission, drafts_judged, first_runner

    ModelRegistry.register_model(NAME, KadForCausalLM)  # the class: a name would be looked at in one more process
    admission()
    first_runner()
    drafts_judged()


def tested(version: str) -> bool:
    """Whether this version of vLLM was.

    >>> [tested(version) for version in ("0.31.2", "0.32.0", "0.32.1+cpu", "0.33.0", "dev")]
    [False, True, True, False, False]
    """
    parts = version.split(".")[:2]
    return (
        len(parts) == 2 and all(part.isdigit() for part in parts) and FIRST <= (int(parts[0]), int(parts[1])) < BEYOND
    )


def untested(version: str) -> str:
    """The sentence about a version that was not.

    >>> untested("0.40.0")
    'kad was tested with vLLM >= 0.32, < 0.33 and found 0.40.0: it changes nothing there, and its models cannot be served.'
    """
    low, high = (".".join(map(str, bound)) for bound in (FIRST, BEYOND))
    return f"kad was tested with vLLM >= {low}, < {high} and found {version}: it changes nothing there, and its models cannot be served."
