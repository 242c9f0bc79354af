"""Whether a model is its checkpoint, whole: what the file lacks is never invented.

Hugging Face's loader fills what a checkpoint lacks with random numbers and reports it in a log. A model of which one
layer was drawn at random still writes text, and still gets a row in a table of accuracies, so here its report is read.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

logger = logging.getLogger(__name__)
NAMED = 12  # tensors that a sentence names


def check_whole(model: Any, report: dict[str, Any], place: Any) -> None:
    """Look at a model that was just loaded, with the loader's own report (``output_loading_info=True``).

    Raises:
        ValueError: tensors that the checkpoint lacks, has in another shape, or has where its config says there are
            none; one sentence that names them. Weights that are tied to others need not be there.
    """
    if problem := flaw(model, report):
        raise ValueError(f"{problem}; a model with other weights than its checkpoint's is not used.")
    if strange := sorted(report["unexpected_keys"]):
        logger.warning("%s: parts that a causal language model does not have are left out: %s", place, named(strange))


def flaw(model: Any, report: dict[str, Any]) -> str | None:
    """What is wrong with the weights that were loaded, from the loader's own report; None if nothing is."""
    own = model.state_dict().keys()
    found = list[str]()
    if missing := sorted(report["missing_keys"]):
        found.append(f"the checkpoint lacks {len(missing)} of {len(own)} tensors: {named(missing)}")
    if other := sorted(report["mismatched_keys"]):
        shapes = [f"{name} ({list(there)} instead of {list(wanted)})" for name, there, wanted in other]
        found.append(f"the checkpoint has tensors of other shapes than its config: {named(shapes)}")
    extra = sorted(name for name in report["unexpected_keys"] if missing or not foreign(model, name))
    if extra:
        found.append(f"the checkpoint has tensors that its config has no place for: {named(extra)}")
    found += [" ".join(str(message).split()) for message in report["error_msgs"]]
    return "; ".join(found) or None


def foreign(model: Any, name: str) -> bool:
    """Whether an unexpected tensor belongs to a part that the model does not have at all.

    A value head or a vision tower beside the language model is such a part. A bias, a norm or a layer that its config
    does not mention, inside a part that is there, means that something else would be computed than what was trained.
    """
    parts = name.split(".")
    if model.base_model_prefix == parts[0] and len(parts) > 2:
        parts = parts[1:]
        model = model.base_model
    return len(parts) > 1 and not hasattr(model, parts[0])


def named(names: Iterable[str]) -> str:
    """The first dozen of them.

    >>> named(["a", "b"]), named("abcdefghijklmn")
    ('a, b', 'a, b, c, d, e, f, g, h, i, j, k, l and 2 more')
    """
    every = list(names)
    rest = f" and {len(every) - NAMED} more" if len(every) > NAMED else ""
    return ", ".join(every[:NAMED]) + rest
