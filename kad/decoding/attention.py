"""How a model attends during kad's passes: by kad's own functions where they compute what the model's would, for less.

kad's slot cache puts row b's token i into slot i, and the queries of a pass stand at the right. What a query may see is then
``slot <= position``, and two things of transformers' own functions are not needed:

* `grouped` (``"kad"``) gives grouped queries to the kernel as more queries of fewer heads, so that keys and values are not
  expanded. transformers repeats them in every layer of a pass that has a mask and more than one token.
* `unmasked` (``"kad_flash"``) needs no mask: flash attention aligns the last query with the last key that counts, and that is
  the rule above if it is told how many keys of every row count. The mask's place in the layers carries these numbers.

The model's config names the function for as long as a pass lasts (`attending`), and its own again afterwards.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import re
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from weakref import WeakSet

import torch
from torch import Tensor

GROUPED, UNMASKED = "kad", "kad_flash"
SHORT = 32  # passes up to this width: grouped queries are packed, whose masks are as many times higher
# What layers hand on beside queries, keys, values and the mask, and that changes nothing when there is one of kad's.
SAID = {
    "cache_position", "is_causal", "logits_to_keep", "num_items_in_batch", "output_attentions", "output_hidden_states",
    "output_router_logits", "position_ids", "sliding_window", "use_cache",
}  # fmt: skip
WITH_MASKS: WeakSet[Any] = WeakSet()  # models that do not agree with themselves without
Kernel = Callable[..., Any]


class Way(NamedTuple):
    """How a model attends during a pass.

    Attributes:
        name: of the function, as transformers knows it.
        configs: those that have to be told, because they name another.
        groups: queries that share a key, where `grouped` packs them; else 1.
    """

    name: str
    configs: tuple[Any, ...] = ()
    groups: int = 1

    def during(self) -> contextlib.AbstractContextManager[Any]:
        """While it lasts, the model attends this way."""
        return attending(self.configs, self.name) if self.configs else contextlib.nullcontext()


# -- the functions ----------------------------------------------------------------------------------------------------


def grouped(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **more: Any
) -> tuple[Tensor, None]:
    """transformers' ``"sdpa"``; grouped queries of a short pass are packed along the axis of queries.

    Args:
        module: the layer.
        query: ``(B, H, W, D)``.
        key, value: ``(B, G, S, D)``, G dividing H.
        attention_mask: ``(B, 1, W, S)``, or the same repeated ``H / G`` times along W, as it is used.
        more: what else the layer says; anything that this function does not know is left to transformers'.

    Returns:
        ``(B, W, H, D)``, and no weights.
    """
    rows, heads, width, _ = query.shape
    times = heads // key.shape[1]
    known = all(x is None or name in SAID or name in ("dropout", "scaling") for name, x in more.items())
    if attention_mask is None or not known or times == 1 or width > SHORT or attention_mask.shape[1] != 1:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward  # slow to import, and here by now

        mask = attention_mask if attention_mask is None else attention_mask[:, :, :width]
        attended: tuple[Tensor, None] = sdpa_attention_forward(module, query, key, value, mask, **more)
        return attended
    if width > 1 and attention_mask.shape[2] != times * width:  # not as a lane makes it: a layer with groups of its own
        attention_mask = attention_mask[:, :, :width].repeat(1, 1, times, 1)
    out = torch.nn.functional.scaled_dot_product_attention(
        query.reshape(rows, key.shape[1], times * width, -1), key, value, attn_mask=attention_mask,
        dropout_p=more.get("dropout") or 0.0, scale=more.get("scaling"),
    )  # fmt: skip
    return out.reshape(rows, heads, width, -1).transpose(1, 2).contiguous(), None


@functools.cache
def unmasked(kernel: Kernel) -> Callable[..., tuple[Tensor, None]]:
    """The function that attends by flash attention over whole rows of slots.

    ``kernel`` is called as ``torch.nn.attention.varlen.varlen_attn``. In the place of the mask comes what `lengths` makes.
    Queries in front of a row's first see nothing, and what is computed for them is read by nobody.
    """

    def attend(
        module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **more: Any
    ) -> tuple[Tensor, None]:
        rows, heads, width, size = query.shape
        slots, window = key.shape[2], 0 if attention_mask is None else attention_mask.shape[1] - 1
        unknown = [name for name, x in more.items() if x is not None and name not in SAID | {"dropout", "scaling"}]
        if attention_mask is None or attention_mask.dtype != torch.int32 or unknown or more.get("dropout"):
            raise ValueError(f"flash attention without masks cannot heed {unknown or 'this mask, or dropout'}.")
        if size != value.shape[-1] or size % 8 or size > 256:
            raise ValueError(f"flash attention takes no heads of {size} and {value.shape[-1]} numbers.")
        sides = (window - 1, 0) if window else (-1, 0)
        if width == 1 and not window:  # one query sees all that counts; only then does the kernel pack grouped queries
            sides = (-1, -1)
        out = kernel(
            query.transpose(1, 2).reshape(rows * width, heads, size), tokens_first(key), tokens_first(value),
            starts(rows, width, query.device), starts(rows, slots, query.device), width, slots,
            scale=more.get("scaling"), window_size=sides, enable_gqa=heads != key.shape[1],
            seqused_k=attention_mask[:, 0, 0, 0].contiguous(),
        )  # fmt: skip
        return out.view(rows, width, heads, size), None

    return attend


def tokens_first(states: Tensor) -> Tensor:
    """``(B, H, S, D)``, where slots lie outside of heads, as ``(B S, H, D)``; never a copy."""
    rows, heads, slots, size = states.shape
    return states.transpose(1, 2).view(rows * slots, heads, size)


def starts(rows: int, step: int, device: torch.device) -> Tensor:
    """0, step, ... rows · step: where every row begins, ``(rows + 1,)``."""
    return made_starts(rows, step, device) if torch.compiler.is_compiling() else kept_starts(rows, step, device)


def made_starts(rows: int, step: int, device: torch.device) -> Tensor:
    return torch.arange(0, (rows + 1) * step, step, dtype=torch.int32, device=device)


kept_starts = functools.lru_cache(maxsize=64)(made_starts)  # all layers of a pass ask for the same two


def lengths(seen: Tensor, window: int | None) -> Tensor:
    """What `unmasked` takes for a mask: how many slots each row sees ``(B,)``, as ``(B, window + 1, 1, 1)``.

    The width of a sliding window is in the shape, because layers get nothing else and the host may not ask the device.
    """
    return seen[:, None, None, None].expand(-1, (window or 0) + 1, 1, 1)


def enlist(name: str, function: Callable[..., Any]) -> None:
    """Put a function into transformers' table."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(name, function)
    # Of use only to a thread that runs the same model beside a pass: else masks are there before the layers are asked.
    AttentionMaskInterface.register(name, sdpa_mask)


