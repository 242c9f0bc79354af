"""Short passes, compared: whether a model computes through a lane what it computes by itself, asked once.

A lane gives a model token ids, positions and a causal mask, and takes tokens back. That is not all that some models read:
adapters put virtual tokens in front, attention may look ahead within a prompt, a state may grow where no cache shows it. A
list of such models would always lack the next one, so every model is compared with itself.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
from collections.abc import Iterator
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor, nn

from .attention import UNMASKED, WITH_MASKS, own_way, way_of
from .huggingface import cache_name, is_recurrent
from .lanes import Lane
from .wrappers import device_of, eagerly, forward_of, is_compiled, shells

logger = logging.getLogger(__name__)

TOKENS, PROMPT = 6, 4  # compared, and how many of them are read at once
# Of the logits' spread: rounding and quantised activations stay far below it, another computation does not.
SLACK = 0.1
LOOKS_AHEAD = "looks ahead in a prompt (bidirectional attention)"
READS_MORE = "reads or adds more than that, or places tokens otherwise"
AGREED: WeakSet[Any] = WeakSet()


def check_agreement(name: str, model: Any, prompt: Tensor, make: Any) -> None:
    """Compare a model's own first pass in Hugging Face's ``generate`` with what a lane reads; once per model.

    A model that attends without masks, and does not agree so, is compared again with them, and is then run with them.

    Args:
        name: the model's role.
        prompt: ``(L,)``, real tokens to ask about.
        make: ``make(prompts)`` gives a lane of this model.

    Raises:
        ValueError: they differ, or one of the two fails.
    """
    if model in AGREED:
        return
    try:
        compare_once(name, model, prompt, make)
    except ValueError as error:
        if is_recurrent(model) or way_of(name, model, device_of(model)).name != UNMASKED:
            raise
        WITH_MASKS.add(model)
        compare_once(name, model, prompt, make)
        logger.warning("the %s attends with masks, which are slower: without, %s", name, error)
    AGREED.add(model)


@torch.no_grad()
def compare_once(name: str, model: Any, prompt: Tensor, make: Any) -> None:
    """One comparison; raises what `check_agreement` does."""
    ids = prompt.repeat(TOKENS)[:TOKENS]
    kind = type(model).__name__
    try:
        with running(model), eagerly(is_compiled(model)):
            own, ours = by_itself(model, ids), through_lane(make, ids, is_recurrent(model))
            alike = all(agrees(own, place, logits) for place, logits in ours)
            ahead = (
                len(own) == TOKENS and not alike and not agrees(own, slice(0, PROMPT), by_itself(model, ids[:PROMPT]))
            )
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, TypeError, AssertionError, AttributeError, IndexError, KeyError) as error:
        if str(error).startswith(f"the {name} "):
            raise  # a lane's own sentence
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f"the {name} ({kind}) does not run with kad's ids, positions and masks: {said}") from error
    if not alike:
        raise ValueError(
            f"the {name} ({kind}) {LOOKS_AHEAD if ahead else READS_MORE}: with causal masks over the token ids alone it says "
            "something else than in its own generate, so kad cannot decode with it."
        )


def by_itself(model: Any, ids: Tensor) -> Tensor:
    """The logits that the model's own ``generate`` would have of these ids, ``(L, V)``."""
    ids = ids.unsqueeze(0).to(device_of(model))
    given: dict[str, Any] = {"attention_mask": torch.ones_like(ids), "use_cache": False}
    parameters = inspect.signature(forward_of(model)).parameters
    if "position_ids" in parameters:
        given["position_ids"] = torch.arange(ids.shape[1], device=ids.device).unsqueeze(0)
    prepared = model.prepare_inputs_for_generation(ids, is_first_iteration=True, **given)
    cache = cache_name(forward_of(model))
    prepared.pop(cache, None)
    if cache in parameters:
        prepared[cache] = None
    if "logits_to_keep" in parameters:
        prepared["logits_to_keep"] = 0  # all; some families want the last alone
    with own_way(model).during():
        logits: Tensor = model(**prepared).logits[0]
    return logits


