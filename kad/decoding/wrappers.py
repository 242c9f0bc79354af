"""What stands around a Hugging Face model, seen through: compiled modules, PEFT's adapters, a replaced ``forward``.

A wrapper's own signature (``forward(*args, **kwargs)``) says nothing of what the model takes, and its weights may be
packed, away or hidden in a method. Lanes call the model inside, in whose layers the adapters act.
"""

from __future__ import annotations

import contextlib
import gc
import inspect
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

# Adapters that act on every token by itself, in the model's own layers: the model inside computes what the wrapper does,
# and in whatever passes. By PEFT's name. (Lily's experts are weighed by all tokens of a pass together, so it is not here.)
IN_LAYERS = {
    "LORA", "ADALORA", "ADAMSS", "BEFT", "BOFT", "C3A", "DEFT", "DELORA", "FOURIERFT", "FROD", "GLORA", "GRALORA", "HIRA",
    "HRA", "IA3", "LN_TUNING", "LOHA", "LOKR", "MISS", "OFT", "OSF", "PEANUT", "PSOFT", "RANDLORA", "ROAD", "SHIRA",
    "SUPERTUNING", "TINYLORA", "TRAINABLE_TOKENS", "UNILORA", "VBLORA", "VERA", "WAVEFT",
}  # fmt: skip
INSIDE = ("base_model", "lora_model", "model")  # where PEFT's wrappers keep the model, outermost first


def unwrap(model: Any, name: str) -> Any:
    """The model whose ``forward`` is to be called, without wrappers that only hand on; adapters act in it as they do now.

    ``torch.compile``'s wrapper is taken off (Hugging Face's ``generate`` does so too), and PEFT's, where its adapters lie
    in the model's layers: which are active, disabled or merged is then asked by every layer whenever it is called.

    Args:
        model: as the user gave it.
        name: its role, for messages.

    Raises:
        ValueError: adapters that compute something beside the layers (virtual tokens, gates, invocation tokens, an
            adapter a row).

    >>> import kad, torch
    >>> base = kad.demo.load().base
    >>> unwrap(torch.compile(base), "base") is base
    True
    """
    *outer, inner = shells(model)
    check_generating(model, name)
    # What lies in a wrapper knows of its adapters too, but not always whether they are disabled. The model inside is asked
    # where nothing is around it: the adapters are Hugging Face's own, or PEFT's generate has called it.
    asked = [shell for shell in outer if is_peft(shell)]
    for shell in [shell for shell in asked if "base_model" in shell._modules] or asked[:1] or [inner]:
        check_adapters(shell, name)
    check_layers(inner, name)
    return inner


def shells(model: Any) -> Iterator[Any]:
    """The model, and what is inside it as long as it is a wrapper."""
    yield model
    while isinstance(model, nn.Module) and ("_orig_mod" in model._modules or is_peft(model)):
        model = next(model._modules[key] for key in ("_orig_mod", *INSIDE) if key in model._modules)
        yield model


def is_peft(model: Any) -> bool:
    """Whether it is one of PEFT's wrappers, told without importing PEFT."""
    mine = any(kind.__module__.partition(".")[0] == "peft" for kind in type(model).__mro__)
    return mine and any(key in model._modules for key in INSIDE)


def check_adapters(model: Any, name: str) -> None:
    """Raise a ValueError if an adapter acts that a call of the model inside would leave out or change."""
    configs = getattr(model, "peft_config", None)
    if not isinstance(configs, dict) or getattr(model, "_adapters_disabled", False):
        return
    layers = [layer for layer in model.modules() if hasattr(layer, "_disable_adapters")]
    on = {adapter for layer in layers if not layer._disable_adapters for adapter in layer.active_adapters}
    if layers and not on:
        return
    for adapter, config in configs.items():
        kind = getattr(config.peft_type, "value", config.peft_type)
        if getattr(config, "is_prompt_learning", False):
            raise ValueError(
                f"the {name} has virtual tokens before its prompt ({kind}), for which kad has no place; pass a model without "
                "them, or one whose adapter lies in its layers, such as LoRA."
            )
        if kind not in IN_LAYERS:
            raise refusal(name, kind)
        if getattr(config, "alora_invocation_tokens", None) and adapter in on:
            raise ValueError(
                f"the {name}'s adapter {adapter!r} acts only after its invocation tokens (aLoRA), which kad cannot follow; pass "
                "a plain LoRA, or disable it."
            )


def refusal(name: str, kind: str) -> ValueError:
    return ValueError(
        f"the {name} has an adapter ({kind}) of which kad does not know that it acts on every token by itself, in the model's "
        "own layers; pass its merge_and_unload() if it has one, or a model without it."
    )


def check_generating(model: Any, name: str) -> None:
    """The same of a wrapper that has called the model inside, and prepares its inputs, while it generates."""
    owner = getattr(getattr(model, "__dict__", {}).get("prepare_inputs_for_generation"), "__self__", None)
    if owner is not None and owner is not model:
        check_adapters(owner, name)


