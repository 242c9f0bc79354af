"""What the layers of a model are given for a mask: the slots that each token may see, or how many of them count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .attention import SHORT, UNMASKED, Way, lengths


@dataclass(frozen=True)
class Masks:
    """The masks of one model.

    Attributes:
        kinds: of layers, by name; those that slide see the last ``window`` slots alone.
        window: of the layers that slide; None if none does.
        name, groups: of the way in which the model attends, see `Way`.
    """

    kinds: tuple[str, ...]
    window: int | None
    name: str
    groups: int

    @classmethod
    def of(cls, config: Any, name: str, way: Way) -> Masks:
        """Of a model with this config, in the role ``name``."""
        return cls(*mask_kinds(config, name), way.name, way.groups)

    @property
    def unmasked(self) -> bool:
        """Whether attention is told how many slots of every row count, in the place of a mask."""
        return self.name == UNMASKED

    def by_kind(self, masks: dict[str, Tensor]) -> Any:
        """The masks by kind of layer, as the model takes them: one alone where its layers are of one kind."""
        return masks if len(self.kinds) > 1 else masks[self.kinds[0]]

    def counted(self, count: Tensor) -> Any:
        """For attention without masks, from how many slots each row sees, ``(B,)``, torch.int32."""
        return self.by_kind({
            "full_attention": lengths(count, None), "sliding_attention": lengths(count, self.window)
        })  # fmt: skip

    def causal(self, positions: Tensor, slots: Tensor, hidden: Tensor) -> Any:
        """What the queries at these positions may see, ``(B, 1, W, slots)``, or as many times higher as queries share a key.

        That is ``slot <= position``, and ``slot > position - window`` where the layer slides.

        Args:
            positions: ``(B, W)``.
            slots: 0, 1, ... up to the last that anybody sees.
            hidden: what a mask of numbers holds for slots that are not seen, ``()``.
        """
        width = positions.shape[1]
        times = self.groups if 1 < width <= SHORT else 1
        query = positions[:, None, :, None].expand(-1, times, -1, -1)
        found = {"full_attention": slots <= query}
        if self.window is not None:
            found["sliding_attention"] = found["full_attention"] & (slots > query - self.window)
        found = {kind: mask.reshape(len(positions), 1, -1, len(slots)) for kind, mask in found.items()}
        if self.name == "eager" or width <= SHORT:  # every layer would else convert a boolean one for itself
            seen = torch.zeros_like(hidden)
            found = {kind: torch.where(mask, seen, hidden) for kind, mask in found.items()}
        return self.by_kind(found)


def nothing_of(dtype: torch.dtype, device: torch.device) -> Tensor:
    """What a mask of numbers holds for slots that are not seen, ``()``."""
    return torch.full((), torch.finfo(dtype).min, dtype=dtype, device=device)


def mask_kinds(config: Any, name: str) -> tuple[tuple[str, ...], int | None]:
    """Which masks the model's layers need, and the width of the sliding one."""
    window = getattr(config, "sliding_window", None)
    types = getattr(config, "layer_types", None)
    if types is None:
        # Families with one kind of layer: Mistral and its kin slide in all of them when the config has a window.
        sliding = window is not None and getattr(config, "use_sliding_window", True)
        return (("sliding_attention",), window) if sliding else (("full_attention",), None)
    kinds = tuple(sorted(set(types)))
    unknown = [kind for kind in kinds if kind not in ("full_attention", "sliding_attention")]
    if unknown:
        raise ValueError(f"the {name} has layers of type {unknown[0]!r}, whose masks kad does not know.")
    return kinds, window if "sliding_attention" in kinds else None
