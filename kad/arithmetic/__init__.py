"""One room for each machine: the formulas in torch, a CPU's fast ways, and the fused ones."""

import torch
from torch import Tensor

from ..distributions import by_numpy
from .cpu import Cpu
from .fused import Fused as Fused
from .fused import fused as fused
from .gpu import GPU
from .machine import Arithmetic as Arithmetic
from .machine import Prefix as Prefix
from .machine import Weights as Weights
from .machine import each as each
from .plain import Torch

TORCH, CPU = Torch(), Cpu()


def arithmetic_of(x: Tensor) -> Arithmetic:
    """The machine for tensors like this one: a CPU's or a GPU's ways for eager tensors, else plain torch."""
    if by_numpy(x):
        return CPU
    return GPU if x.is_cuda and not torch.compiler.is_compiling() else TORCH


def mode(weights: Tensor) -> Tensor:
    """The heaviest token, of equal ones the first; ``(*batch, V) -> (*batch,)``."""
    return arithmetic_of(weights).mode(weights)


def inverse_cdf(weights: Tensor, uniform: Tensor) -> Tensor:
    """The token at which the cumulative weight first exceeds ``uniform · Σ w``; ``(B, V), (B,) -> (B,)``.

    >>> import torch
    >>> inverse_cdf(torch.tensor([[0.0, 0.25, 0.75]]), torch.tensor([0.3]))
    tensor([2])
    """
    return arithmetic_of(weights).draw(weights, uniform)
