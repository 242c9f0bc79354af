"""Processors that know the stop tokens: Hugging Face builds them before it has heard of the proxy's."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor
from transformers import (
    ExponentialDecayLengthPenalty,
    MinLengthLogitsProcessor,
    MinNewTokensLengthLogitsProcessor,
    NoBadWordsLogitsProcessor,
)

HOLD_STOPS = (MinLengthLogitsProcessor, MinNewTokensLengthLogitsProcessor, ExponentialDecayLengthPenalty)


def knowing_stops(processors: list[Any], config: Any, stops: list[int], prompts: Tensor) -> list[Any]:
    """The processors with the union of both models' stop tokens, and those that were not built for want of any.

    Args:
        processors: as Hugging Face's generate made them; copied where they change.
        config: the generation config that they were made from.
        stops: all stop tokens.
        prompts: ``(B, L)``, for their length and their device.

    >>> from transformers import GenerationConfig
    >>> made = knowing_stops([], GenerationConfig(min_new_tokens=3), [9], torch.zeros(1, 2))
    >>> made[0].eos_token_id.tolist()
    [9]
    """
    if not stops:
        return processors
    device, width, ends = prompts.device, prompts.shape[1], torch.tensor(stops, device=prompts.device)
    wanted: list[Any] = []
    if (config.min_length or 0) > 0:
        wanted.append(MinLengthLogitsProcessor(config.min_length, ends, device=str(device)))
    if (config.min_new_tokens or 0) > 0:
        wanted.append(MinNewTokensLengthLogitsProcessor(width, config.min_new_tokens, ends, device=str(device)))
    there = {type(processor) for processor in processors}
    found = []
    for processor in processors:
        if isinstance(processor, HOLD_STOPS):
            processor = copy.copy(processor)
            processor.eos_token_id = ends
        elif type(processor) is NoBadWordsLogitsProcessor and config.bad_words_ids is not None:
            processor = NoBadWordsLogitsProcessor(config.bad_words_ids, ends)  # a stop token alone is no bad word
        found.append(processor)
    return [one for one in wanted if type(one) not in there] + found
