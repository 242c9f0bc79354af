"""How many tokens a model has places for: asked before anything is decoded."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

logger = logging.getLogger(__name__)
OTHER_SENSES = ("vision", "visual", "image", "audio", "speech")
WRAPPERS = {"base_layer", "original_module", "modules_to_save"}  # what adapters call the layer that they stand around
TABLES = ("embed_positions", "pos_encoding")  # attributes that hold a table of positions and grow with nothing


def of_language(model: Any) -> Iterator[tuple[str, nn.Module]]:
    """The modules that read text, by name: other senses have positions of their own."""
    for name, module in model.named_modules():
        if not any(sense in part for part in name.split(".") for sense in OTHER_SENSES):
            yield name, module


def places(model: Any) -> int | None:
    """The length of the model's table of positions; None if positions are computed and know no end.

    GPT-2, OPT and their kin learn an embedding for every position; GPT-J and its kin look rotations up in a table. Past
    the end of either there is nothing to read.

    >>> import kad
    >>> places(kad.demo.load().base) is None
    True
    """
    own = set(model.get_input_embeddings().modules())
    found = list[int]()
    for name, module in of_language(model):
        path = name.split(".")
        while len(path) > 1 and WRAPPERS & set(path[-2:]):
            path.pop()
        rows = getattr(module, "num_embeddings", None)  # quantised tables are no nn.Embedding
        if isinstance(rows, int) and module not in own and ("pos" in path[-1] or path[-1] == "wpe"):
            found.append(rows - int(getattr(module, "offset", 0)))
        tables = [getattr(module, table, None) for table in TABLES]
        found += [table.shape[0] for table in tables if isinstance(table, Tensor)]
    return min(found, default=None)


def check_capacity(name: str, model: Any, prompt: int, limit: int) -> None:
    """Raise a ValueError if prompt and continuation have more tokens than the model has places; warn past what it has seen.

    Args:
        name: the model's role.
        prompt: length of the longest prompt.
        limit: new tokens at most; the last of them is never read.
    """
    needed, table = prompt + max(limit - 1, 0), places(model)
    if table is not None and needed > table:
        raise ValueError(
            f"the {name} has {table} positions, and a prompt of {prompt} tokens with max_new_tokens={limit} needs {needed}; "
            "shorten the prompt or lower max_new_tokens."
        )
    trained = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if table is None and isinstance(trained, int) and needed > trained > 0:
        logger.warning(
            "a prompt of %d tokens with max_new_tokens=%d goes beyond the %d positions that the %s was trained for; its "
            "distributions there mean little",
            prompt, limit, trained, name,
        )  # fmt: skip


def switches(model: Any) -> dict[str, int]:
    """The kinds of rotary positions whose frequencies depend on how long a text is, and the length where they change.

    >>> import kad
    >>> switches(kad.demo.load().base)
    {}
    """
    found = dict[str, int]()
    for _, module in of_language(model):
        kinds = getattr(module, "rope_type", None)
        for layer, kind in (kinds if isinstance(kinds, dict) else {None: kinds}).items():
            if not isinstance(kind, str) or not hasattr(module, "config"):
                continue
            parameters = getattr(module.config, "rope_parameters", None) or {}
            parameters = parameters if layer is None else parameters[layer]
            if "dynamic" in kind:
                found[kind] = int(vars(module)["original_max_seq_len"])
            elif kind == "longrope":
                found[kind] = int(parameters["original_max_position_embeddings"])
    return found


def check_rotation(name: str, model: Any, shortest: int, longest: int, limit: int) -> None:
    """Raise a ValueError if the frequencies of a model's positions would change while texts grow.

    All rows and drafts of a pass share them, and what has been read already was turned by the ones before.

    Args:
        name: the model's role.
        shortest, longest: lengths of the prompts.
        limit: new tokens at most.
    """
    for kind, length in switches(model).items():
        if longest + max(limit - 1, 0) <= length or (kind == "longrope" and shortest > length):
            continue
        way = "keep texts below that" + (", or let every prompt be longer" if kind == "longrope" else "")
        raise ValueError(
            f"the {name} has {kind} rotary positions, which change for all tokens once a text is longer than {length}; prompts "
            f"of {longest} tokens with max_new_tokens={limit} cross that, {way}."
        )
