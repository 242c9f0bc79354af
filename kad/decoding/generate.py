"""The front doors: `generate` for two Hugging Face models, `decoder` for Hugging Face's own ``generate``."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from transformers import (
    EosTokenCriteria,
    GenerationConfig,
    GenerationMixin,
    LogitsProcessorList,
    MaxLengthCriteria,
    StoppingCriteriaList,
)
from transformers.utils import ModelOutput

from ..checks import seed as check_seed
from ..mixture import Target
from ..vocabulary import output_size, shared_vocabulary, usable_ids
from ..vocabulary_map import VocabularyMap
from .capacity import check_capacity
from .columns import Columns, StopStrings
from .fields import check_fields
from .huggingface import adopt, begun, cache_name, check_model, is_parallel, is_recurrent, lane_for
from .journal import Journal, stack_scores
from .kernels import PLAIN, Kernels, fused
from .lane import Lane
from .loop import Decoder
from .mapped import MappedLane, map_of
from .per_row import PerRow
from .prompts import encode, unpad
from .sampling import Sampling
from .settings import (
    describe,
    pad_token,
    proxy_stops,
    settle_config,
    settle_target,
    settle_window,
    stop_tokens,
    without_unasked_top_k,
)
from .stops import knowing_stops
from .trace import Trace
from .verify import Agreed, Chance, Greedy, Sampled
from .window import AutoWindow

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


def generate(
    base: Any,
    proxy: Any,
    prompt: Any = None,
    *,
    target: Target,
    window: int | AutoWindow | Literal["auto"] = 3,
    input_ids: Tensor | None = None,
    attention_mask: Tensor | None = None,
    proxy_prompt: Any = None,
    proxy_input_ids: Tensor | None = None,
    proxy_attention_mask: Tensor | None = None,
    past_key_values: Any = None,
    proxy_past_key_values: Any = None,
    compile: bool | dict[str, Any] = False,
    tokenizer: Any = None,
    proxy_tokenizer: Any = None,
    vocabulary: int | None = None,
    generator: torch.Generator | Chance | None = None,
    seed: int | Sequence[int] | None = None,
    streamer: Any = None,
    stop_strings: str | Sequence[str] | None = None,
    stopping_criteria: Sequence[Any] | None = None,
    logits_processor: Sequence[Any] | None = None,
    generation_config: GenerationConfig | None = None,
    **options: Any,
) -> Output:
    """Generate from π, the base model aligned by the proxy, with γ = ``window`` speculative drafts a round.

    Defaults (stop tokens, temperature, ...) come from the *aligned* model's generation config; stop tokens are the
    union of both models'. What was used in the end is in ``out.trace.settings``.

    Models come as they are: whether Hugging Face's loader found all of a checkpoint's tensors, or drew some at random, can
    no longer be seen here. ``kad.checkpoints.load`` and the commands ask it, and refuse such a checkpoint.

    Args:
        base: p, a Hugging Face causal language model.
        proxy: q*, one with the same vocabulary.
        prompt: text, chat messages, ids, or a list of any of these; or give ``input_ids`` and ``attention_mask``.
        target: what is sampled, such as ``kad.dual(0.4)``.
        window: γ ≥ 0; 0 is plain decoding, with the proxy run only where the base is deferred; ``"auto"`` (or an
            `AutoWindow`) chooses it while running.
        input_ids: the prompts' ids, ``(B, L)``, padded on the left.
        attention_mask: 1 where ``input_ids`` is no padding.
        proxy_prompt: another prompt for the proxy (a system prompt or a chat template that the base cannot read); the
            continuation is shared.
        proxy_input_ids: the same as ids.
        proxy_attention_mask: 1 where ``proxy_input_ids`` is no padding.
        past_key_values: a Hugging Face cache of the base with the first columns of ``input_ids``; copied.
        proxy_past_key_values: the same of the proxy.
        compile: compile both models' passes (`torch.compile`, with CUDA graphs on a GPU), or a dict of its options. The
            first rounds are then slow; graphs and caches stay with the models for further calls.
        tokenizer: for text, chat, stop strings, and to tell padded vocabulary rows from tokens.
        proxy_tokenizer: the proxy's, if it is not ``tokenizer``. Vocabularies that differ are mapped (`VocabularyMap`);
            the output is in the base's ids, and the share of q* that could be mapped is in ``out.trace.settings``.
        vocabulary: the tokenizer's largest id + 1, where there is no tokenizer at hand.
        generator: the source of randomness, or a `Chance` of your own; or give ``seed``; otherwise torch's global
            generator.
        seed: of a generator made for this call; or one seed per row, whose text is then the same in any batch, up to
            the rounding of the models' logits there.
        streamer: an object with ``put`` and ``end``, such as Hugging Face's ``TextStreamer``.
        stop_strings: strings that end a row's text.
        stopping_criteria: as in Hugging Face's ``generate``.
        logits_processor: as there; they act on each model's logits before the rule and see the base's ids.
        generation_config: instead of the aligned model's.
        **options: any field of ``GenerationConfig``: ``max_new_tokens`` (default 256), ``do_sample``,
            ``temperature``, ``top_p``, ``num_return_sequences``, ``output_scores``, ... A field that asks for what kad does
            not do (beams, ``guidance_scale``, ...) is refused; of the base's own config only the stop tokens count.

    Returns:
        An `Output` with ``sequences`` and ``trace``.

    Raises:
        ValueError: bad input, in one sentence: an empty prompt, window < 0, beams, vocabularies that do not match,
            a recurrent model with window > 0, NaN logits, ...

    >>> import kad
    >>> pair = kad.demo.load()
    >>> prompt = "q : tom has 6 apples . he loses 2 . he finds 9 more . how many apples does tom have now ? a :"
    >>> out = kad.generate(pair.base, pair.proxy, prompt, target=kad.dual(0.4), tokenizer=pair.tokenizer)
    >>> pair.tokenizer.decode(out.trace.ids[0], skip_special_tokens=True)
    'first 6 - 2 = 4 . then 4 + 9 = 13 . #### 13'
    """
    check_model(base, "base")
    check_model(proxy, "proxy")
    options.pop("token_type_ids", None)  # some tokenizers return them; causal models have one type
    device = base.get_input_embeddings().weight.device
    mapping = None
    if proxy_tokenizer is not None and proxy_tokenizer.get_vocab() != require(tokenizer).get_vocab():
        mapping = map_of(base, proxy, tokenizer, proxy_tokenizer)
        if proxy_prompt is None and proxy_input_ids is None:
            if prompt is None:
                raise ValueError(
                    "with another proxy_tokenizer give the prompt as text or chat, or proxy_input_ids too."
                )
            proxy_prompt = prompt
    config = settle_config(base, proxy, generation_config, options, mapping)
    pad = config.pad_token_id
    if prompt is not None and input_ids is not None:
        raise ValueError("pass either prompt or input_ids, not both.")
    if prompt is None and input_ids is None:
        raise ValueError("generate needs a prompt: text, chat messages or input_ids.")
    if input_ids is None:
        input_ids, attention_mask = encode(prompt, tokenizer, pad)
    if proxy_prompt is not None:
        proxy_input_ids, proxy_attention_mask = encode(proxy_prompt, proxy_tokenizer or tokenizer, pad)
    unpad(input_ids, attention_mask, "input_ids")  # before Hugging Face warns about what we refuse
    input_ids = input_ids.long()
    if generator is not None and seed is not None:
        raise ValueError("pass either generator or seed, not both.")
    if seed is not None:
        many = hasattr(seed, "__iter__") and not isinstance(seed, str)  # a list, a tuple, an array, a tensor
        given: Any = seed.tolist() if hasattr(seed, "tolist") else seed
        generator = PerRow(list(given)) if many else torch.Generator(device=device).manual_seed(check_seed(given))
    criteria = StoppingCriteriaList(stopping_criteria or [])
    stop_strings = config.stop_strings if stop_strings is None else stop_strings
    config.stop_strings = None  # Hugging Face would ask for the tokenizer, which it does not hand on
    if stop_strings is not None:
        if tokenizer is None:
            raise ValueError("stop_strings need tokenizer=... to read the text.")
        criteria.append(StopStrings(tokenizer, stop_strings))
    decode = decoder(
        proxy, target, window=window, proxy_input_ids=proxy_input_ids, proxy_attention_mask=proxy_attention_mask,
        vocabulary=usable_ids(tokenizer, {"base": base, "proxy": proxy, "reference": getattr(target, "reference", None)})
        if vocabulary is None and tokenizer is not None and mapping is None else vocabulary,
        generator=generator, streamer=streamer, keep_top_k=True, vocabulary_map=mapping,
        proxy_past_key_values=proxy_past_key_values, compile=compile,
    )  # fmt: skip
    # Hugging Face fills every field that is None from the model that it is called on: not the base's, here.
    front = copy.copy(base)
    front.generation_config = GenerationConfig()
    output: Output = front.generate(
        input_ids.to(device),
        attention_mask=attention_mask.to(device)
        if attention_mask is not None
        else torch.ones_like(input_ids).to(device),
        generation_config=config,
        stopping_criteria=criteria,
        logits_processor=LogitsProcessorList(logits_processor or []),
        custom_generate=functools.partial(decode, base=base),
        **({CACHE: past_key_values} if past_key_values is not None else {}),
    )
    return output


def decoder(
    proxy: Any,
    target: Target,
    *,
    window: int | AutoWindow | Literal["auto"] = 3,
    proxy_input_ids: Tensor | None = None,
    proxy_attention_mask: Tensor | None = None,
    vocabulary: int | None = None,
    generator: torch.Generator | Chance | None = None,
    streamer: Any = None,
    keep_top_k: bool = False,
    vocabulary_map: VocabularyMap | None = None,
    proxy_past_key_values: Any = None,
    compile: bool | dict[str, Any] = False,
) -> Callable[..., Tensor | Output]:
    """A ``custom_generate`` for Hugging Face: ``base.generate(**inputs, custom_generate=kad.decoder(proxy, target))``.

    Generation settings are then those of ``base.generate`` (stop tokens are still the union of both models').
    Hugging Face passes neither a streamer nor a tokenizer on to a callable: give the streamer here, and use
    `generate` for stop strings.

    Args:
        keep_top_k: Hugging Face samples with ``top_k=50`` where nobody asked for it, which would truncate p and q*.
            A top-k of exactly 50 that neither model's own generation config asks for is dropped unless this is True.
        vocabulary_map: of a proxy with another tokenizer; ``proxy_input_ids`` must then be given.

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
    check_model(proxy, "proxy")
    return functools.partial(
        decode, proxy=proxy, target=target, window=window, proxy_input_ids=proxy_input_ids,
        proxy_attention_mask=proxy_attention_mask, vocabulary=vocabulary, generator=generator,
        token_streamer=streamer, keep_top_k=keep_top_k, vocabulary_map=vocabulary_map,
        proxy_cache=proxy_past_key_values, compile=compile,
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
    proxy_input_ids: Tensor | None,
    proxy_attention_mask: Tensor | None,
    vocabulary: int | None,
    generator: torch.Generator | Chance | None,
    token_streamer: Any,
    keep_top_k: bool,
    vocabulary_map: VocabularyMap | None,
    proxy_cache: Any,
    compile: bool | dict[str, Any],
    **model_kwargs: Any,
) -> Tensor | Output:
    """What Hugging Face calls after it has prepared everything; see `decoder`.

    ``base`` is given where ``model`` is only a view of it with other settings.
    """
    model = model if base is None else base
    check_model(model, "base")
    check_fields(generation_config)
    models = {"base": model, "proxy": proxy}
    if target.reference is not None:
        check_model(target.reference, "reference")
        models["reference"] = target.reference
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

    prompts = unpad(input_ids, model_kwargs.get("attention_mask"), "input_ids")
    input_ids = input_ids.long()
    if isinstance(generator, PerRow) and len(generator.seeds) != len(prompts):
        raise ValueError(f"there are {len(prompts)} rows and {len(generator.seeds)} seeds; give one seed per row.")
    proxy_prompts = prompts
    if proxy_input_ids is not None:
        proxy_prompts = unpad(proxy_input_ids, proxy_attention_mask, "proxy_input_ids")
        copies, rest = divmod(len(prompts), len(proxy_prompts))
        if rest:
            raise ValueError(f"the base has {len(prompts)} prompts, the proxy {len(proxy_prompts)}; give one for one.")
        proxy_prompts = [row for row in proxy_prompts for _ in range(copies)]  # num_return_sequences
    own = size if vocabulary_map is None else output_size(proxy)
    for rows, ids in ((prompts, size), (proxy_prompts, own)):
        largest = max(int(row.max()) for row in rows)
        if largest >= ids:
            raise ValueError(f"the prompt has token id {largest}, but the models share only {ids} ids.")

    limit = max(0, generation_config.max_length - input_ids.shape[1])
    for name, one in models.items():
        rows = proxy_prompts if name == "proxy" else prompts
        # With another vocabulary a token of the base's may be several of the proxy's, so there it is a lower bound.
        check_capacity(name, one, max(len(row) for row in rows), limit)
    options = compile if isinstance(compile, dict) else {} if compile else None
    lanes: dict[str, Lane] = {}
    for name, one in models.items():
        rows, ids, room = (proxy_prompts, own, limit) if name == "proxy" else (prompts, size, limit)
        if name == "proxy" and vocabulary_map is not None:
            room *= max([1, *map(len, vocabulary_map.pieces.values())])
        lanes[name] = lane_for(name, one, rows, room, ids, options)
    for name, user_cache in (("base", model_kwargs.get(CACHE)), ("proxy", proxy_cache)):
        if user_cache is not None and begun(user_cache, models[name], name == "proxy"):
            columns = proxy_input_ids if name == "proxy" and proxy_input_ids is not None else input_ids
            adopt(lanes[name], user_cache, columns.shape[1])
    if vocabulary_map is not None:
        lanes["proxy"] = MappedLane(lanes["proxy"], vocabulary_map, limit)
    stops = stop_tokens(generation_config) | proxy_stops(proxy, vocabulary_map)
    processors = knowing_stops(list(logits_processor or []), generation_config, sorted(stops), input_ids)
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
        lanes["base"], lanes["proxy"], target, window=window, sampling=sampling, journal=journal, watch=watch,
        chance=source(sample, generator, models.values(), kernels), reference=lanes.get("reference"),
    )  # fmt: skip
    trace = loop.run()
    trace.settings.update(
        target=repr(target), window=window if isinstance(window, int) else repr(window), do_sample=sample, temperature=sampling.temperature,
        processors=[describe(p) for p in processors], stop_tokens=sorted(stops), max_new_tokens=limit,
    )  # fmt: skip
    if isinstance(lanes["proxy"], MappedLane):
        trace.settings["mapped_mass"] = lanes["proxy"].coverage
    if token_streamer is not None:
        token_streamer.end()
    sequences = journal.text[:, : input_ids.shape[1] + trace.ids.shape[1]]
    if not generation_config.return_dict_in_generate:
        return sequences
    return Output(sequences=sequences, scores=stack_scores(journal.scores), trace=trace)


def require(tokenizer: Any) -> Any:
    if tokenizer is None:
        raise ValueError("proxy_tokenizer needs tokenizer=..., the base's, beside it.")
    return tokenizer


def source(sample: bool, generator: torch.Generator | Chance | None, models: Iterable[Any], kernels: Kernels) -> Chance:
    """Where decisions come from; one process decides for all that share a model (``tp_plan``)."""
    chance: Chance = Greedy()
    if sample:
        chance = generator if isinstance(generator, Chance) else Sampled(generator, kernels.inverse_cdf)
    return Agreed(chance) if any(is_parallel(model) for model in models) else chance