def flash_kernel(device: torch.device, dtype: torch.dtype) -> Kernel | None:
    """torch's flash attention over rows of given lengths, if it runs there; None if it does not."""
    if device.type != "cuda" or torch.version.cuda is None or dtype not in (torch.float16, torch.bfloat16):
        return None
    return varlen_kernel() if torch.cuda.get_device_capability(device) >= (8, 0) else None


@functools.cache
def varlen_kernel() -> Kernel | None:
    """``varlen_attn``, if this torch has one that takes everything that `unmasked` gives it."""
    try:
        from torch.nn.attention.varlen import varlen_attn  # slow to import
    except ImportError:
        return None
    takes = inspect.signature(varlen_attn).parameters
    if not {"scale", "window_size", "enable_gqa", "seqused_k"} <= set(takes):
        return None
    # A row's sums must not be split otherwise because another of its batch is longer.
    return functools.partial(varlen_attn, num_splits=1) if "num_splits" in takes else varlen_attn


# -- which of them, and for how long ----------------------------------------------------------------------------------


def way_of(name: str, model: Any, device: torch.device) -> Way:
    """How the model attends during kad's passes.

    Models that attend in their own code, or say more to their layers than kad's functions know, keep their own.

    Raises:
        ValueError: flash or flex attention in a model whose code lets nobody choose, or a function that kad does not know.
    """
    config = model.config.get_text_config()
    own, free = own_name(config), chooses(model)
    if own in ("eager", None) or (own == "sdpa" and not free):
        return Way(own or "eager")
    replaceable = re.match(r"sdpa$|flash_attention_\d$|flex_attention$|paged\||kernels-community/\S*flash", str(own))
    if replaceable is None or not free:
        raise ValueError(
            f"the {name} uses {own!r} attention, in the place of which kad cannot put its own; load it with "
            "attn_implementation='sdpa' or 'eager'."
        )
    if own == "paged|eager" or not (own == "sdpa" or getattr(model, "_supports_sdpa", False)):
        return Way("eager", naming_others(model, "eager"))
    kernel = None if names_sdpa(model) or model in WITH_MASKS else flash_kernel(device, model.dtype)
    if kernel is not None:
        enlist(UNMASKED, unmasked(kernel))
        return Way(UNMASKED, naming_others(model, UNMASKED))
    heads = getattr(config, "num_attention_heads", None) or 1
    groups = heads // (getattr(config, "num_key_value_heads", None) or heads)
    if groups == 1 or names_sdpa(model):
        return Way("sdpa", naming_others(model, "sdpa"))
    enlist(GROUPED, grouped)
    return Way(GROUPED, naming_others(model, GROUPED), groups)


