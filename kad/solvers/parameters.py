"""A solver's number, such as a budget: one for all rows, or a tensor with one for every row or position."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..distributions import accumulation_dtype, check_budget

# Of the fields of solvers. The shell's options follow the annotations as they are at run time: no tensor is typed there.
if TYPE_CHECKING:
    Parameter = float | Tensor
else:
    Parameter = float

SHOWN_ENTRIES = 8  # entries that are shown


def parameter(name: str, value: Any) -> float | Tensor:
    """A number as Python's own, or several as a float64 tensor in main memory, which nobody else holds.

    A tensor or an array of one entry is a number: it says the same of every row.

    >>> import torch
    >>> parameter("budget", torch.tensor(0.5)), parameter("budget", torch.tensor([[0.5], [0.25]]))
    (0.5, tensor([[0.5000],
            [0.2500]], dtype=torch.float64))
    """
    if type(value) in (int, float):  # not NumPy's, which are floats too, nor bools
        return value  # type: ignore[no-any-return]
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiu":
        value = torch.from_numpy(value.astype(np.float64))
    if isinstance(value, Tensor) and value.dtype != torch.bool and not value.is_complex():
        value = value.detach().cpu().to(torch.float64, copy=True)
        return float(value) if value.numel() == 1 else value
    if isinstance(value, Real) and not isinstance(value, bool):
        return float(value)
    raise ValueError(f"{name} must be a number, or a tensor with one for every row, got {one_line(value)}.")


def differentiable(name: str, value: Any) -> float | Tensor:
    """A `parameter`; one that wants a gradient stays a tensor, of no axis if it is one number, copied with its graph.

    >>> price = torch.tensor([0.5], requires_grad=True)
    >>> found = differentiable("multiplier", price)
    >>> found.shape, torch.autograd.grad(found, price)[0]
    (torch.Size([]), tensor([1.]))
    """
    if isinstance(value, Tensor) and value.requires_grad:
        copied: Tensor = value.to(value.device, torch.float64, copy=True)
        return copied.squeeze() if copied.numel() == 1 else copied
    return parameter(name, value)


def probability(name: str, value: Any) -> float | Tensor:
    found = parameter(name, value)
    for x in entries(found):
        if not 0 <= x <= 1:
            raise ValueError(f"{name} must lie in [0, 1] (it is a probability), got {x}.")
    return found


def one_number(name: str, value: Any) -> float:
    found = parameter(name, value)
    if isinstance(found, Tensor):
        raise ValueError(f"{name} must be one number for all rows, got {one_line(found)}.")
    return found


def setting(name: str, value: Any) -> float:
    """A number that says how a solver works, such as a time limit: one, possibly infinite, as Python's own.

    >>> setting("Exact time_limit", float("inf"))
    inf
    >>> setting("Exact time_limit", "1 s")
    Traceback (most recent call last):
    ValueError: Exact time_limit must be a number, got '1 s'.
    """
    if isinstance(value, (Tensor, np.ndarray)):
        return one_number(name, value)
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ValueError(f"{name} must be a number, got {one_line(value)}.")
    return parameter(name, value)  # type: ignore[return-value]


def budgets(value: Any) -> float | Tensor:
    """A budget, or one for every row, in [0, 1]."""
    found = parameter("budget", value)
    for b in entries(found):
        check_budget(b)
    return found


def entries(value: float | Tensor) -> list[float]:
    return value.flatten().tolist() if isinstance(value, Tensor) else [value]


def of_rows(name: str, value: float | Tensor, mass: Tensor, dtype: torch.dtype) -> float | Tensor:
    """A parameter as it stands, or of every row of the masses ``(*batch, V)``: ``(*batch,)``, on their device."""
    return spread(name, value, mass).to(dtype).to(mass.device) if isinstance(value, Tensor) else value


def budget_of(budget: float | Tensor, mass: Tensor) -> float | Tensor:
    """The budget of all rows, or of every row, in the dtype in which masses are summed."""
    return of_rows("budget", budget, mass, accumulation_dtype(mass))


def spread(name: str, value: Tensor, mass: Tensor) -> Tensor:
    """Several numbers as one for every row of the masses ``(*batch, V)``: ``(*batch,)``, where they are."""
    try:
        return value.expand(mass.shape[:-1])
    except RuntimeError:
        raise ValueError(
            f"{name} has one entry for every row or position, so its shape {tuple(value.shape)} must be broadcastable to "
            f"{tuple(mass.shape[:-1])}, that of distributions {tuple(mass.shape)} without the vocabulary."
        ) from None


def one_line(value: Any) -> str:
    if not isinstance(value, Tensor):
        return " ".join(repr(value).split())
    if value.numel() <= SHOWN_ENTRIES:
        return f"tensor({value.tolist()})"
    return f"tensor of shape {tuple(value.shape)} from {float(value.min()):g} to {float(value.max()):g}"


class Parameters:
    """What a frozen dataclass needs whose fields may be tensors: values that are equal, hash equally and can be read.

    A dataclass would compare tensors by the truth of ``==`` and hash them by their address; so it is made with
    ``eq=False, repr=False``.
    """

    @property
    def per_row(self) -> bool:
        return any(isinstance(value, Tensor) and value.ndim > 0 for value in vars(self).values())

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self.key() == other.key()

    def __hash__(self) -> int:
        return hash(self.key())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={one_line(value)}' for name, value in vars(self).items())})"

    def key(self) -> tuple[Any, ...]:
        """Its class and its fields, tensors by shape and entries."""
        return type(self), *(
            value
            if not isinstance(value, Tensor)
            else (tuple(value.shape), *entries(value))
            if value.ndim  # of one number with a graph, the number
            else value.item()
            for value in vars(self).values()
        )
