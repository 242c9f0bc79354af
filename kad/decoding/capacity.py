"""How many tokens a model has places for: asked before anything is decoded."""

from __future__ import annotations

import logging
from typing import Any

from torch import Tensor

logger = logging.getLogger(__name__)
WRAPPERS = {"base_layer", "original_module", "modules_to_save"}  # what adapters call the layer that they stand around
TABLES = ("embed_positions", "pos_encoding")  # attributes that hold a table of positions and grow with nothing


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
    for name, module in model.named_modules():
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
