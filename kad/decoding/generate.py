"""The front door for two models at hand: `generate`."""

from __future__ import annotations

from typing import Any, Literal, Unpack

from ..defaults import WINDOW
from ..target import Target
from .decoder import Output
from .fields import Options
from .pair import Pair
from .window import AutoWindow


def generate(
    base: Any,
    proxy: Any,
    prompt: Any = None,
    *,
    target: Target,
    window: int | AutoWindow | Literal["auto"] = WINDOW,
    tokenizer: Any = None,
    proxy_tokenizer: Any = None,
    vocabulary: int | None = None,
    compile: bool | dict[str, Any] = False,
    **options: Unpack[Options],
) -> Output:
    """Generate from π, the base model aligned by the proxy, with γ = ``window`` speculative drafts a round.

    What is not given comes from the *aligned* model's generation config, and where that is silent from `kad.defaults`; stop
    tokens are the union of both models'. What was used in the end is in ``out.trace.settings``. Models, tokenizers,
    ``vocabulary`` and ``compile`` are what a `Pair` holds.

    Args:
        prompt: text, chat messages, ids, what a tokenizer returns for a batch, or a list of any of these; or give
            ``input_ids`` and ``attention_mask``.
        target: what is sampled, such as ``kad.dual(0.4)``.
        window: γ ≥ 0; 0 is plain decoding, with the proxy run only where the base is deferred; ``"auto"`` (or an
            `AutoWindow`) chooses it while running.
        **options: `Options`: what else goes in, and any field of ``GenerationConfig`` that kad honours. A field that asks
            for what it does not do (beams, ``guidance_scale``, ...) is refused.

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
    pair = Pair(base, proxy, tokenizer, proxy_tokenizer, vocabulary, compile)
    return pair.generate(prompt, target, window=window, **options)