def check_layers(model: Any, name: str) -> None:
    """Raise a ValueError if attention has learnt a prefix of its own, or every row of the batch was given an adapter."""
    if not isinstance(model, nn.Module):
        return
    if any(type(layer).__module__.startswith("peft.tuners.adaption_prompt") for layer in model.modules()):
        raise refusal(name, "ADAPTION_PROMPT")
    if not hasattr(model, "peft_config"):
        return
    hooks = itertools.chain.from_iterable(layer._forward_pre_hooks.values() for layer in model.modules())
    if any("adapter_names" in (getattr(hook, "keywords", None) or {}) for hook in hooks):
        raise ValueError(
            f"the {name} has an adapter for every row (adapter_names), and decoded rows come and go; set one with "
            "set_adapter, and decode the rows of each by themselves."
        )


def forward_of(model: Any) -> Callable[..., Any]:
    """The function that says what the model takes: its ``forward``, or its class's where one put in its place hides it."""
    own: Callable[..., Any] = model.forward
    replaced = "forward" in getattr(model, "__dict__", {})
    hidden = replaced and "input_ids" not in inspect.signature(own).parameters
    return type(model).forward if hidden else own


def hides(model: Any) -> str | None:
    """How to reach the model inside a wrapper that does not say what it takes; None if it is no such wrapper.

    >>> import kad, torch
    >>> base = kad.demo.load().base
    >>> hides(torch.nn.DataParallel(base)), hides(base)
    ('pass the model inside it, its .module', None)
    """
    if not isinstance(model, nn.Module):
        return None
    if isinstance(model, torch.jit.ScriptModule):
        return "pass the model that it was made from"
    known = hasattr(model, "config")
    parameters = inspect.signature(forward_of(model)).parameters.values()
    if known and any(p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters):
        return None
    found = [name for name, child in model.named_children() if hasattr(child, "config")]
    if found:
        return f"pass the model inside it, its .{found[0]}"
    return "pass the model inside it" if known else None


def device_of(model: Any) -> torch.device:
    """Where the model takes its token ids, even if the table's weights are packed, or away until they are used."""
    table = model.get_input_embeddings()
    weight = getattr(table, "weight", None)
    if not isinstance(weight, Tensor):  # a quantised table has a method of this name
        weight = next(itertools.chain(model.parameters(), model.buffers()))
    if weight.device.type == "meta":
        hooks = [layer._hf_hook for layer in table.modules() if hasattr(layer, "_hf_hook")]
        for hook in itertools.chain.from_iterable(getattr(hook, "hooks", [hook]) for hook in hooks):
            if getattr(hook, "execution_device", None) is not None:
                return torch.device(hook.execution_device)
    return weight.device


def is_compiled(model: Any) -> bool:
    """Whether the model, or a part of it, was compiled where it stands: ``model.compile()``, or a compiled ``forward``."""
    return any(
        layer._compiled_call_impl is not None or hasattr(vars(layer).get("forward"), "_torchdynamo_orig_callable")
        for layer in model.modules()
    )


def eagerly(compiled: bool) -> contextlib.AbstractContextManager[Any]:
    """While it lasts, what was compiled runs as written: a cache that grows by a slot would compile at every pass."""
    return torch.compiler.set_stance("force_eager") if compiled else contextlib.nullcontext()


NOISE = ("drop", "jitter", "noise")  # parts of the names of what is random in train mode


def check_mode(model: Any, name: str) -> None:
    """Raise a ValueError if the model is in train mode with gradient checkpointing, which keeps no cache, or with dropout.

    >>> import kad
    >>> check_mode(kad.demo.load().base, "base")
    """
    training = [layer for layer in model.modules() if layer.training]
    if any(getattr(layer, "gradient_checkpointing", False) is True for layer in training):
        raise ValueError(
            f"the {name} is in train mode with gradient checkpointing, which keeps no cache; call its eval() or "
            "gradient_checkpointing_disable()."
        )
    if any(rate > 0 for layer in training for rate in rates(layer)):
        raise ValueError(f"the {name} is in train mode with dropout, which would draw noise; call its eval().")


def rates(layer: nn.Module) -> Iterator[float]:
    """A layer's rates of dropout and of other noise."""
    for key, value in vars(layer).items():
        if any(part in key for part in NOISE) or (key == "p" and "drop" in type(layer).__name__.lower()):
            for rate in value.values() if isinstance(value, dict) else [value]:
                if isinstance(rate, float):
                    yield rate


ATTRIBUTE = "_kad_kept"  # in the model, so that it goes when the model goes: the graphs refer to the model


class Attached(dict[Any, Any]):
    """What is kept for one model. A copy of the model has none of it: the passes are of this model's weights.

    >>> import copy
    >>> copy.deepcopy(Attached(a=1))
    {}
    """

    def __reduce__(self) -> tuple[type[Attached], tuple[()]]:
        return Attached, ()


def kept_for(model: Any) -> Attached:
    """Compiled passes by their options, and the static memory that no run has."""
    store: Attached = model.__dict__.setdefault(ATTRIBUTE, Attached())
    return store


def release(model: Any) -> None:
    """Let go of the graphs and the static cache that ``compile=True`` has left on a model; its next run compiles anew.

    A run in progress keeps its own until it ends. On a GPU torch has the memory for what comes next;
    ``torch.cuda.empty_cache()`` hands it to other processes.

    >>> import kad
    >>> kad.release(kad.demo.load().base)
    """
    found = [shell.__dict__.pop(ATTRIBUTE, None) for shell in shells(model)]
    if any(found):
        found.clear()
        gc.collect()  # what the compiler looked at lies in circles of its own for a while
