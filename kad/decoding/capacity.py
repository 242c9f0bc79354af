"""How many tokens a model has places for: asked before anything is decoded."""

from __future__ import annotations

import logging
from typing import Any

from torch import Tensor, nn

logger = logging.getLogger(__name__)
TABLES = ("embed_positions", "pos_encoding")  # attributes that hold a table of positions and grow with nothing


def places(model: Any) -> int | None:
    """The length of the model's table of positions; None if positions are computed and know no end.

    GPT-2, OPT and their kin learn an embedding for every position; GPT-J and its kin look rotations up in a table. Past
    the end of either there is nothing to read.

    >>> import kad
    >>> places(kad.demo.load().base) is None
    True
    """
    tokens = model.get_input_embeddings()
    found = list[int]()
    for name, module in model.named_modules():
        last = name.rpartition(".")[2]
        if isinstance(module, nn.Embedding) and module is not tokens and ("pos" in last or last == "wpe"):
            found.append(module.num_embeddings - int(getattr(module, "offset", 0)))
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
