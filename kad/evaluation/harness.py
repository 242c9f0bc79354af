"""lm-evaluation-harness: the model ``kad``, for any of its tasks. The only file that imports lm_eval.

Importing this module registers the model; ``kad lm-eval`` does so and hands over to the harness's own command line.
Texts come through the decoder, log-likelihoods are those of π.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

try:
    from lm_eval.api.registry import register_model
    from lm_eval.models.huggingface import HFLM
except ImportError as error:
    raise ImportError("kad lm-eval needs lm-evaluation-harness: pip install 'kad-align[lm-eval]'.") from error

from ..chances import seed_from
from ..checkpoints import load_checkpoints
from ..decoding.template import bounded
from ..engines import HuggingFace, Settings
from ..mixture import Placement
from .methods import methods_of


@register_model("kad")
class KadLM(HFLM):  # type: ignore[misc]
    """The base aligned by the proxy, as the harness sees a model.

    Args:
        base, proxy, reference, aligned: folders or hub ids; without base and proxy the embedded pair.
        method: as for ``kad eval``, with one value, such as ``dual:0.4``.
        placement: where the temperature enters, for tasks that sample.
        window: speculative drafts a round.
        seed: of sampling; every prompt has a seed of its own that follows from it.
        dtype, device: of the weights; a CUDA device where there is none (the harness's default) is a CPU.
        batch_size: prompts decoded at once.
        **options: further options of the harness's Hugging Face model.

    Raises:
        ValueError: a method with several values, or a pair with different tokenizers, whose π is over the base's.
    """

    def __init__(
        self, base: str | None = None, proxy: str | None = None, reference: str | None = None, aligned: str | None = None,
        method: str = "dual:0.4", placement: Placement = "models", window: int = 0, seed: int = 0, dtype: str = "auto",
        device: str | None = None, batch_size: int = 1, **options: Any,
    ) -> None:  # fmt: skip
        chosen = methods_of(method)
        if len(chosen) > 1:
            raise ValueError(f"the harness runs one method at a time, got {method!r}.")
        places = {"base": base, "proxy": proxy, "reference": reference, "aligned": aligned}
        checkpoints = load_checkpoints(places, dtype, there(device))
        if checkpoints.proxy_tokenizer is not None:
            raise ValueError("kad lm-eval needs a base and a proxy with the same tokenizer; kad eval maps others.")
        kind = chosen[0].kind
        if kind.base not in checkpoints.models:
            raise ValueError(f"{method} needs {kind.base}=... in --model_args.")
        self.target = chosen[0].target(placement, checkpoints.models.get("reference"))
        self.engine, self.role = HuggingFace(checkpoints), kind.base
        self.window, self.kad_seed = int(window), int(seed)
        super().__init__(
            pretrained=checkpoints.models[kind.base], tokenizer=checkpoints.tokenizer, batch_size=batch_size, backend="causal",
            **options,
        )  # fmt: skip

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """The harness's own, within bounds of time and memory."""
        with bounded(self.tokenizer):
            return str(super().apply_chat_template(chat_history, add_generation_prompt))

    def _model_generate(
        self, context: Tensor, max_length: int, stop: list[str], attention_mask: Tensor, **options: Any
    ) -> Tensor:
        """The harness's call for texts: greedy unless the task samples."""
        heat = float(options.pop("temperature", 0.0) or 0.0)
        sample = options.pop("do_sample", heat > 0)
        if unknown := sorted(options.keys() - {"top_k", "top_p", "min_p", "use_cache"}):
            raise ValueError(f"kad lm-eval samples with temperature, top_k, top_p and min_p; it knows no {unknown[0]}.")
        options.pop("use_cache", None)
        rows = [row[mask.bool()].tolist() for row, mask in zip(context.cpu(), attention_mask.cpu(), strict=True)]
        filters = options if sample else {}
        settings = Settings(
            max_length - context.shape[1], (heat or 1.0) if sample else None, window=self.window,
            stop_strings=tuple(text for text in stop if text), **filters,
        )  # fmt: skip
        seeds = [seed_from(repr((self.kad_seed, row))) for row in rows] if sample else None
        texts = self.engine.generate(rows, self.target, settings, seeds, base=self.role).texts
        new = pad_sequence([torch.tensor(text.ids) for text in texts], True, self.tokenizer.pad_token_id)
        return torch.cat([context, new.to(context)], 1)

    def _model_call(self, inps: Tensor, attn_mask: Tensor | None = None, labels: Tensor | None = None) -> Tensor:
        """log π at every position, ``(B, L, V)``, without temperature or filter."""
        return self.engine.score(inps, self.target, Settings(), base=self.role).pi.log()


def there(device: str | None) -> str | None:
    """The device, or None, which stands for the one that there is, for a CUDA device on a machine without.

    >>> there("cpu"), there(None)
    ('cpu', None)
    """
    return None if device is not None and device.startswith("cuda") and not torch.cuda.is_available() else device


HELP = """kad lm-eval: lm-evaluation-harness with the model kad, on any of its tasks.

  kad lm-eval --tasks gsm8k --model_args base=BASE,proxy=PROXY,method=dual:0.4,window=3 --apply_chat_template

--model_args are kad's own, separated by commas:
  base, proxy          the large base model and the small aligned one: folders or hub ids; without them the embedded pair
  reference, aligned   the small base model, and the large aligned one, for methods that need them
  method               as for kad eval, with one value (default dual:0.4)
  placement            where the temperature enters: models (default), draws or mixture
  window, seed         speculative drafts a round, and the seed of sampling (default 0)
  dtype, device        of the weights; by default a GPU where there is one
and those of the harness's model hf, such as enable_thinking=False. The harness's own help follows.
"""


def harness_main(arguments: Sequence[str]) -> int:
    """The harness's own command line, with this model unless another is named."""
    from lm_eval.__main__ import cli_evaluate

    if not arguments or {"-h", "--help"} & set(arguments):
        print(HELP, flush=True)
    own = (
        ["run", *arguments]
        if arguments and arguments[0].startswith("-") and arguments[0] not in ("-h", "--help")
        else list(arguments)
    )
    if own[:1] == ["run"] and not any(x == "--model" or x.startswith("--model=") or x == "-M" for x in own):
        own[1:1] = ["--model", "kad"]
    sys.argv = ["kad lm-eval", *own]
    cli_evaluate()
    return 0
