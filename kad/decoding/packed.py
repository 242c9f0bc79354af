"""Weights laid out anew for a CPU: several tokens then cost hardly more than one.

A matrix product over one token reads every weight once and waits for memory. Over four or eight tokens it reads no
more, but the layout that checkpoints have makes a CPU's kernels two to three times slower; oneDNN's blocked layout
does not. A speculative base pass over γ + 1 tokens, and a batch, are such products.
"""

from __future__ import annotations

import functools
import inspect
import logging
import math
import re
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeGuard, TypeVar

import torch
from torch import Tensor, nn

from ..checks import whole
from ..errors import said
from .agreement import alike, running, short_pass
from .reads import Reads
from .wrappers import eagerly, forward_of, is_compiled, release, shells

logger = logging.getLogger(__name__)
AnyModel = TypeVar("AnyModel", bound=nn.Module)
SLOWER = 1.05  # times as long: clocks are noisy
# Bytes of weights from which on a pass is timed: fewer lie in a cache, and to read them is not what costs.
TIMED_FROM = 2**24
TOLERANCE = {torch.float32: 0.01, torch.bfloat16: 0.3}  # of `alike`; a wrong weight changes the logits altogether


def pack_weights(model: AnyModel, tokens: int = 4) -> AnyModel:
    """Give every linear layer of a model on a CPU the blocked weights of oneDNN, in place; the same sums, reordered.

    Afterwards the model can be run, by this library and by every other, but neither trained, moved nor saved: the
    plain weights are dropped (but for one that is tied to the input embedding, which is then held twice).

    Of a Hugging Face language model only those layers are packed that a pass over a few tokens calls, and whose weights
    it does not read by itself (as Mamba does); a second pass must then say the same, up to rounding. Nothing but one layer
    is ever held twice meanwhile. Whether a pass gains depends on the processor: it is timed before and after, and where it takes
    longer the model is given back as it was, with a warning.

    Args:
        model: float32 or bfloat16, on the CPU; on other devices there is nothing to gain. Layers in bfloat16 beside others
            in float32 stay as they are where the processor has no kernels for them.
        tokens: how many a pass reads that should become faster, rows times places: γ + 1 for a base, 1 for a proxy that drafts
            for one row.

    Returns:
        The model.

    Raises:
        ValueError: no linear layer of the model is on a CPU, in float32 or bfloat16 (or all of them are packed), a pass over
            a few tokens fails, or it does not say the same when packed (the model is then as it was); tokens < 1.
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
    whole("tokens", tokens, 1)
    names, tied = choose(model)
    if is_language_model(model):
        names, before = replaceable(model, names, tied)
        pack_checked(model, names, tied, before, tokens)
    else:
        pack(model, names, tied)
    release(model)  # passes that were compiled with the plain weights
    return model


def pack(model: nn.Module, names: Sequence[str], tied: set[str]) -> None:
    """Put packed layers in the place of these; each plain weight is let go before the next is packed."""
    try:
        for name in names:
            put(model, name, PackedLinear(linear(model, name), name in tied))
    except BaseException:
        unpack(model, names)
        raise


def pack_checked(model: nn.Module, names: Sequence[str], tied: set[str], before: list[Tensor], tokens: int) -> None:
    """The same, but the model must say what it said before, and sooner; else it is as it was."""
    judged = sum(linear(model, name).weight.nbytes for name in names) >= TIMED_FROM
    plain = pass_seconds(model, tokens) if judged else math.inf
    pack(model, names, tied)
    try:
        check_same(model, names, before)
        packed = pass_seconds(model, tokens) if judged else 0.0
    except BaseException:
        unpack(model, names)
        raise
    if packed > SLOWER * plain:
        unpack(model, names)
        logger.warning(
            "a pass of %s over %d tokens takes %.0f ms with packed weights and %.0f ms without on this processor; it stays as it was",
            type(model).__name__, tokens, 1000 * packed, 1000 * plain,
        )  # fmt: skip


@torch.no_grad()
def pass_seconds(model: Any, tokens: int, repeats: int = 5) -> float:
    """The shortest of some passes over so many tokens, without memory."""
    *_, model = shells(model)
    options: dict[str, Any] = (
        {"use_cache": False} if "use_cache" in inspect.signature(forward_of(model)).parameters else {}
    )
    ids, found = torch.ones(1, tokens, dtype=torch.long), list[float]()
    if getattr(model.config, "is_encoder_decoder", False):
        options["decoder_input_ids"] = ids
    with running(model), eagerly(is_compiled(model)):
        while len(found) < repeats and sum(found) < 10:  # a large model's passes differ less
            start = time.perf_counter()
            model(input_ids=ids, **options)
            found.append(time.perf_counter() - start)
    return min(found)


def choose(model: nn.Module) -> tuple[list[str], set[str]]:
    """The names of the layers that can be packed, and of those among them whose weight others have too."""
    candidates = [(name, layer) for name, layer in model.named_modules() if packable(layer)]
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
    owners = Counter(id(weight) for module in model.modules() for weight in module.parameters(recurse=False))
    return [name for name, _ in found], {name for name, layer in found if owners[id(layer.weight)] > 1}


def is_language_model(model: Any) -> bool:
    """Whether a few token ids are an input for it: a Hugging Face model with ``input_ids``."""
    *_, model = shells(model)
    known = hasattr(model, "config") and hasattr(model, "get_input_embeddings")
    return known and "input_ids" in inspect.signature(forward_of(model)).parameters


def replaceable(model: Any, names: Sequence[str], tied: set[str]) -> tuple[list[str], list[Tensor]]:
    """Of these layers those that the model calls and whose weights nobody else reads, and what `short_pass` returned.

    A layer may be replaced only if the model calls it. Mamba multiplies by ``dt_proj.weight`` without calling ``dt_proj``,
    and an adapter may add to its base layer's weight: such a weight has to stay what it is. What is found of one layer holds
    for all in the same place of other blocks, so also for experts that no token reached.

    Args:
        model: a Hugging Face language model.
        names: of the layers.
        tied: those whose weights stay in any case; others may read them.
    """
    try:
        with Reads({name: linear(model, name) for name in names}) as reads:
            before = short_pass(model)
    except Exception as error:
        raise ValueError(
            f"cannot pack {type(model).__name__}: a pass over a few tokens fails ({said(error)}); use the model as it is."
        ) from error
    called = {place(model, name) for name in reads.called}
    read = {place(model, name) for name in reads.read - tied}
    found = [name for name in names if place(model, name) in called - read]
    if not found:
        raise ValueError(f"{type(model).__name__} calls none of its linear layers; use the model as it is.")
    return found, before


def place(model: nn.Module, name: str) -> tuple[type, str]:
    """The same for the same layer in every block, and in every expert: the kind of its parent, and its path."""
    parent = model.get_submodule(name.rpartition(".")[0])
    return type(parent), re.sub(r"(?<![^.])\d+(?![^.])", "*", name)


def put(model: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, layer)


def linear(model: nn.Module, name: str) -> nn.Linear:
    found = model.get_submodule(name)
    assert isinstance(found, nn.Linear)
    return found


def unpack(model: nn.Module, names: Sequence[str]) -> None:
    """Undo the packing of those of these layers that are packed."""
    for name in names:
        layer = linear(model, name)
        if isinstance(layer, PackedLinear):
            put(model, name, layer.plain())


def check_same(model: nn.Module, names: Sequence[str], before: list[Tensor]) -> None:
    """Raise a ValueError unless the packed model says what it said before, up to rounding."""
    tolerance = max(TOLERANCE[linear(model, name).weight.dtype] for name in names)
    try:
        wrong = "" if alike(before, short_pass(model), tolerance) else "says something else"
    except Exception as error:
        wrong = f"cannot be run ({said(error)})"
    if wrong:
        raise ValueError(f"{type(model).__name__} {wrong} with packed weights; it is as it was, use it so.")


@functools.cache
def packs_bfloat16() -> bool:
    """Whether oneDNN multiplies by packed bfloat16 weights here: a question to the processor, answered by trying."""
    try:
        PackedLinear(nn.Linear(8, 8, dtype=torch.bfloat16), tied=False)(torch.zeros(1, 8, dtype=torch.bfloat16))
    except RuntimeError:
        return False
    return True


def packable(layer: nn.Module) -> TypeGuard[nn.Linear]:
    """A plain linear layer on the CPU, of a dtype that oneDNN's kernels take, and its call is its own: no hooks (``device_map``, ``tp_plan``)."""
    if type(layer) is not nn.Linear or hasattr(layer, "_hf_hook") or "forward" in vars(layer):
        return False
    hooks = layer._forward_hooks or layer._forward_pre_hooks
    return not hooks and layer.weight.device.type == "cpu" and layer.weight.dtype in TOLERANCE


class PackedLinear(nn.Linear):
    """A linear layer with packed weights. ``weight`` is the plain one if that is tied, and else only its shape."""

    packed: Tensor

    def __init__(self, plain: nn.Linear, tied: bool) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = plain.in_features, plain.out_features
        self.packed = torch.ops.mkldnn._reorder_linear_weight(plain.weight.detach(), None)
        self.weight = plain.weight if tied else nn.Parameter(plain.weight.detach().to("meta"), requires_grad=False)
        self.trained = plain.weight.requires_grad
        self.bias = plain.bias
        self.training = plain.training

    def plain(self) -> nn.Linear:
        """The layer before it was packed: the same numbers, which packing has only moved."""
        layer = nn.Linear(self.in_features, self.out_features, bias=False, device="meta")
        whole = self.weight.device.type != "meta"
        layer.weight = self.weight if whole else nn.Parameter(self.packed.to_dense(), requires_grad=self.trained)
        layer.bias, layer.training = self.bias, self.training
        return layer

    def forward(self, input: Tensor) -> Tensor:
        bias = None if self.bias is None else self.bias.detach()
        out: Any = torch.ops.mkldnn._linear_pointwise(input.detach(), self.packed, bias, "none", [], "")
        return out  # type: ignore[no-any-return]
