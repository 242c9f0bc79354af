"""What a logits processor must be, and how it is asked.

Drafts are proposed, judged and taken back, both models' logits are processed, and rows are at different places. So a
processor has to be a function of the text before a place and of the scores there: what it is asked about next need not go
on from what it was asked about last. Known ones that keep a text of their own are refused, and others if they contradict
themselves at the first place.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
import transformers
from torch import Tensor
from transformers import LogitsProcessor, NoBadWordsLogitsProcessor, PrefixConstrainedLogitsProcessor
from transformers import MinLengthLogitsProcessor as MinLength
from transformers import MinNewTokensLengthLogitsProcessor as MinNewTokens

# These look at the scores alone: they take all places of all rows in one call.
PREFIX_FREE = tuple(
    getattr(transformers, name)
    for name in (
        "TemperatureLogitsWarper", "TopKLogitsWarper", "TopPLogitsWarper", "MinPLogitsWarper", "TypicalLogitsWarper",
        "EpsilonLogitsWarper", "EtaLogitsWarper", "TopHLogitsWarper", "InfNanRemoveLogitsProcessor",
        "SuppressTokensLogitsProcessor", "LogitNormalization",
    )
    if hasattr(transformers, name)
)  # fmt: skip
HOLD_STOPS = (MinLength, MinNewTokens, transformers.ExponentialDecayLengthPenalty)
GUIDANCE = "runs a model over a second text beside the one that is decoded"
# By name and module, since some are neither exported nor installed everywhere.
STATEFUL = {
    "ClassifierFreeGuidance": GUIDANCE,
    "SynthIDText": "remembers which contexts it has marked already",
    "xgrammar": "follows the one text that it is shown in a grammar's state",
}


def settle_processors(processors: Iterable[Any]) -> list[Any]:
    """The processors as the loop takes them.

    Raises:
        ValueError: one that is known to carry state from call to call.

    >>> settle_processors([PrefixConstrainedLogitsProcessor(lambda row, ids: [3], 1)])[0].beams
    1
    """
    settled = list[Any]()
    for processor in processors:
        kind = type(processor)
        for name, why in STATEFUL.items():
            if any(name in f"{one.__module__}.{one.__qualname__}" for one in kind.__mro__):
                raise ValueError(
                    f"{kind.__name__} {why}, which drafts that are taken back would upset; drop it "
                    "(a processor must be a function of the text and the scores alone)."
                )
        if kind is PrefixConstrainedLogitsProcessor:
            processor = AllowedTokens(processor._prefix_allowed_tokens_fn, processor._num_beams)
        settled.append(processor)
    return settled


def knowing_stops(processors: list[Any], config: Any, stops: list[int], prompts: Tensor) -> list[Any]:
    """The processors with the union of both models' stop tokens, and those that were not built for want of any.

    Hugging Face builds them before it has heard of the proxy's stop tokens.

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
        wanted.append(MinLength(config.min_length, ends, device=str(device)))
    if (config.min_new_tokens or 0) > 0:
        wanted.append(MinNewTokens(width, config.min_new_tokens, ends, device=str(device)))
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


class AllowedTokens(LogitsProcessor):
    """Hugging Face's ``prefix_allowed_tokens_fn``, asked about those rows alone that go on.

    A function that knows no continuation of a text that has ended need not invent one.

    Args:
        allowed: of a row's number and its ids, the ids that may come next.
        beams: rows per number.
    """

    def __init__(self, allowed: Callable[[int, Tensor], Iterable[int]], beams: int = 1) -> None:
        self.allowed, self.beams = allowed, beams

    def of_rows(self, input_ids: Tensor, scores: Tensor, rows: list[int]) -> Tensor:
        """The scores, −∞ where a token is not allowed, in these rows; the others' do not count."""
        hidden = torch.full_like(scores, -torch.inf)
        for row in rows:
            allowed = self.allowed(row // self.beams, input_ids[row])
            ids = allowed if isinstance(allowed, Tensor) else torch.tensor(list(allowed), dtype=torch.long)
            if not ids.numel():
                raise ValueError(
                    f"prefix_allowed_tokens_fn allows no token after {input_ids.shape[1]} tokens of row {row}; allow a stop "
                    "token where a text may end."
                )
            hidden[row, ids.flatten().to(scores.device)] = 0
        return scores + hidden

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        return self.of_rows(input_ids, scores, list(range(len(scores))))


def ask(processor: Any, ids: Tensor, scores: Tensor, rows: Sequence[int], twice: bool = False) -> Tensor:
    """What a processor makes of ``scores (B, V)`` after ``ids (B, l)``; only these rows of the answer count.

    Args:
        twice: ask once more, and compare.

    Raises:
        ValueError: an answer that is no tensor like the scores, or another one to the same question.
    """

    def once() -> Tensor:
        if isinstance(processor, AllowedTokens):
            return processor.of_rows(ids, scores, list(rows))
        given = scores.clone() if twice else scores
        answer = processor(ids.clone() if twice else ids, given)
        if not isinstance(answer, Tensor) or answer.shape != scores.shape:
            got = tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
            raise ValueError(
                f"the logits processor {type(processor).__name__} returned {got} for scores of shape {tuple(scores.shape)}; "
                "it must return scores of the same shape."
            )
        return answer

    answer = once()
    if twice:
        at = torch.tensor(rows, device=scores.device)
        first, second = answer[at], once()[at]
        if not bool(((first == second) | (first.isnan() & second.isnan())).all()):
            raise ValueError(
                f"the logits processor {type(processor).__name__} answers the same question in two ways, so it carries state "
                "or chance of its own; kad needs a function of the text and the scores alone."
            )
    return answer
