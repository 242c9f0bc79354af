"""Logits to probabilities, and the one place where numbers from outside are checked.

Half-precision logits are computed in float32: a bfloat16 softmax over 150,000 tokens loses the tail that the
knapsack is about.
"""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real

import torch
from torch import Tensor


def softmax(logits: Tensor, temperature: float = 1.0, out: Tensor | None = None) -> Tensor:
    """Probabilities ``p_v ∝ exp(logits_v / temperature)`` in float32 or better.

    Args:
        logits: ``(*batch, V)``, any float dtype; ``-inf`` marks a forbidden token.
        temperature: positive; greedy decoding is a different rule, never a tiny temperature.
        out: where the probabilities go, if not into a tensor of their own.

    Raises:
        ValueError: no vocabulary axis, integer logits, or a temperature that is not positive.

    >>> import torch
    >>> softmax(torch.tensor([0.0, 0.0]))
    tensor([0.5000, 0.5000])
    """
    if logits.ndim == 0 or logits.shape[-1] == 0:
        raise ValueError(f"logits need a last axis over the vocabulary, got shape {tuple(logits.shape)}.")
    if not logits.is_floating_point():
        raise ValueError(f"logits must be floating point, got {logits.dtype}.")
    check_temperature(temperature)
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()
    if temperature != 1.0:
        logits = logits / temperature
    return torch.softmax(logits, dim=-1, out=out)


COLDEST, HOTTEST = 1e-30, 1e30  # logits divided by anything beyond leave float32


def check_temperature(temperature: float) -> None:
    """Raise a ValueError unless the temperature is a positive number by which logits can be divided."""
    if isinstance(temperature, bool) or not isinstance(temperature, Real):
        raise ValueError(f"temperature must be a positive number, got {temperature!r}.")
    if not (temperature > 0 and temperature != float("inf")):
        raise ValueError(
            f"temperature must be a positive number, got {temperature}; for greedy decoding use do_sample=False."
        )
    if not COLDEST <= temperature <= HOTTEST:
        raise ValueError(
            f"temperature must lie in [{COLDEST:g}, {HOTTEST:g}], got {temperature}: logits divided by it are no numbers any more."
        )


def temper(p: Tensor, temperature: float) -> Tensor:
    """``p^(1/T)``, normalised, along the last axis; zeros stay zeros.

    >>> import torch
    >>> temper(torch.tensor([0.8, 0.2]), 0.5)
    tensor([0.9412, 0.0588])
    """
    check_temperature(temperature)
    if temperature == 1.0:
        return p
    return torch.softmax(p.log() / temperature, dim=-1)


def total_variation(p: Tensor, q: Tensor) -> Tensor:
    """``D_TV(p, q) = ½ Σ |p_v − q_v|``, shape ``(*batch,)``.

    >>> import torch
    >>> total_variation(torch.tensor([1.0, 0.0]), torch.tensor([0.5, 0.5]))
    tensor(0.5000)
    """
    check_same_shape("p", p, "q", q)
    return (p - q).abs().sum(-1) / 2


def check_same_shape(name_a: str, a: Tensor, name_b: str, b: Tensor) -> None:
    """Raise a ValueError unless both tensors have one shape with a vocabulary axis."""
    if a.shape != b.shape or a.ndim == 0:
        raise ValueError(
            f"{name_a} and {name_b} must have the same shape (*batch, V), got {tuple(a.shape)} and {tuple(b.shape)}."
        )


NEARLY = 1e-3  # how far a sum that should be 1 may be off


def check_distribution(name: str, p: Tensor) -> None:
    """Raise a ValueError unless ``p`` is a floating-point distribution along its last axis.

    The tolerance on the sum is that of a half-precision softmax, not of ours: it is there to catch logits, counts
    and log-probabilities passed by mistake. A bfloat16's own rounding is larger, and is then the tolerance.
    """
    if not isinstance(p, Tensor):
        raise ValueError(f"{name} must be a floating-point tensor (*batch, V), got an instance of {type(p).__name__}.")
    if p.ndim == 0 or p.shape[-1] == 0 or not p.is_floating_point():
        raise ValueError(f"{name} must be a floating-point tensor (*batch, V), got {p.dtype} {tuple(p.shape)}.")
    if not bool(torch.isfinite(p).all()):
        raise ValueError(f"{name} contains NaN or infinite values.")
    if bool((p < 0).any()):
        raise ValueError(f"{name} contains negative values; pass probabilities, not logits or log-probabilities.")
    worst = float((total(p) - 1).abs().max()) if p.numel() else 0.0
    if worst > max(NEARLY, torch.finfo(p.dtype).eps):
        raise ValueError(f"{name} must sum to 1 along its last axis; it is off by {worst:.3g}.")


def total(p: Tensor) -> Tensor:
    """Σ_v p_v, ``(*batch,)``, in float32 or better: the sum of halves has their rounding itself."""
    return p.detach().sum(-1, dtype=torch.promote_types(p.dtype, torch.float32))