def own_way(model: Any) -> Way:
    """The same by the model's own functions: where it is loaded with flash or flex attention, those that take masks.

    Flash attention computes in half precision alone, and not on every machine that a model is loaded on.
    """
    own = own_name(model.config.get_text_config())
    if own in ("eager", "sdpa", None) or not chooses(model):
        return Way(own or "eager")
    plain = "sdpa" if getattr(model, "_supports_sdpa", False) else "eager"
    return Way(plain, naming_others(model, plain))


def naming_others(model: Any, name: str) -> tuple[Any, ...]:
    """The configs of a model's layers that name another function."""
    found = {
        id(x.config): x.config for x in model.modules() if hasattr(getattr(x, "config", None), ATTRIBUTE_OF_CONFIG)
    }
    return tuple(config for config in found.values() if own_name(config) != name)


def chooses(model: Any) -> bool:
    """Whether the model's layers look up their function in transformers' table whenever they attend."""
    asked = [getattr(x, "_can_set_attn_implementation", None) for x in model.modules() if hasattr(x, "config")]
    return bool(asked) and all(can() for can in asked if can is not None)


def names_sdpa(model: Any) -> bool:
    """Whether the layers' code does something else unless the function is called ``"sdpa"`` (sparse attention)."""
    return any(sparse(place) for place in {type(x).__module__ for x in model.modules() if hasattr(x, "config")})


@functools.cache
def sparse(place: str) -> bool:
    try:
        text = inspect.getsource(sys.modules[place])
    except (OSError, TypeError, KeyError):
        return True
    return re.search(r"_attn_implementation (not )?in \([^)]*\"sdpa\"", text) is not None


ATTRIBUTE_OF_CONFIG = "_attn_implementation_internal"  # the plain one is a property that tells inner configs too
PASSING: dict[int, tuple[str | None, int]] = {}  # of configs during passes: their own function, and how many passes
LOCK = threading.Lock()


def own_name(config: Any) -> str | None:
    """The function that the model was loaded with, even while a pass of another thread has put kad's in its place."""
    with LOCK:
        held = PASSING.get(id(config))
        return held[0] if held else getattr(config, ATTRIBUTE_OF_CONFIG, None)


@contextlib.contextmanager
def attending(configs: tuple[Any, ...], name: str) -> Iterator[None]:
    """While it lasts, these configs name this function; afterwards their own, once no pass is left."""
    with LOCK:
        for config in configs:
            own, passes = PASSING.get(id(config), (config._attn_implementation_internal, 0))
            PASSING[id(config)] = own, passes + 1
            config._attn_implementation_internal = name
    try:
        yield
    finally:
        with LOCK:
            for config in configs:
                own, passes = PASSING.pop(id(config))
                if passes > 1:
                    PASSING[id(config)] = own, passes - 1
                else:
                    config._attn_implementation_internal = own
