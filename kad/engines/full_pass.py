"""π where the text is known: one pass of every model over all of it, instead of decoding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..decisions import Reading, decide, pi_of
from ..decoding.huggingface import inner_models
from ..decoding.sampling import Sampling
from ..decoding.settings import stop_tokens
from ..decoding.wrappers import device_of, eagerly, is_compiled
from ..laws.course import at_all_places, walk
from ..mixture import Target
from ..vocabulary import output_size, shared_vocabulary, usable_ids


@torch.no_grad()
def full_pass(
    models: Mapping[str, Any],
    target: Target,
    ids: Tensor,
    tokenizer: Any,
    start: int = 0,
    sample: bool = False,
    processors: Sequence[Any] = (),
) -> tuple[Reading, Reading, Tensor]:
    """The base's and the proxy's readings and π after every token from ``start`` on, ``(B, L − start, V)``, where the base is.

    Args:
        models: "base" and "proxy"; a reference is the target's own.
        target: what is sampled.
        ids: ``(B, L)``, without padding on the left.
        tokenizer: of the ids; outputs beyond its ids are masked.
        start: the first position that is wanted.
        sample: whether the temperature among the processors counts.
        processors: logits processors that do not read the prefix, in Hugging Face's order.
    """
    used = inner_models(models["base"], models["proxy"], target.reference)
    stops = stop_tokens(models["base"].generation_config) | stop_tokens(models["proxy"].generation_config)
    sizes = {name: output_size(model) for name, model in used.items()}
    size, forbidden = shared_vocabulary(sizes, usable_ids(tokenizer, sizes), stops)
    sampling = Sampling(sample, processors, forbidden, target.placement != "models")
    found, where = dict[str, Reading](), device_of(used["base"])
    for name, model in used.items():
        with eagerly(is_compiled(model)):
            logits = model(input_ids=ids.to(device_of(model))).logits[:, start:, :size].to(where)
        found[name] = sampling.read(logits, filtered=name != "reference")
    base, proxy = found["base"], found["proxy"]
    if target.stateful is None:
        decision = decide(target, base, proxy)
    else:
        steps = walk(target, base, proxy, ids[:, start + 1 :])
        decision = at_all_places([step for _, step in steps if step is not None], base.for_rule(target))
    return base, proxy, pi_of(target, base, proxy, found.get("reference"), sampling.temperature, decision)
