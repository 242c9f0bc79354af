"""The one place where checkpoints are read: as data, and whole or not at all.

Code that comes with a checkpoint is never run, and nobody is asked. Weights are read from safetensors, or from pickles by
torch's reader for weights alone. Hugging Face's loader fills what a checkpoint lacks with random numbers and reports it in a
log. A model of which one layer was drawn at random still writes text, and still gets a row in a table of accuracies, so
here its report is read.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)
NAMED = 12  # tensors that a sentence names


def config_at(place: str | Path) -> Any:
    """The configuration in a folder or on the hub.

    Raises:
        ValueError: it can only be had by running code of the checkpoint's own.
    """
    from transformers import AutoConfig

    with without_code():
        return AutoConfig.from_pretrained(place, trust_remote_code=False)


def tokenizer_at(place: str | Path) -> Any:
    """The tokenizer; errors as for `config_at`.

    >>> from kad.demo import MODELS
    >>> tokenizer_at(MODELS / "base").pad_token
    '<pad>'
    """
    from transformers import AutoTokenizer

    with without_code():
        return AutoTokenizer.from_pretrained(place, trust_remote_code=False)


def model_at(place: str | Path, dtype: Any) -> Any:
    """The causal language model, to be evaluated; errors as for `config_at`, and a ValueError if it is not whole."""
    from transformers import AutoModelForCausalLM

    options = {"dtype": dtype, "trust_remote_code": False, "weights_only": True, "output_loading_info": True}
    with without_code():  # tensors of other shapes are in the report, where we read them
        model, report = AutoModelForCausalLM.from_pretrained(place, ignore_mismatched_sizes=True, **options)
    check_whole(model, report, place)
    return model.eval()


def model_of(config: Any, dtype: Any = None) -> Any:
    """A model of random weights of this configuration; errors as for `config_at`."""
    from transformers import AutoModelForCausalLM

    options = {} if dtype is None else {"dtype": dtype}
    with without_code():
        return AutoModelForCausalLM.from_config(config, trust_remote_code=False, **options)


def skeleton_of(config: Any) -> Any:
    """A model of this configuration that holds no numbers, to be counted; no memory is taken. Errors as for `config_at`."""
    import torch

    with torch.device("meta"):
        return model_of(config)


@contextmanager
def without_code() -> Iterator[None]:
    """A loader runs that was told to trust no code; say so in a sentence of ours where it would have needed some."""
    try:
        yield
    except ValueError as error:
        if "trust_remote_code" not in str(error):
            raise
        raise ValueError(
            "it needs code of its own (auto_map), which kad never runs; take a checkpoint that transformers knows, or load "
            "this one yourself in Python, if you trust it, and give the models to kad.generate."
        ) from error


def check_whole(model: Any, report: dict[str, Any], place: str | Path) -> None:
    """Look at a model that was just loaded, with the loader's own report (``output_loading_info=True``).

    Raises:
        ValueError: tensors that the checkpoint lacks, has in another shape, or has where its config says there are
            none; one sentence that names them. Weights that are tied to others need not be there.
    """
    if problem := flaw(model, report):
        raise ValueError(f"{problem}; a model with other weights than its checkpoint's is not used.")
    if strange := sorted(report["unexpected_keys"]):
        logger.warning("%s: parts that a causal language model does not have are left out: %s", place, a_few(strange))


def flaw(model: Any, report: dict[str, Any]) -> str | None:
    """What is wrong with the weights that were loaded, from the loader's own report; None if nothing is."""
    own = model.state_dict().keys()
    found = list[str]()
    if missing := sorted(report["missing_keys"]):
        found.append(f"the checkpoint lacks {len(missing)} of {len(own)} tensors: {a_few(missing)}")
    if other := sorted(report["mismatched_keys"]):
        shapes = [f"{name} ({list(there)} instead of {list(wanted)})" for name, there, wanted in other]
        found.append(f"the checkpoint has tensors of other shapes than its config: {a_few(shapes)}")
    extra = sorted(name for name in report["unexpected_keys"] if missing or not elsewhere(model, name))
    if extra:
        found.append(f"the checkpoint has tensors that its config has no place for: {a_few(extra)}")
    found += [" ".join(str(message).split()) for message in report["error_msgs"]]
    return "; ".join(found) or None


def elsewhere(model: Any, name: str) -> bool:
    """Whether an unexpected tensor belongs to a part that the model does not have at all.

    A value head or a vision tower beside the language model is such a part. A bias, a norm or a layer that its config
    does not mention, inside a part that is there, means that something else would be computed than what was trained.
    """
    parts = name.split(".")
    if model.base_model_prefix == parts[0] and len(parts) > 2:
        parts = parts[1:]
        model = model.base_model
    return len(parts) > 1 and not hasattr(model, parts[0])


def a_few(names: Iterable[str]) -> str:
    """The first dozen of them.

    >>> a_few(["a", "b"]), a_few("abcdefghijklmn")
    ('a, b', 'a, b, c, d, e, f, g, h, i, j, k, l and 2 more')
    """
    every = list(names)
    rest = f" and {len(every) - NAMED} more" if len(every) > NAMED else ""
    return ", ".join(every[:NAMED]) + rest
