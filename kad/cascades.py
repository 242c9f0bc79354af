"""The rules of speculative cascades (Narasimhan et al., "Faster Cascades via Speculative Decoding", arXiv 2405.19261).

There a small model answers and defers to a large one. Here, as everywhere in this library, the base p answers and the
small aligned proxy q* is deferred to: p stands where they write the small model's distribution, q* where they write the
large one's. Every rule is a loss for ``Dual(multiplier=μ)``, μ their α, which must not be negative: what costs more than μ
is deferred. A negative difference counts as 0.

| name | loses | defers |
|---|---|---|
| Chow | 1 − max_w p_w | all tokens or none: `Nudging` |
| `Diff` | max_w q*_w − max_w p_w | all tokens or none |
| `Opt` | (max_w q*_w − max_w p_w) / D_TV(p, q*) | all tokens or none |
| TokenV1 | max_w q*_w − p_v | tokens: `ConfidenceBet` |
| `TokenV2` | max_w q*_w − q*_v | tokens |
| `TokenV3` | 1 − q*_v / max_w q*_w | tokens |

At temperature 1 the laws are those of their authors' published notebook. At another temperature the nearest placement is
"draws" (rules read the untempered p and q*, the mixture mixes the tempered ones), which is not theirs in two respects: the
distance in their `Opt` is that of the *tempered* laws, and at temperature 0 they mix one-hots (the argmax of p or that of q*)
where this library takes the argmax of the untempered π, as everywhere.

`Perceptron("probability")` and min-p are TokenV2 and TokenV3 with p in place of q*, which can be known without the proxy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor

from .distributions import total_variation
from .losses import Loss, proxy_of


@final
@dataclass(frozen=True)
class Diff(Loss):
    """ℓ = max(0, max_w q*_w − max_w p_w) for every token: q* where it is surer of its mode than p is of its own.

    With the dual, everything is deferred when max_w p_w < max_w q*_w − μ.

    Raises:
        ValueError: called without the proxy's distribution.

    >>> import torch
    >>> Diff()(torch.tensor([0.5, 0.5]), torch.tensor([0.25, 0.75]))
    tensor([0.2500, 0.2500])
    """

    reads_proxy: ClassVar[bool] = True

    def __call__(self, p: Tensor, q: Tensor | None = None) -> Tensor:
        q = proxy_of(self, q)
        return (q.amax(-1, keepdim=True) - p.amax(-1, keepdim=True)).clamp_min(0).expand_as(p)


@final
@dataclass(frozen=True)
class Opt(Loss):
    """ℓ = max(0, max_w q*_w − max_w p_w) / D_TV(p, q*) for every token, 0 where p = q*.

    Their best trade of quality for rejections: with the dual, everything is deferred when
    max_w p_w < max_w q*_w − μ D_TV(p, q*), both of the distributions that the rule reads.

    Raises:
        ValueError: called without the proxy's distribution.

    >>> import torch
    >>> Opt()(torch.tensor([0.5, 0.5]), torch.tensor([0.25, 0.75]))
    tensor([1., 1.])
    """

    reads_proxy: ClassVar[bool] = True

    def __call__(self, p: Tensor, q: Tensor | None = None) -> Tensor:
        q = proxy_of(self, q)
        # |max q − max p| ≤ D_TV: where the distance is 0 so is the lead, and the quotient is at most 1.
        distance = total_variation(p, q).unsqueeze(-1)
        return (Diff()(p, q) / distance).nan_to_num(0.0).clamp_max(1)


@final
@dataclass(frozen=True)
class TokenV2(Loss):
    """ℓ = max_w q*_w − q*_v: what q* finds less likely than its mode, whatever p says.

    Raises:
        ValueError: called without the proxy's distribution.

    >>> import torch
    >>> TokenV2()(torch.tensor([0.5, 0.5]), torch.tensor([0.25, 0.75]))
    tensor([0.5000, 0.0000])
    """

    reads_proxy: ClassVar[bool] = True

    def __call__(self, p: Tensor, q: Tensor | None = None) -> Tensor:
        q = proxy_of(self, q)
        return q.amax(-1, keepdim=True) - q


@final
@dataclass(frozen=True)
class TokenV3(Loss):
    """ℓ = 1 − q*_v / max_w q*_w: the same as a share of the mode, so that μ = 1 − min_p.

    Raises:
        ValueError: called without the proxy's distribution.

    >>> import torch
    >>> TokenV3()(torch.tensor([0.5, 0.5]), torch.tensor([0.25, 0.75]))
    tensor([0.6667, 0.0000])
    """

    reads_proxy: ClassVar[bool] = True

    def __call__(self, p: Tensor, q: Tensor | None = None) -> Tensor:
        q = proxy_of(self, q)
        return 1 - q / q.amax(-1, keepdim=True)
