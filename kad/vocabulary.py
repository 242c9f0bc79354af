"""One vocabulary from two models.

Models of one family may pad their output layer differently (Qwen 3: 151,936 and 152,064 rows for 151,669 tokens).
The rows past the tokenizer's length mean nothing, so they are masked in every model before any rule is applied.
"""

from __future__ import annotations

from typing import Any


def output_size(model: Any) -> int:
    """How many logits the model returns."""
    head = model.get_output_embeddings()
    return int(head.weight.shape[0]) if head is not None else int(model.config.get_text_config().vocab_size)


def shared_vocabulary(sizes: dict[str, int], tokens: int | None = None) -> tuple[int, int | None]:
    """The common number of logits, and the first id to mask (None: nothing).

    Args:
        sizes: output size per model, by the name to use in messages.
        tokens: how many tokens the shared tokenizer has.

    Raises:
        ValueError: sizes that differ with no tokenizer to tell which rows are padding, or a tokenizer with more
            tokens than a model has outputs.

    >>> shared_vocabulary({"base": 152064, "proxy": 151936}, tokens=151669)
    (151936, 151669)
    """
    smallest = min(sizes, key=lambda name: sizes[name])
    size = sizes[smallest]
    if tokens is None:
        if len(set(sizes.values())) > 1:
            listed = ", ".join(f"{name} {n}" for name, n in sizes.items())
            raise ValueError(
                f"the models' vocabularies differ in size ({listed}); if they share a tokenizer and only pad "
                "differently, pass tokenizer=... (or vocabulary=its length)."
            )
        return size, None
    if tokens > size:
        raise ValueError(
            f"the tokenizer has {tokens} tokens but the {smallest} model only {size} outputs; the models do not share it."
        )
    return size, tokens if tokens < max(sizes.values()) else None


def special_ids(tokenizer: Any) -> set[int]:
    """The ids of the tokens that ``skip_special_tokens`` leaves out, whether they have a name or only the mark.

    >>> import kad
    >>> tokenizer = kad.demo.load().tokenizer
    >>> [token for token in ("<bos>", "has") if tokenizer.convert_tokens_to_ids(token) in special_ids(tokenizer)]
    ['<bos>']
    """
    added = getattr(tokenizer, "added_tokens_decoder", {})
    return {*tokenizer.all_special_ids, *(i for i, token in added.items() if token.special)}
