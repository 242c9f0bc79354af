"""What a plan takes, before anything is loaded: weights, caches, passes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..bench import pairs
from ..checkpoints import check_place
from ..errors import said
from ..loading import config_at, model_of
from .configuration import Configuration
from .plan import Plan
from .protocol import task_under
from .questions import counted

PROMPT = 300  # tokens, where questions cannot be counted


@dataclass
class Needs:
    """The estimate.

    Attributes:
        parameters: by role; None where nothing is known of a model.
        cache: bytes of keys and values per token and row, by role.
        questions: by task; None where the data cannot be had.
        missing: sentences about what is not there.
    """

    parameters: dict[str, int | None] = field(default_factory=dict)
    cache: dict[str, int] = field(default_factory=dict)
    questions: dict[str, int | None] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def weights(self, bytes_each: int) -> int:
        """Bytes of all models' weights that are known."""
        return sum(n for n in self.parameters.values() if n) * bytes_each


def needs(plan: Plan, places: Mapping[str, str | None], data: Path | None, shapes: str | None = None) -> Needs:
    """Look at configurations and data files; load no weights.

    Args:
        shapes: a pair of `kad.bench.pairs` whose shapes stand in for checkpoints that are not there.
    """
    found = Needs()
    stand_in = dict(zip(("base", "proxy"), pairs.configs(shapes), strict=True)) if shapes else {}
    stand_in |= {"aligned": stand_in["base"], "reference": stand_in["proxy"]} if shapes else {}
    for role, place in places.items():
        if place is None:
            continue
        config = config_of(role, place, found) or stand_in.get(role)
        found.parameters[role] = None if config is None else parameters_of(config)
        if config is not None:
            heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
            width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
            found.cache[role] = 2 * config.num_hidden_layers * heads * width
    for spec in plan.tasks:
        task = task_under(plan.protocol, spec, plan.shuffle)
        try:
            found.questions[task.name] = len(counted(task, data, plan.count, plan.part)[0])
        except (ValueError, ImportError) as error:
            found.missing.append(str(error))
            found.questions[task.name] = plan.count
    return found


def config_of(role: str, place: str, found: Needs) -> Any:
    """The checkpoint's configuration, or None and a sentence about what is missing."""
    try:
        check_place(role, place)
    except ValueError as error:
        found.missing.append(str(error))
        return None
    try:
        return config_at(place)
    except ValueError as error:
        found.missing.append(f"cannot load the {role} from {place}: {said(error)}")
    except Exception as error:
        found.missing.append(f"the {role} {place} is not here and cannot be fetched ({said(error)}).")
    return None


def parameters_of(config: Any) -> int:
    """Parameters of a model of this configuration; no memory is taken."""
    import torch

    with torch.device("meta"):
        model = model_of(config)
    return sum(p.numel() for p in model.parameters())


def passes(configuration: Configuration, questions: int, seeds: int, batch: int) -> tuple[int, int]:
    """The fewest and the most base passes that this many questions may take, if every reply has its full length."""
    batches = -(-questions // batch) * seeds
    most = batches * configuration.new_tokens
    return -(-most // (configuration.window + 1)), most
