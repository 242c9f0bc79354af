"""Weights laid out anew for a CPU: several tokens then cost hardly more than one.

A matrix product over one token reads every weight once and waits for memory. Over four or eight tokens it reads no
more, but the layout that checkpoints have makes a CPU's kernels two to three times slower; oneDNN's blocked layout
does not. A speculative base pass over γ + 1 tokens, and a batch, are such products.
"""

from __future__ import annotations

import functools
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

Model = TypeVar("Model", bound=nn.Module)


def pack_weights(model: Model) -> Model:
    """Give every linear layer of a model on a CPU the blocked weights of oneDNN, in place; the same sums, reordered.

    Afterwards the model can be run, by this library and by every other, but neither trained, moved nor saved: the
    plain weights are dropped (but for one that is tied to the input embedding, which is then held twice).

    Args:
        model: float32 or bfloat16, on the CPU; on other devices there is nothing to gain. Layers in bfloat16 beside others
            in float32 stay as they are where the processor has no kernels for them.

    Returns:
        The model.

    Raises:
        ValueError: no linear layer of the model is on a CPU, in float32 or bfloat16 (or all of them are packed).
        RuntimeError: this build of PyTorch has no oneDNN, or oneDNN has no bfloat16 kernels for this processor.

    >>> import torch
    >>> layer = torch.nn.Sequential(torch.nn.Linear(4, 2))
    >>> x = torch.ones(1, 4)
    >>> before = layer(x)
    >>> torch.testing.assert_close(pack_weights(layer)(x), before)
    """
    available = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not available or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        raise RuntimeError("this build of PyTorch has no oneDNN; use the model as it is.")
    layers = [(name, module) for name, module in model.named_modules() if type(module) is nn.Linear]
    candidates = [(name, layer) for name, layer in layers if packable(layer)]
    found = [(name, layer) for name, layer in candidates if layer.weight.dtype == torch.float32 or packs_bfloat16()]
    if candidates and not found:
        raise RuntimeError(
            "oneDNN has no bfloat16 kernels for this processor (on x86 they need AVX-512 with BW, VL and DQ); use the model "
            "as it is, or in float32."
        )
    if not found:
        raise ValueError(
            f"{type(model).__name__} has no linear layer on a CPU, in float32 or bfloat16, that is not packed yet."
        )
    owners: dict[int, int] = {}
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            owners[id(parameter)] = owners.get(id(parameter), 0) + 1
    for name, layer in found:
        tied = owners[id(layer.weight)] > 1
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, PackedLinear(layer, tied))
    model.__dict__.pop("_kad_compiled", None)  # passes that were compiled with the plain weights
    return model


@functools.cache
def packs_bfloat16() -> bool:
    """Whether oneDNN multiplies by packed bfloat16 weights here: a question to the processor, answered by trying."""
    try:
        PackedLinear(nn.Linear(8, 8, dtype=torch.bfloat16), tied=False)(torch.zeros(1, 8, dtype=torch.bfloat16))
    except RuntimeError:
        return False
    return True


def packable(layer: nn.Linear) -> bool:
    """On the CPU, of a dtype that oneDNN's kernels take, and not one whose weights come and go (``device_map``)."""
    kinds = (torch.float32, torch.bfloat16)
    return layer.weight.device.type == "cpu" and layer.weight.dtype in kinds and not hasattr(layer, "_hf_hook")


class PackedLinear(nn.Linear):
    """A linear layer with packed weights. ``weight`` is the plain one if that is tied, and else only its shape."""

    def __init__(self, plain: nn.Linear, tied: bool) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = plain.in_features, plain.out_features
        self.packed = torch.ops.mkldnn._reorder_linear_weight(plain.weight.detach(), None)
        self.weight = plain.weight if tied else nn.Parameter(plain.weight.detach().to("meta"), requires_grad=False)
        self.bias = plain.bias
        self.training = plain.training

    def forward(self, input: Tensor) -> Tensor:
        bias = None if self.bias is None else self.bias.detach()
        out: Any = torch.ops.mkldnn._linear_pointwise(input.detach(), self.packed, bias, "none", [], "")
        return out  # type: ignore[no-any-return]
