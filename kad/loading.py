"""The one place where checkpoints are read: as data. Code that comes with a checkpoint is never run, and nobody is asked.

Weights are read from safetensors, or from pickles by torch's reader for weights alone.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from .weights import check_whole

Found = TypeVar("Found")
Place = str | Path


def config_at(place: Place) -> Any:
    """The configuration in a folder or on the hub.

    Raises:
        ValueError: it can only be had by running code of the checkpoint's own.
    """
    from transformers import AutoConfig

    return without_code(lambda: AutoConfig.from_pretrained(place, trust_remote_code=False))


def tokenizer_at(place: Place) -> Any:
    """The tokenizer; errors as for `config_at`.

    >>> from kad.demo import MODELS
    >>> tokenizer_at(MODELS / "base").pad_token
    '<pad>'
    """
    from transformers import AutoTokenizer

    return without_code(lambda: AutoTokenizer.from_pretrained(place, trust_remote_code=False))


def model_at(place: Place, dtype: Any) -> Any:
    """The causal language model, to be evaluated; errors as for `config_at`, and a ValueError if it is not whole."""
    from transformers import AutoModelForCausalLM

    options = {"dtype": dtype, "trust_remote_code": False, "weights_only": True}
    model, report = without_code(
        # Tensors of other shapes are in the report, where we read them.
        lambda: AutoModelForCausalLM.from_pretrained(
            place, output_loading_info=True, ignore_mismatched_sizes=True, **options
        )
    )
    check_whole(model, report, place)
    return model.eval()


def model_of(config: Any, dtype: Any = None) -> Any:
    """A model of random weights of this configuration; errors as for `config_at`."""
    from transformers import AutoModelForCausalLM

    options = {} if dtype is None else {"dtype": dtype}
    return without_code(lambda: AutoModelForCausalLM.from_config(config, trust_remote_code=False, **options))


def without_code(action: Callable[[], Found]) -> Found:
    """Run a loader that was told to trust no code; say so in a sentence of ours where it would have needed some."""
    try:
        return action()
    except ValueError as error:
        if "trust_remote_code" not in str(error):
            raise
        raise ValueError(
            "it needs code of its own (auto_map), which kad never runs; take a checkpoint that transformers knows, or load "
            "this one yourself in Python, if you trust it, and give the models to kad.generate."
        ) from error
