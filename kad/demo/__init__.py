"""The embedded pair: tiny models, shipped with the package, on which the method can be seen to work.

The large base p knows arithmetic, the small aligned q* knows the format; neither solves the task alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..decoding.pair import Pair
from ..loading import model_at, tokenizer_at
from .sums import check_sums as check_sums

MODELS = Path(__file__).parent / "models"
FOLDERS = ("base", "proxy", "proxy-base", "base-aligned")


@dataclass(frozen=True)
class Quartet(Pair):
    """The embedded pair, with the two models that it is compared with; all four share one tokenizer.

    Attributes:
        proxy_base: q, the small base model (for implicit reward).
        base_aligned: p*, the large model aligned itself (what the method does without).
    """

    proxy_base: Any = None
    base_aligned: Any = None


def load(folder: str | Path = MODELS) -> Quartet:
    """The shipped pair, or one that ``kad demo --retrain`` wrote, in float32 on the CPU.

    Raises:
        FileNotFoundError: the folder lacks one of the four models.
        ValueError: one of them is not whole.
    """
    import torch

    folder = Path(folder)
    missing = [kind for kind in FOLDERS if not (folder / kind / "config.json").is_file()]
    if missing:
        raise FileNotFoundError(f"{folder} holds no model {missing[0]!r}; `kad demo --retrain` trains all four.")
    base, proxy, proxy_base, base_aligned = (model_at(folder / kind, torch.float32) for kind in FOLDERS)
    tokenizer = tokenizer_at(folder / "base")
    return Quartet(base, proxy, tokenizer, proxy_base=proxy_base, base_aligned=base_aligned)
