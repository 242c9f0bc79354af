"""A short pass over a few tokens: which layers a model calls, and which weights it reads by itself.

A layer may be replaced only if the model calls it. Mamba multiplies by ``dt_proj.weight`` without calling ``dt_proj``,
and an adapter may add to its base layer's weight: such a weight has to stay what it is.
"""

from __future__ import annotations

import contextlib
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .huggingface import cache_name
from .wrappers import device_of, eagerly, forward_of, is_compiled, shells

TOKENS = 6  # as many ids, and then one more: some models take other ways for a single token
# What may be asked of a weight that is only a shape.
METADATA = {
    "shape", "dtype", "device", "layout", "ndim", "size", "dim", "numel", "nelement", "stride", "is_floating_point",
    "is_complex", "is_contiguous", "is_cuda", "is_cpu", "is_meta", "is_quantized", "is_sparse", "is_mkldnn", "is_mps", "is_xpu",
    "requires_grad", "is_leaf", "itemsize", "element_size",
}  # fmt: skip


def is_language_model(model: Any) -> bool:
    """Whether a few token ids are an input for it: a Hugging Face model with ``input_ids``."""
    *_, model = shells(model)
    known = hasattr(model, "config") and hasattr(model, "get_input_embeddings")
    return known and "input_ids" in inspect.signature(forward_of(model)).parameters


@torch.no_grad()
def short_pass(model: Any) -> list[Tensor]:
    """What the model says after a few tokens, and after one more with its memory of them, each ``(1, n, V)``."""
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


class Reads(TorchFunctionMode):
    """Notes which of some layers' weights are read outside these layers' own calls.

    Attributes:
        called: names of the layers that were called.
        read: names of those whose weights somebody else read.
    """

    def __init__(self, layers: Mapping[str, nn.Linear]) -> None:
        super().__init__()
        self.layers, self.name_of = layers, {id(layer.weight): name for name, layer in layers.items()}
        self.called, self.read = set[str](), set[str]()
        self.inside: list[str] = []

    def __enter__(self) -> Reads:
        self.hooks = [layer.register_forward_pre_hook(self.begin(name)) for name, layer in self.layers.items()]
        self.hooks += [layer.register_forward_hook(self.end) for layer in self.layers.values()]
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        for hook in self.hooks:
            hook.remove()

    def begin(self, name: str) -> Any:
        def note(module: nn.Module, given: Any) -> None:
            self.called.add(name)
            self.inside.append(name)

        return note

    def end(self, module: nn.Module, given: Any, result: Any) -> None:
        self.inside.pop()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if what_is_asked(func) not in METADATA:
            for tensor in tensors((args, kwargs)):
                name = self.name_of.get(id(tensor))
                if name is not None and name not in self.inside:
                    self.read.add(name)
        return func(*args, **(kwargs or {}))


def what_is_asked(func: Any) -> str:
    """A function's name; of a property's getter the property's."""
    name = str(getattr(func, "__name__", ""))
    return str(getattr(getattr(func, "__self__", None), "__name__", "")) if name == "__get__" else name


def tensors(value: Any) -> Iterable[Tensor]:
    """All in nested lists, tuples and dicts."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from tensors(one)
    elif isinstance(value, dict):
        yield from tensors(list(value.values()))


def place(model: nn.Module, name: str) -> tuple[type, str]:
    """The same for the same layer in every block, and in every expert: the kind of its parent, and its path."""
    parent = model.get_submodule(name.rpartition(".")[0])
    return type(parent), re.sub(r"(?<![^.])\d+(?![^.])", "*", name)


def replaceable(model: Any, layers: Mapping[str, nn.Linear], shared: set[str]) -> tuple[set[str], list[Tensor]]:
    """The layers that the model calls and whose weights nobody else reads, and what `short_pass` returned.

    What is found of one layer holds for all in the same place of other blocks, so also for experts that no token
    reached.

    Args:
        model: a Hugging Face language model.
        layers: by name.
        shared: names of layers whose weights stay in any case; others may read them.
    """
    with Reads(layers) as reads:
        said = short_pass(model)
    called = {place(model, name) for name in reads.called}
    read = {place(model, name) for name in reads.read - shared}
    return {name for name in layers if place(model, name) in called - read}, said


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
