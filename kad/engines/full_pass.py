"""π where the text is known: one pass of every model over all of it, instead of decoding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..decisions import Decision, Reading, decide, pi_of
from ..decoding.huggingface import inner_models
from ..decoding.sampling import Sampling
from ..decoding.settings import stop_tokens
from ..decoding.wrappers import device_of, eagerly, is_compiled
from ..laws.course import at_all_places
from ..mixture import Target
from ..stateful import Stateful
from ..vocabulary import output_size, shared_vocabulary, usable_ids


def along(target: Stateful, base: Reading, proxy: Reading, tokens: Tensor) -> Decision:
    """The decision at every place of some texts, whose tokens from the second place on are ``(B, n)``; the first is a text's first."""
    state, found = target.first(base.for_rule(target)[:, 0]), list[Decision]()
    for place in range(tokens.shape[1] + 1):
        here = slice(None), place
        decision = decide(target.at(state), base.at(here), proxy.at(here))
        if decision is None:
            raise ValueError(f"{type(target).__name__}.at must return a mixture, such as kad.dual(0.4).")
        found.append(decision)
        if place < tokens.shape[1]:
            state = target.follow(state, decision.alpha, tokens[:, place].to(state.device))
    return at_all_places(found, base.for_rule(target))


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
    decision = (
        decide(target, base, proxy)
        if target.stateful is None
        else along(target.stateful, base, proxy, ids[:, start + 1 :])
    )
    return base, proxy, pi_of(target, base, proxy, found.get("reference"), sampling.temperature, decision)
