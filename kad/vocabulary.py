"""One vocabulary from two models.

Models of one family may pad their output layer differently (Qwen 3: 151,936 and 152,064 rows for 151,669 tokens).
The rows past the tokenizer's largest id mean nothing, so they are masked in every model before any rule is applied. The
other way round a tokenizer may have added tokens that the models lack (Gemma 3: one for images); no model can say them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from .checks import whole


def output_size(model: Any) -> int:
    """How many logits the model returns, whatever its output layer is: plain, quantised, packed, or none of its own.

    >>> import kad
    >>> output_size(kad.demo.load().base)
    258
    """
    head, config = model.get_output_embeddings(), model.config.get_text_config()
    weight, outputs = getattr(head, "weight", None), getattr(head, "out_features", None)
    if isinstance(weight, Tensor) and weight.ndim == 2 and weight.is_floating_point():
        inputs = getattr(head, "in_features", getattr(config, "hidden_size", weight.shape[1]))
        if weight.shape[1] == inputs:  # and no bits that were packed into a column
            return int(weight.shape[0])
    return int(outputs) if isinstance(outputs, int) else int(config.vocab_size)


def id_bound(tokenizer: Any) -> int:
    """The tokenizer's largest id + 1: its length, unless it leaves ids out.

    Raises:
        ValueError: it has no tokens.

    >>> import kad
    >>> tokenizer = kad.demo.load().tokenizer
    >>> id_bound(tokenizer) == len(tokenizer)
    True
    """
    ids = tokenizer.get_vocab().values()
    if not ids:
        raise ValueError("the tokenizer has no tokens; load it from the folder of the aligned model.")
    return int(max(ids)) + 1


def usable_ids(tokenizer: Any, sizes: Mapping[str, int], stops: Iterable[int] = ()) -> int:
    """How many ids can be said: up to the tokenizer's largest that every model has an output for, or the largest stop token.

    Args:
        tokenizer: that all models share.
        sizes: of every model's output, by the name to use in messages.
        stops: the ids that end a text.

    Raises:
        ValueError: tokens of its own, not added ones, for which a model has no output.

    >>> import kad
    >>> pair = kad.demo.load()
    >>> usable_ids(pair.tokenizer, {"base": output_size(pair.base)}) == len(pair.tokenizer)
    True
    """
    smallest = min(sizes, key=lambda name: sizes[name])
    size, bound = sizes[smallest], id_bound(tokenizer)
    if bound > size:
        vocabulary, added = tokenizer.get_vocab(), tokenizer.get_added_vocab()
        beyond = [i for token, i in vocabulary.items() if i >= size and token not in added]
        if beyond:
            raise ValueError(
                f"the tokenizer has tokens up to id {max(beyond)} but the {smallest} model only {size} outputs; the models "
                "do not share it."
            )
    return covering(min(bound, size), stops, size)


def covering(bound: int, stops: Iterable[int], size: int) -> int:
    """A bound beyond which no stop token lies that a model of ``size`` outputs can say.

    >>> covering(34, [2, 40, 99], 42)
    41
    """
    return max([bound, *(stop + 1 for stop in stops if stop < size)])


def shared_vocabulary(
    sizes: dict[str, int], tokens: int | None = None, stops: Iterable[int] = ()
) -> tuple[int, int | None]:
    """The common number of logits, and the first id to mask (None: nothing).

    Args:
        sizes: output size per model, by the name to use in messages.
        tokens: the shared tokenizer's largest id + 1 (`usable_ids`).
        stops: the ids that end a text; they are not masked.

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
                "differently, pass tokenizer=... (or vocabulary=its largest id + 1)."
            )
        return size, None
    tokens = whole("vocabulary", tokens, 1)
    if tokens > size:
        raise ValueError(
            f"the tokenizer has {tokens} tokens but the {smallest} model only {size} outputs; the models do not share it (if "
            f"those beyond are added ones that no prompt holds, pass vocabulary={size})."
        )
    tokens = covering(tokens, stops, size)
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
