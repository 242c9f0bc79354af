"""A base and its proxy, with what is needed to put text in and take text out; and the front doors to decoding them."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Unpack

from torch import Tensor
from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

from ..defaults import WINDOW
from ..target import Target
from ..vocabulary import output_size, usable_ids
from ..vocabulary_map import VocabularyMap
from .columns import StopStrings
from .decoder import Output, Run, begin
from .fields import BESIDE, Options
from .generator import seeded
from .huggingface import inner_models
from .ids import TYPES, Padding, check_inputs, padding_of, read_ids
from .lanes import map_of
from .preparing import CACHE, Request
from .prompts import encode, is_text
from .rounds import Round
from .settings import settle_config, stop_tokens
from .template import check_variables
from .window import AutoWindow
from .wrappers import device_of, release


@dataclass(frozen=True)
class Inputs:
    """Prompts of both models, ``(B, L)`` each, with masks; the proxy's are None where they are the base's."""

    ids: Tensor
    mask: Tensor
    proxy_ids: Tensor | None
    proxy_mask: Tensor | None


@dataclass(frozen=True)
class Pair:
    """Two models and their tokenizers.

    Models come as they are: whether Hugging Face's loader found all of a checkpoint's tensors, or drew some at random, can
    no longer be seen here. ``kad.checkpoints.load_checkpoints`` and the commands ask it, and refuse such a checkpoint. They
    may be wrapped by ``torch.compile`` or by PEFT, whose adapters are then as they are when something is generated.

    Attributes:
        base: p, a Hugging Face causal language model.
        proxy: q*, a small aligned one.
        tokenizer: for text, chat, stop strings, and to tell padded vocabulary rows from tokens.
        proxy_tokenizer: the proxy's, if it is not ``tokenizer``. Vocabularies that differ are mapped (`VocabularyMap`);
            the output is in the base's ids, and the share of q* that could be mapped is in ``out.trace.settings``.
        vocabulary: the tokenizer's largest id + 1, where there is no tokenizer at hand.
        compile: compile both models' passes (`torch.compile`, with CUDA graphs on a GPU), or a dict of its options. The
            first rounds are then slow; graphs and a cache stay with each model for further calls, until `release`.

    >>> import kad
    >>> pair = kad.demo.load()
    >>> prompt = "q : tom has 6 apples . he loses 2 . he finds 9 more . how many apples does tom have now ? a :"
    >>> out = pair.generate(prompt, kad.dual(0.4))
    >>> pair.tokenizer.decode(out.trace.ids[0], skip_special_tokens=True)
    'first 6 - 2 = 4 . then 4 + 9 = 13 . #### 13'
    """

    base: Any
    proxy: Any
    tokenizer: Any = None
    proxy_tokenizer: Any = None
    vocabulary: int | None = None
    compile: bool | dict[str, Any] = False

    def generate(
        self,
        prompt: Any,
        target: Target,
        *,
        window: int | AutoWindow | Literal["auto"] = WINDOW,
        **options: Unpack[Options],
    ) -> Output:
        """Generate from π with γ = ``window`` speculative drafts a round; see `kad.generate`."""
        output = self._begun(prompt, target, window, options).output()
        assert isinstance(output, Output)  # its config asks for one
        return output

    def rounds(
        self,
        prompt: Any,
        target: Target,
        *,
        window: int | AutoWindow | Literal["auto"] = WINDOW,
        **options: Unpack[Options],
    ) -> Iterator[Round]:
        """The same, round by round: the drafts, p, q* and π at every place, the verdicts, and what follows from them.

        >>> import kad
        >>> pair = kad.demo.load()
        >>> prompt = "q : tom has 6 apples . he loses 2 . he finds 9 more . how many apples does tom have now ? a :"
        >>> for round in pair.rounds(prompt, kad.dual(0.4), max_new_tokens=8):
        ...     print(pair.tokenizer.decode(round.drafts[0]), "|", int(round.accepted), "|", pair.tokenizer.decode(round.token))
        first 6 - | 3 | 2
        = 4 . | 3 | then
        """
        return self._begun(prompt, target, window, options).rounds()

    def begin(
        self,
        prompt: Any,
        target: Target,
        *,
        window: int | AutoWindow | Literal["auto"] = WINDOW,
        **options: Unpack[Options],
    ) -> Run:
        """The same before its first round, everything read, checked and loaded: for who wants rounds and, at any time, totals.

        >>> import kad
        >>> pair = kad.demo.load()
        >>> prompt = "q : tom has 6 apples . he loses 2 . he finds 9 more . how many apples does tom have now ? a :"
        >>> run = pair.begin(prompt, kad.dual(0.4), max_new_tokens=8)
        >>> for round in run.rounds():
        ...     print(int(round.accepted), "of", len(round.drafts[0]), "stand;", run.loop.trace().base_passes, "passes of the base")
        3 of 3 stand; 1 passes of the base
        3 of 3 stand; 2 passes of the base
        """
        return self._begun(prompt, target, window, options)

    def release(self) -> None:
        """Let go of the graphs and the static caches that ``compile=True`` has left on both models; see `kad.release`.

        The next call compiles anew. A target's reference model is not the pair's: ``kad.release(target.reference)``.

        >>> import kad
        >>> pair = kad.demo.load()
        >>> pair.release()
        >>> prompt = "q : tom has 6 apples . he loses 2 . he finds 9 more . how many apples does tom have now ? a :"
        >>> out = pair.generate(prompt, kad.dual(0.4), max_new_tokens=40)
        >>> pair.tokenizer.decode(out.trace.ids[0], skip_special_tokens=True)
        'first 6 - 2 = 4 . then 4 + 9 = 13 . #### 13'
        """
        for model in (self.base, self.proxy):
            release(model)

    def _begun(self, prompt: Any, target: Target, window: Any, options: Mapping[str, Any]) -> Run:
        """Everything read, checked and loaded, before the first round."""
        models = inner_models(self.base, self.proxy, getattr(target, "reference", None))
        device, vocabulary, mapping = device_of(models["base"]), self.vocabulary, self.mapping
        given = {name: value for name, value in options.items() if name in BESIDE and value is not None}
        fields = {name: value for name, value in options.items() if name not in BESIDE}
        config = settle_config(self.base, self.proxy, given.get("generation_config"), fields, mapping)
        if vocabulary is None and self.tokenizer is not None and mapping is None:
            vocabulary = usable_ids(self.tokenizer, {role: output_size(model) for role, model in models.items()})
        inputs = self._inputs(prompt, given, Padding(int(config.pad_token_id), frozenset(stop_tokens(config))))
        own = {name: given[name] for name in ("proxy_past_key_values", "streamer", "observer") if name in given}
        request = Request(
            self.proxy, target, window, vocabulary, self.compile, keep_top_k=True, vocabulary_map=mapping,
            proxy_input_ids=inputs.proxy_ids, proxy_attention_mask=inputs.proxy_mask,
            generator=seeded(given.get("generator"), given.get("seed"), device), **own,
        )  # fmt: skip
        # Hugging Face fills every field that is None from the model that it is called on: not the base's, here.
        front = copy.copy(models["base"])
        front.generation_config = GenerationConfig()
        begun: Run = front.generate(
            inputs.ids.to(device), attention_mask=inputs.mask.to(device), stopping_criteria=self._criteria(given, config),
            generation_config=config, logits_processor=LogitsProcessorList(given.get("logits_processor", [])),
            prefix_allowed_tokens_fn=given.get("prefix_allowed_tokens_fn"),
            custom_generate=functools.partial(begin, request=request, base=models["base"]),
            **({CACHE: given["past_key_values"]} if "past_key_values" in given else {}),
        )  # fmt: skip
        return begun

    @functools.cached_property
    def mapping(self) -> VocabularyMap | None:
        """From the proxy's vocabulary to the base's, if it is another."""
        if self.proxy_tokenizer is None:
            return None
        if self.tokenizer is None:
            raise ValueError("proxy_tokenizer needs tokenizer=..., the base's, beside it.")
        if self.proxy_tokenizer.get_vocab() == self.tokenizer.get_vocab():
            return None
        return map_of(self.base, self.proxy, self.tokenizer, self.proxy_tokenizer)

    def _inputs(self, prompt: Any, given: Mapping[str, Any], padding: Padding) -> Inputs:
        """Both models' prompts as ids."""
        ids, mask = given.get("input_ids"), given.get("attention_mask")
        if (prompt is None) == (ids is None):
            raise ValueError(
                "generate needs a prompt: text, chat messages or input_ids."
                if prompt is None
                else "pass either prompt or input_ids, not both."
            )
        variables = check_variables(given["template"]) if "template" in given else None
        if ids is None:
            ids, mask = encode(prompt, self.tokenizer, padding, mask, variables=variables)
        else:
            ids, mask = read_ids(ids, mask, "input_ids", padding)
        beside = {name: given[name] for name in (*TYPES, "position_ids") if name in given}
        check_inputs(beside, ids, mask, "generate")
        return Inputs(ids, mask, *self._proxy_inputs(prompt, given, padding, variables))

    def _proxy_inputs(
        self, prompt: Any, given: Mapping[str, Any], padding: Padding, variables: Mapping[str, Any] | None
    ) -> tuple[Any, Any]:
        """The proxy's own prompts, if it has any: other ones, or the same in another vocabulary."""
        text, ids, mask = (given.get(f"proxy_{name}") for name in ("prompt", "input_ids", "attention_mask"))
        if text is not None and ids is not None:
            raise ValueError("pass either proxy_prompt or proxy_input_ids, not both.")
        if self.mapping is not None:
            padding = padding_of(self.proxy, padding)
            if text is None and ids is None:
                if not is_text(prompt):
                    raise ValueError(
                        "with another proxy_tokenizer give the prompt as text or chat, or proxy_input_ids too."
                    )
                text = prompt
        if text is not None:
            tokenizer = self.proxy_tokenizer or self.tokenizer
            return encode(text, tokenizer, padding, mask, "proxy_prompt", variables)
        if ids is not None:
            return read_ids(ids, mask, "proxy_input_ids", padding)
        if mask is not None:
            raise ValueError("proxy_attention_mask belongs to proxy_input_ids; pass both or neither.")
        return None, None

    def _criteria(self, given: Mapping[str, Any], config: GenerationConfig) -> StoppingCriteriaList:
        """The caller's, and one for strings that end a text."""
        found = StoppingCriteriaList(given.get("stopping_criteria", []))
        strings = config.stop_strings
        config.stop_strings = None  # Hugging Face would ask for the tokenizer, which it does not hand on
        if strings is not None:
            if self.tokenizer is None:
                raise ValueError("stop_strings need tokenizer=... to read the text.")
            found.append(StopStrings(self.tokenizer, strings))
        return found