def check_distributions(**given: Tensor) -> None:
    """Raise a ValueError unless these are distributions of one shape; not looked at while a compiler traces.

    Two passes over each and one answer from the device, which is what `check_distribution` then explains.

    >>> import torch
    >>> check_distributions(p=torch.tensor([0.5, 0.5]), q=torch.tensor([2.0, -1.0]))
    Traceback (most recent call last):
    ValueError: q contains negative values; pass probabilities, not logits or log-probabilities.
    """
    if torch.compiler.is_compiling():
        return
    if all(isinstance(x, Tensor) and x.ndim and x.is_floating_point() and x.numel() for x in given.values()):
        name, first = next(iter(given.items()))
        for other, x in given.items():
            check_same_shape(name, first, other, x)
        good = [
            (x.detach().amin(-1) >= 0) & ((total(x) - 1).abs() <= max(NEARLY, torch.finfo(x.dtype).eps))
            for x in given.values()
        ]
        if bool(torch.stack(good).all()):
            return
    for name, x in given.items():
        check_distribution(name, x)


def wants_gradient(p: Tensor) -> bool:
    """Whether anybody will differentiate with respect to these masses."""
    return p.requires_grad and torch.is_grad_enabled()


def log(p: Tensor) -> Tensor:
    """log p, with the gradient 0 and not NaN where p_v = 0: a token that cannot be drawn moves nothing.

    >>> p = torch.tensor([1.0, 0.0], requires_grad=True)
    >>> torch.autograd.grad(log(p).sigmoid().sum(), p)[0]
    tensor([0.2500, 0.0000])
    """
    if not wants_gradient(p):
        return p.log()
    some = p > 0
    return torch.where(some, torch.where(some, p, 1.0).log(), -torch.inf)


def check_budget(budget: float) -> None:
    """Raise a ValueError unless the budget is a deferred mass, in [0, 1]."""
    if not 0.0 <= budget <= 1.0:
        raise ValueError(f"budget must lie in [0, 1] (it is a probability mass), got {budget}.")


def accumulation_dtype(x: Tensor) -> torch.dtype:
    """The dtype in which sums over the vocabulary are formed: float64 wherever the device has it.

    A float32 running sum over 150,000 masses is off by more than the lightest tokens weigh, so it would decide
    whether they fit the budget.
    """
    return torch.float32 if x.device.type == "mps" else torch.float64


BLOCK = 1024  # tokens whose mass is summed in the tensor's own dtype before the sum goes on in float64


def block_sums(x: Tensor) -> tuple[Tensor, Tensor]:
    """Sums of whole blocks of the last axis, ``(*batch, V // BLOCK)``, and of what is left over, ``(*batch, 1)``.

    >>> import torch
    >>> block_sums(torch.ones(1030))
    (tensor([1024.]), tensor([6.]))
    """
    whole = x.shape[-1] // BLOCK * BLOCK
    blocks = x[..., :whole].reshape(*x.shape[:-1], whole // BLOCK, BLOCK).sum(-1)
    return blocks, x[..., whole:].sum(-1, keepdim=True)


def blockwise_sum(x: Tensor) -> Tensor:
    """Σ_v x_v, ``(*batch,)``, in the dtype of accumulation: one fast pass, with float32's rounding inside a block only.

    >>> import torch
    >>> blockwise_sum(torch.full((4096,), 0.25))
    tensor(1024., dtype=torch.float64)
    """
    blocks, rest = block_sums(x)
    wide = accumulation_dtype(x)
    return blocks.sum(-1, dtype=wide) + rest.squeeze(-1).to(wide)


UNITS = 2.0**50  # sums in whole units of 1 / UNITS come out the same in any order; float32 masses above 2^-26 are whole


def running_sums(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Running sums along the last axis in a dtype; the same from run to run where torch is told to be deterministic.

    A GPU adds floating-point numbers in an order of its own, and refuses to where that is not wanted.

    >>> running_sums(torch.tensor([0.25, 0.5]), torch.float64)
    tensor([0.2500, 0.7500], dtype=torch.float64)
    """
    if x.is_cuda and torch.are_deterministic_algorithms_enabled():
        return (x.to(dtype) * UNITS).long().cumsum(-1).to(dtype) / UNITS
    return x.cumsum(-1, dtype=dtype)


def alpha_of(p: Tensor, d: Tensor) -> Tensor:
    """α = Σ_v p_v d_v, ``(*batch,)``: in [0, 1], and exactly 1 where nothing is kept.

    >>> import torch
    >>> alpha_of(torch.tensor([0.75, 0.25]), torch.tensor([0.0, 1.0]))
    tensor(0.2500)
    >>> float(alpha_of(torch.full((49,), 1 / 49), torch.ones(49)))
    1.0
    """
    rejected = p * d
    alpha = blockwise_sum(rejected)
    if wants_gradient(rejected):
        return whole_where(lambda: (p - rejected).amax(-1) <= 0, alpha).to(p.dtype)
    return whole_where(lambda: torch.sub(p, rejected, out=rejected).amax(-1) <= 0, alpha).to(p.dtype)


def whole_where(nothing_kept: Callable[[], Tensor], alpha: Tensor) -> Tensor:
    """A deferred mass without the rounding of p's own sum at its upper end: 1 where nothing is kept, never above.

    Who is deferred as a whole is only looked up where it may be so, if to ask that is cheap.
    """
    alpha = alpha.clamp(max=1)
    if by_numpy(alpha) and not bool((alpha >= 1 - NEARLY).any()):
        return alpha
    return torch.where(nothing_kept(), 1.0, alpha)


def by_numpy(x: Tensor) -> bool:
    """Whether a CPU's ways round torch's slow operations serve: eager, in main memory. A compiler fuses the plain ones."""
    return x.device.type == "cpu" and not torch.compiler.is_compiling()
