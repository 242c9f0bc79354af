"""Who reads a layer's weight without calling the layer: such a weight must stay what it is."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

# What may be asked of a weight that is only a shape.
METADATA = {
    "shape", "dtype", "device", "layout", "ndim", "size", "dim", "numel", "nelement", "stride", "is_floating_point",
    "is_complex", "is_contiguous", "is_cuda", "is_cpu", "is_meta", "is_quantized", "is_sparse", "is_mkldnn", "is_mps", "is_xpu",
    "requires_grad", "is_leaf", "itemsize", "element_size",
}  # fmt: skip


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
        self.hooks = []
        for name, layer in self.layers.items():
            self.hooks.append(layer.register_forward_pre_hook(functools.partial(self.begin, name)))
            self.hooks.append(layer.register_forward_hook(self.end))
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        for hook in self.hooks:
            hook.remove()

    def begin(self, name: str, module: nn.Module, given: Any) -> None:
        self.called.add(name)
        self.inside.append(name)

    def end(self, module: nn.Module, given: Any, result: Any) -> None:
        self.inside.pop()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if what_is_asked(func) not in METADATA:
            names = {self.name_of.get(id(thing)) for thing in tree_leaves((args, kwargs))}
            self.read |= {name for name in names if name is not None and name not in self.inside}
        return func(*args, **(kwargs or {}))


def what_is_asked(func: Any) -> str:
    """A function's name; of a property's getter the property's."""
    name = str(getattr(func, "__name__", ""))
    return str(getattr(getattr(func, "__self__", None), "__name__", "")) if name == "__get__" else name