def through_lane(make: Any, ids: Tensor, forward_only: bool) -> list[tuple[slice, Tensor]]:
    """What a lane reads of them, in a ragged batch and after taking tokens back: places and their logits ``(n, V)``."""
    lane: Lane = make([ids[:PROMPT], ids[: PROMPT - 1]])
    both, first = torch.tensor([True, True]), torch.tensor([True, False])
    if forward_only:
        return [(slice(PROMPT - 1, PROMPT), lane.logits(both, 1)[0])]
    for at in (PROMPT, PROMPT + 1):
        lane.append(torch.stack([ids[at], ids[at - 1]]), both)
    whole = lane.logits(both, TOKENS)
    found = [(slice(0, TOKENS), whole[0]), (slice(0, TOKENS - 1), whole[1, 1:])]
    lane.truncate(torch.tensor([0, 2]))
    for at in (PROMPT, PROMPT + 1):
        lane.append(ids[at].repeat(2), first)
    found.append((slice(PROMPT, TOKENS), lane.logits(first, 2)[0]))
    lane.truncate(torch.tensor([1, 1]))
    lane.append(torch.stack([ids[TOKENS - 1], ids[TOKENS - 2]]), both)  # and a single token a row
    single = lane.logits(both, 1)
    return [*found, (slice(TOKENS - 1, TOKENS), single[0]), (slice(TOKENS - 2, TOKENS - 1), single[1])]


def agrees(own: Tensor, place: slice, logits: Tensor) -> bool:
    """Whether logits agree with the model's own there; not where those are NaN, of which the decoder will tell."""
    want, got = own[place].float(), logits.float()
    if want.shape[0] != got.shape[0]:
        return False
    want = want[:, : got.shape[1]]
    spread = want - want.mean(-1, keepdim=True)
    if not bool(torch.isfinite(spread.norm())):
        return True
    return float((want - got).norm()) <= SLACK * float(spread.norm()) + 1e-6


@torch.no_grad()
def short_pass(model: Any) -> list[Tensor]:
    """What the model says after a few tokens, and after one more with its memory of them, each ``(1, n, V)``.

    Some models take other ways for a single token.
    """
    *_, model = shells(model)
    table, function, options = model.get_input_embeddings(), forward_of(model), dict[str, Any]()
    rows = getattr(table, "num_embeddings", None) or table.weight.shape[0]  # of a quantised table weight is a method
    parameters = inspect.signature(function).parameters
    open_ended = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    if open_ended or "use_cache" in parameters:
        options["use_cache"] = True
    ids = torch.arange(1, TOKENS + 2, device=device_of(model)).remainder(rows).unsqueeze(0)
    memory = cache_name(function)
    with running(model), eagerly(is_compiled(model)), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        if getattr(model.config, "is_encoder_decoder", False):
            return [model(input_ids=ids, decoder_input_ids=ids, **options)[0]]
        out = model(input_ids=ids[:, :-1], **options)
        found, state = [out[0]], getattr(out, memory, None)
        if state is not None:
            found.append(model(input_ids=ids[:, -1:], **options, **{memory: state})[0])
    return found


@contextlib.contextmanager
def running(model: nn.Module) -> Iterator[None]:
    """Without dropout for a while; every module is then in the mode that it was in.

    The flags themselves: ``train`` and ``eval`` may do more than that (adapters merge).
    """
    modes = [(module, module.training) for module in model.modules()]
    for module, _ in modes:
        module.training = False
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def alike(before: list[Tensor], after: list[Tensor], tolerance: float) -> bool:
    """Whether two passes agree, up to rounding: the norm of the difference, relative to that of the logits' spread."""
    if [x.shape for x in before] != [x.shape for x in after]:
        return False
    for old, new in zip(before, after, strict=True):
        real = old.isfinite()
        if not torch.equal(real, new.isfinite()):
            return False
        a, b = old[real].double(), new[real].double()
        if len(a) and float((a - b).norm()) > tolerance * float((a - a.mean()).norm()) + 1e-6:
            return False
    return True
