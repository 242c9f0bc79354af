"""`decoder`: what Hugging Face's own ``generate`` calls instead of its loop."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from transformers import EosTokenCriteria, GenerationMixin, MaxLengthCriteria
from transformers.utils import ModelOutput

from ..chances import Chance, PerRow
from ..kernels import PLAIN, fused
from ..target import Target
from ..vocabulary import output_size, shared_vocabulary
from ..vocabulary_map import VocabularyMap
from .agreement import TOKENS, check_agreement
from .capacity import check_capacity, check_rotation
from .columns import Columns
from .fields import check_fields
from .generator import source
from .huggingface import begun, cache_name, check_model, inner_models, is_recurrent
from .ids import Padding, padding_of, read_ids, unpad
from .inputs import check_inputs
from .journal import Journal, stack_scores
from .lane import Lane
from .lanes import adopt, lane_for
from .loop import Decoder
from .mapped import MappedLane
from .model import Observer, unobserved
from .processors import settle_processors
from .sampling import Sampling
from .settings import (
    describe,
    pad_token,
    proxy_stops,
    settle_target,
    settle_window,
    stop_tokens,
    without_unasked_top_k,
)
from .stops import knowing_stops
from .trace import Trace
from .window import AutoWindow
from .wrappers import unwrap

CACHE = cache_name(GenerationMixin.prepare_inputs_for_generation)  # what Hugging Face's generate calls a user's


@dataclass
class Output(ModelOutput):
    """What `generate` returns.

    Attributes:
        sequences: ``(B, L + N)``, prompts and continuations, padded at the left and right.
        scores: with ``output_scores=True``, N tensors ``(B, V)``: log π at every position.
        trace: where every token came from and what it cost.
    """

    # ModelOutput wants defaults; sequences and trace are always set.
    sequences: Tensor = None  # type: ignore[assignment]
    scores: tuple[Tensor, ...] | None = None
    trace: Trace = None  # type: ignore[assignment]


def decoder(
    proxy: Any,
    target: Target,
    *,
    window: int | AutoWindow | Literal["auto"] = 3,
    proxy_input_ids: Any = None,
    proxy_attention_mask: Any = None,
    vocabulary: int | None = None,
    generator: torch.Generator | Chance | None = None,
    streamer: Any = None,
    keep_top_k: bool = False,
    vocabulary_map: VocabularyMap | None = None,
    proxy_past_key_values: Any = None,
    compile: bool | dict[str, Any] = False,
    observer: Observer = unobserved,
) -> Callable[..., Tensor | Output]:
    """A ``custom_generate`` for Hugging Face: ``base.generate(**inputs, custom_generate=kad.decoder(proxy, target))``.

    Generation settings are then those of ``base.generate`` (stop tokens are still the union of both models').
    Hugging Face passes neither a streamer nor a tokenizer on to a callable: give the streamer here, and use
    `generate` for stop strings.

    Args:
        keep_top_k: Hugging Face samples with ``top_k=50`` where nobody asked for it, which would truncate p and q*.
            A top-k of exactly 50 that neither model's own generation config asks for is dropped unless this is True.
        vocabulary_map: of a proxy with another tokenizer; ``proxy_input_ids`` must then be given.
        observer: called before every pass with the model's role and the places of the pass (rows times width), it gives a
            context manager within which the pass runs.

    The other arguments are those of `generate`.

    >>> import kad
    >>> pair = kad.demo.load()
    >>> prompt = "q : tom has 6 apples . he loses 2 . he finds 9 more . how many apples does tom have now ? a :"
    >>> ids = pair.tokenizer(prompt, return_tensors="pt")
    >>> out = pair.base.generate(**ids, custom_generate=kad.decoder(pair.proxy, kad.dual(0.4)), max_new_tokens=40)
    >>> pair.tokenizer.decode(out[0, ids["input_ids"].shape[1]:], skip_special_tokens=True)
    'first 6 - 2 = 4 . then 4 + 9 = 13 . #### 13'
    """
    target, window = settle_target(target), settle_window(window)
    if not isinstance(compile, (bool, dict)):
        raise ValueError(f"compile must be True, False or a dict of torch.compile's options, got {compile!r}.")
    check_model(unwrap(proxy, "proxy"), "proxy")
    return functools.partial(
        decode, proxy=proxy, target=target, window=window, proxy_input_ids=proxy_input_ids,
        proxy_attention_mask=proxy_attention_mask, vocabulary=vocabulary, generator=generator,
        token_streamer=streamer, keep_top_k=keep_top_k, vocabulary_map=vocabulary_map,
        proxy_cache=proxy_past_key_values, compile=compile, observer=observer,
    )  # fmt: skip


@torch.no_grad()
def decode(
    model: Any,
    input_ids: Tensor,
    logits_processor: Any = None,
    stopping_criteria: Any = None,
    generation_config: Any = None,
    *,
    base: Any = None,
    proxy: Any,
    target: Target,
    window: int | AutoWindow,
    proxy_input_ids: Any,
    proxy_attention_mask: Any,
    vocabulary: int | None,
    generator: torch.Generator | Chance | None,
    token_streamer: Any,
    keep_top_k: bool,
    vocabulary_map: VocabularyMap | None,
    proxy_cache: Any,
    compile: bool | dict[str, Any],
    observer: Observer,
    **model_kwargs: Any,
) -> Tensor | Output:
    """What Hugging Face calls after it has prepared everything; see `decoder`.

    ``base`` is given where ``model`` is only a view of it with other settings.
    """
    model = model if base is None else base
    models = inner_models(model, proxy, target.reference)
    check_fields(generation_config)
    if window != 0:
        for name, one in models.items():
            if is_recurrent(one):
                raise ValueError(
                    f"the {name} ({type(one).__name__}) has a recurrent state and cannot roll back; use window=0."
                )
    sizes = {name: output_size(one) for name, one in models.items()}
    if vocabulary_map is not None:
        if target.reference is not None:
            raise ValueError("a target with a reference model needs a proxy with the base's own tokenizer.")
        if proxy_input_ids is None:
            raise ValueError("a proxy with another vocabulary needs proxy_input_ids, the prompt in its own ids.")
        sizes, vocabulary = {"base": sizes["base"]}, len(vocabulary_map.proxy_of)
    stops = stop_tokens(generation_config) | proxy_stops(proxy, vocabulary_map)
    size, forbidden = shared_vocabulary(sizes, vocabulary, stops)
    if vocabulary_map is not None:
        size, forbidden = len(vocabulary_map.proxy_of), None  # neither model's padding is ever read

    mask = model_kwargs.get("attention_mask")
    prompts = unpad(input_ids, mask, "input_ids")
    check_inputs(model_kwargs, input_ids, mask, "the base")
    input_ids = input_ids.long()
    if isinstance(generator, PerRow) and len(generator.seeds) != len(prompts):
        raise ValueError(f"there are {len(prompts)} rows and {len(generator.seeds)} seeds; give one seed per row.")
    proxy_prompts = prompts
    if proxy_input_ids is not None:
        padding = padding_of(proxy, Padding(pad_token(generation_config, stops)))
        proxy_input_ids, mask = read_ids(proxy_input_ids, proxy_attention_mask, "proxy_input_ids", padding)
        proxy_prompts = unpad(proxy_input_ids, mask, "proxy_input_ids")
        copies, rest = divmod(len(prompts), len(proxy_prompts))
        if rest:
            raise ValueError(f"the base has {len(prompts)} prompts, the proxy {len(proxy_prompts)}; give one for one.")
        proxy_prompts = [row for row in proxy_prompts for _ in range(copies)]  # num_return_sequences
    own = size if vocabulary_map is None else output_size(models["proxy"])
    for rows, ids in ((prompts, size), (proxy_prompts, own)):
        largest = max(int(row.max()) for row in rows)
        if largest >= ids:
            raise ValueError(f"the prompt has token id {largest}, but the models share only {ids} ids.")

    limit = max(0, generation_config.max_length - input_ids.shape[1])
    # The proxy's tokens for one of the base's, at most.
    pieces = 1 if vocabulary_map is None else max([1, *map(len, vocabulary_map.pieces.values())])
    for name, one in models.items():
        rows = proxy_prompts if name == "proxy" else prompts
        # With another vocabulary a token of the base's may be several of the proxy's, so there it is a lower bound.
        lengths = [len(row) for row in rows]
        check_capacity(name, one, max(lengths), limit)
        check_rotation(name, one, min(lengths), max(lengths), limit * pieces if name == "proxy" else limit)
    options = compile if isinstance(compile, dict) else {} if compile else None
    lanes: dict[str, Lane] = {}
    for name, one in models.items():
        rows, ids, room = (proxy_prompts, own, limit * pieces) if name == "proxy" else (prompts, size, limit)
        lanes[name] = lane_for(name, one, rows, room, ids, options, observer)
        plain = functools.partial(lane_for, name, one, room=TOKENS, vocabulary=output_size(one))
        check_agreement(name, one, rows[0], plain)
    for name, user_cache in (("base", model_kwargs.get(CACHE)), ("proxy", proxy_cache)):
        if user_cache is not None and begun(user_cache, models[name], name == "proxy"):
            columns = proxy_input_ids if name == "proxy" and proxy_input_ids is not None else input_ids
            adopt(lanes[name], user_cache, columns.shape[1])
    drafting: Lane | MappedLane = lanes["proxy"]
    if vocabulary_map is not None:
        drafting = MappedLane(lanes["proxy"], vocabulary_map, limit)
    processors = settle_processors(logits_processor or [])
    processors = knowing_stops(processors, generation_config, sorted(stops), input_ids)
    if not keep_top_k:
        processors = without_unasked_top_k(processors, (model, proxy))
    sample = bool(generation_config.do_sample)
    on_cpu = input_ids.device.type == "cpu"  # where NumPy's ways are faster than fused ones
    kernels = PLAIN if options is None or on_cpu else fused(options)
    sampling = Sampling(sample, processors, forbidden, target.placement != "models", kernels)
    pad = pad_token(generation_config, stops)
    criteria = [c for c in stopping_criteria or [] if not isinstance(c, (MaxLengthCriteria, EosTokenCriteria))]
    watch = Columns(criteria, token_streamer, pad) if criteria or token_streamer is not None else None
    if token_streamer is not None:
        token_streamer.put(input_ids.cpu())

    keep_scores = bool(generation_config.output_scores and generation_config.return_dict_in_generate)
    journal = Journal(input_ids, limit, sorted(stops), pad, keep_scores)
    loop = Decoder(
        lanes["base"], drafting, target, window=window, sampling=sampling, journal=journal, watch=watch,
        chance=source(sample, generator, models.values(), kernels), reference=lanes.get("reference"),
    )  # fmt: skip
    trace = loop.run()
    trace.settings.update(
        target=repr(target), window=window if isinstance(window, int) else repr(window), do_sample=sample, temperature=sampling.temperature,
        processors=[describe(p) for p in processors], stop_tokens=sorted(stops), max_new_tokens=limit,
    )  # fmt: skip
    if isinstance(drafting, MappedLane):
        trace.settings["mapped_mass"] = drafting.coverage
    if token_streamer is not None:
        token_streamer.end()
    sequences = journal.text[:, : input_ids.shape[1] + trace.ids.shape[1]]
    if not generation_config.return_dict_in_generate:
        return sequences
    return Output(sequences=sequences, scores=stack_scores(journal.scores), trace=trace)
