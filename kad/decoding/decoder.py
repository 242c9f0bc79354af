"""`decoder`: what Hugging Face's own ``generate`` calls instead of its loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, Unpack

import torch
from torch import Tensor
from transformers import EosTokenCriteria, MaxLengthCriteria
from transformers.utils import ModelOutput

from ..arithmetic import arithmetic_of, fused
from ..defaults import WINDOW
from ..target import Target
from ..transfers import upload
from ..vocabulary_map import VocabularyMap
from .columns import Columns
from .fields import DecoderOptions, check_fields
from .generator import source
from .journal import Journal, stack_scores
from .loop import Decoder
from .preparing import Ready, Request, lanes_of, prompts_of
from .processors import knowing_stops, settle_processors
from .rounds import Round
from .sampling import Sampling
from .settings import describe, pad_token, without_unasked_top_k
from .trace import Trace
from .window import AutoWindow


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
    window: int | AutoWindow | Literal["auto"] = WINDOW,
    vocabulary: int | None = None,
    compile: bool | dict[str, Any] = False,
    keep_top_k: bool = False,
    vocabulary_map: VocabularyMap | None = None,
    **options: Unpack[DecoderOptions],
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
    request = Request(
        proxy, target, window, vocabulary, compile, keep_top_k=keep_top_k, vocabulary_map=vocabulary_map, **options
    )  # fmt: skip

    def decode(*given: Any, **named: Any) -> Tensor | Output:
        return begin(*given, request=request, **named).output()

    return decode


@dataclass
class Run:
    """A run that has been prepared: everything is read, checked and loaded, and nothing decoded.

    Attributes:
        loop: what decodes.
        request: what was asked.
        stops: the ids that end a row.
        as_dict: whether an `Output` is wanted, or the sequences alone.
    """

    loop: Decoder
    request: Request
    stops: list[int]
    as_dict: bool

    def rounds(self) -> Iterator[Round]:
        """Decode, and show every round once the tokens are known that it owed."""
        seen = self.loop.seen = list[Round]()
        while not self.loop.journal.finished:
            with torch.no_grad():
                self.loop.round()
            while len(seen) > 1 or (seen and not bool(seen[0].owed.any())):
                yield seen.pop(0)
        yield from seen
        self.close()

    @torch.no_grad()
    def output(self) -> Tensor | Output:
        """Decode to the end."""
        journal, trace = self.loop.journal, self.loop.run()
        self.close()
        trace.settings.update(settings_used(self.request, self.loop.sampling, self.stops, journal.limit))
        if self.loop.proxy.coverage is not None:
            trace.settings["mapped_mass"] = self.loop.proxy.coverage
        prompts = journal.text[:, : journal.width]
        sequences = torch.cat([prompts, upload(trace.ids, prompts.device)], 1)
        return Output(sequences, stack_scores(journal.scores), trace) if self.as_dict else sequences

    def close(self) -> None:
        if self.request.streamer is not None:
            self.request.streamer.end()


@torch.no_grad()
def begin(
    model: Any,
    input_ids: Tensor,
    logits_processor: Any = None,
    stopping_criteria: Any = None,
    generation_config: Any = None,
    *,
    request: Request,
    base: Any = None,
    **model_kwargs: Any,
) -> Run:
    """What Hugging Face calls after it has prepared everything; see `decoder`.

    ``base`` is given where ``model`` is only a view of it with other settings.
    """
    config, streamer = generation_config, request.streamer
    check_fields(config)
    ready = Ready.of(model if base is None else base, request, config)
    prompts = prompts_of(ready, input_ids, model_kwargs)
    limit = max(0, config.max_length - input_ids.shape[1])
    lanes, drafting = lanes_of(ready, prompts, limit, model_kwargs)
    sampling = sampling_of(ready, prompts.ids, logits_processor, config)
    pad = pad_token(config, ready.stops)
    criteria = [c for c in stopping_criteria or [] if not isinstance(c, (MaxLengthCriteria, EosTokenCriteria))]
    watch = Columns(criteria, streamer, pad) if criteria or streamer is not None else None
    if streamer is not None:
        streamer.put(input_ids.cpu())
    stops, as_dict = sorted(ready.stops), bool(config.return_dict_in_generate)
    live = sampling.reads_prefix or watch is not None
    journal = Journal(prompts.ids, limit, stops, pad, bool(config.output_scores) and as_dict, live)
    chance = source(sampling.sample, request.generator, ready.models.values(), sampling.arithmetic)
    loop = Decoder(
        lanes["base"], drafting, request.target, window=request.window, sampling=sampling, journal=journal,
        watch=watch, chance=chance, reference=lanes.get("reference"),
    )  # fmt: skip
    return Run(loop, request, stops, as_dict)


def sampling_of(ready: Ready, ids: Tensor, logits_processor: Any, config: Any) -> Sampling:
    """How tokens are drawn."""
    request = ready.request
    processors = settle_processors(logits_processor or [])
    processors = knowing_stops(processors, config, sorted(ready.stops), ids)
    if not request.keep_top_k:
        processors = without_unasked_top_k(processors, (ready.base, request.proxy))
    on_cpu = ids.device.type == "cpu"  # where NumPy's ways are faster than fused ones
    arithmetic = arithmetic_of(ids) if request.options is None or on_cpu else fused(**request.options)
    both = request.target.placement != "models"
    return Sampling(bool(config.do_sample), processors, ready.forbidden, both, arithmetic)


def settings_used(request: Request, sampling: Sampling, stops: list[int], limit: int) -> dict[str, object]:
    """What was used in the end, for the trace."""
    window = request.window if isinstance(request.window, int) else repr(request.window)
    return {
        "target": repr(request.target), "window": window, "do_sample": sampling.sample,
        "temperature": sampling.temperature, "processors": [describe(p) for p in sampling.processors],
        "stop_tokens": stops, "max_new_tokens": limit,
    }  # fmt: skip
