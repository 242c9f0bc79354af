"""The front door: `generate` for two Hugging Face models."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

from ..chances import Chance, PerRow
from ..checks import seed as check_seed
from ..target import Target
from ..vocabulary import usable_ids
from .columns import StopStrings
from .decoder import Output, decoder
from .huggingface import inner_models
from .ids import TYPES, Padding, check_inputs, padding_of, read_ids
from .lanes import map_of
from .model import Observer, unobserved
from .preparing import CACHE
from .prompts import encode, is_text
from .settings import settle_config, stop_tokens
from .template import check_variables
from .window import AutoWindow
from .wrappers import device_of


def generate(
    base: Any,
    proxy: Any,
    prompt: Any = None,
    *,
    target: Target,
    window: int | AutoWindow | Literal["auto"] = 3,
    input_ids: Any = None,
    attention_mask: Any = None,
    proxy_prompt: Any = None,
    proxy_input_ids: Any = None,
    proxy_attention_mask: Any = None,
    past_key_values: Any = None,
    proxy_past_key_values: Any = None,
    compile: bool | dict[str, Any] = False,
    observer: Observer = unobserved,
    tokenizer: Any = None,
    proxy_tokenizer: Any = None,
    template: Mapping[str, Any] | None = None,
    vocabulary: int | None = None,
    generator: torch.Generator | Chance | None = None,
    seed: int | Sequence[int] | None = None,
    streamer: Any = None,
    stop_strings: str | Sequence[str] | None = None,
    stopping_criteria: Sequence[Any] | None = None,
    logits_processor: Sequence[Any] | None = None,
    prefix_allowed_tokens_fn: Callable[[int, Tensor], Iterable[int]] | None = None,
    generation_config: GenerationConfig | None = None,
    **options: Any,
) -> Output:
    """Generate from π, the base model aligned by the proxy, with γ = ``window`` speculative drafts a round.

    Defaults (stop tokens, temperature, ...) come from the *aligned* model's generation config; stop tokens are the
    union of both models'. What was used in the end is in ``out.trace.settings``.

    Models come as they are: whether Hugging Face's loader found all of a checkpoint's tensors, or drew some at random, can
    no longer be seen here. ``kad.checkpoints.load_checkpoints`` and the commands ask it, and refuse such a checkpoint. They may be
    wrapped by ``torch.compile`` or by PEFT, whose adapters are then as they are when this is called.

    Args:
        base: p, a Hugging Face causal language model.
        proxy: q*, one with the same vocabulary.
        prompt: text, chat messages, ids, what a tokenizer returns for a batch, or a list of any of these; or give
            ``input_ids`` and ``attention_mask``.
        target: what is sampled, such as ``kad.dual(0.4)``.
        window: γ ≥ 0; 0 is plain decoding, with the proxy run only where the base is deferred; ``"auto"`` (or an
            `AutoWindow`) chooses it while running.
        input_ids: the prompts' ids, ``(B, L)``, padded on the left, as tensor, array or lists.
        attention_mask: 1 where ``input_ids`` is no padding; inferred as Hugging Face does if it is left out.
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
        template: variables that the chat template reads beside the messages, such as ``{"enable_thinking": False}``.
        vocabulary: the tokenizer's largest id + 1, where there is no tokenizer at hand.
        generator: the source of randomness, or a `Chance` of your own; or give ``seed``; otherwise torch's global
            generator.
        seed: of a generator made for this call; or one seed per row, whose text is then the same in any batch, up to
            the rounding of the models' logits there.
        streamer: an object with ``put`` and ``end``, such as Hugging Face's ``TextStreamer``.
        stop_strings: strings that end a row's text.
        stopping_criteria: as in Hugging Face's ``generate``.
        logits_processor: as there; they act on each model's logits before the rule and see the base's ids. Each must be a
            function of the text and the scores alone (docs, "What goes in").
        prefix_allowed_tokens_fn: as there: of a row's number and its ids, the ids that may come next. It is asked about
            texts that go on, never about one that has ended.
        generation_config: instead of the aligned model's.
        **options: any field of ``GenerationConfig``: ``max_new_tokens`` (default 256), ``do_sample``,
            ``temperature``, ``top_p``, ``num_return_sequences``, ``output_scores``, ... A field that asks for what kad does
            not do (beams, ``guidance_scale``, ...) is refused; of the base's own config only the stop tokens count.

    Returns:
        An `Output` with ``sequences`` and ``trace``.

    Raises:
        ValueError: bad input, in one sentence: an empty prompt, window < 0, beams, vocabularies that do not match,
            a recurrent model with window > 0, a wrapper that hides the model, train mode with dropout, NaN logits, ...

    >>> import kad
    >>> pair = kad.demo.load()
    >>> prompt = "q : tom has 6 apples . he loses 2 . he finds 9 more . how many apples does tom have now ? a :"
    >>> out = kad.generate(pair.base, pair.proxy, prompt, target=kad.dual(0.4), tokenizer=pair.tokenizer)
    >>> pair.tokenizer.decode(out.trace.ids[0], skip_special_tokens=True)
    'first 6 - 2 = 4 . then 4 + 9 = 13 . #### 13'
    """
    models = inner_models(base, proxy, getattr(target, "reference", None))
    names = (*TYPES, "position_ids")  # of a tokenizer's answer
    beside = {name: options.pop(name) for name in names if name in options}
    device = device_of(models["base"])
    mapping = None
    if proxy_tokenizer is not None and proxy_tokenizer.get_vocab() != require(tokenizer).get_vocab():
        mapping = map_of(base, proxy, tokenizer, proxy_tokenizer)
        if proxy_prompt is None and proxy_input_ids is None:
            if not is_text(prompt):
                raise ValueError(
                    "with another proxy_tokenizer give the prompt as text or chat, or proxy_input_ids too."
                )
            proxy_prompt = prompt
    variables = check_variables(template) if template is not None else None
    config = settle_config(base, proxy, generation_config, options, mapping)
    padding = Padding(int(config.pad_token_id), frozenset(stop_tokens(config)))
    if prompt is not None and input_ids is not None:
        raise ValueError("pass either prompt or input_ids, not both.")
    if prompt is None and input_ids is None:
        raise ValueError("generate needs a prompt: text, chat messages or input_ids.")
    if input_ids is None:
        input_ids, attention_mask = encode(prompt, tokenizer, padding, attention_mask, variables=variables)
    else:
        input_ids, attention_mask = read_ids(input_ids, attention_mask, "input_ids", padding)
    check_inputs(beside, input_ids, attention_mask, "generate")
    if proxy_prompt is not None and proxy_input_ids is not None:
        raise ValueError("pass either proxy_prompt or proxy_input_ids, not both.")
    own = padding if mapping is None else padding_of(proxy, padding)
    if proxy_prompt is not None:
        proxy_input_ids, proxy_attention_mask = encode(
            proxy_prompt, proxy_tokenizer or tokenizer, own, proxy_attention_mask, "proxy_prompt", variables
        )
    elif proxy_input_ids is not None:
        proxy_input_ids, proxy_attention_mask = read_ids(proxy_input_ids, proxy_attention_mask, "proxy_input_ids", own)
    elif proxy_attention_mask is not None:
        raise ValueError("proxy_attention_mask belongs to proxy_input_ids; pass both or neither.")
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
        vocabulary=usable_ids(tokenizer, models)
        if vocabulary is None and tokenizer is not None and mapping is None else vocabulary,
        generator=generator, streamer=streamer, keep_top_k=True, vocabulary_map=mapping,
        proxy_past_key_values=proxy_past_key_values, compile=compile, observer=observer,
    )  # fmt: skip
    # Hugging Face fills every field that is None from the model that it is called on: not the base's, here.
    front = copy.copy(models["base"])
    front.generation_config = GenerationConfig()
    output: Output = front.generate(
        input_ids.to(device),
        attention_mask=attention_mask.to(device),
        generation_config=config,
        stopping_criteria=criteria,
        logits_processor=LogitsProcessorList(logits_processor or []),
        prefix_allowed_tokens_fn=prefix_allowed_tokens_fn,
        custom_generate=functools.partial(decode, base=models["base"]),
        **({CACHE: past_key_values} if past_key_values is not None else {}),
    )
    return output


def require(tokenizer: Any) -> Any:
    if tokenizer is None:
        raise ValueError("proxy_tokenizer needs tokenizer=..., the base's, beside it.")
    return tokenizer
