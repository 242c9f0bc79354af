"""What a plan takes, before anything is loaded: weights, keys and values, the numbers of a decision, passes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..bench import pairs
from ..checkpoints import check_place
from ..checks import whole
from ..errors import said
from ..loading import config_at, skeleton_of
from .configuration import Configuration
from .plan import Plan
from .protocol import task_under
from .questions import counted

PROMPT = 300  # tokens, where questions cannot be counted


# Numbers of four bytes that a round holds at its peak for every token at every place, beside the models' logits, counted on a
# simulated device with up to 16 rows and γ = 7 (docs/speed.md); other targets with one row and γ = 3.
PEAK_UNITS, PEAK_UNITS_OF_OTHERS = 4.0, 6.0
LIGHT = ("nudging", "dual", "primal", "fractional", "confidence-bet")


@dataclass(frozen=True)
class Size:
    """A model's, from its configuration alone.

    Attributes:
        parameters: how many.
        cached: numbers of keys and values, per row and token.
        vocabulary: V, the logits of one place.
    """

    parameters: int
    cached: int
    vocabulary: int


@dataclass(frozen=True)
class Footprint:
    """Bytes on the device.

    Attributes:
        weights: of all models.
        cache: keys and values.
        decision: the most that a round holds beside them: logits, distributions, losses.
    """

    weights: int
    cache: int
    decision: int

    @property
    def total(self) -> int:
        """All three. What a pass takes for itself, which the prompt's length and the model's width say, is not in it."""
        return self.weights + self.cache + self.decision


def footprint(
    configs: Mapping[str, Any], rows: int, tokens: int, window: int = 0, *, bytes_each: int = 2, units: float = PEAK_UNITS
) -> Footprint:  # fmt: skip
    """What decoding a batch takes, from the models' configurations; nothing is loaded.

    With B rows of L tokens, the decision of a round takes B (γ + 1) V places of 4 ``units`` bytes, and each model's logits.

    Args:
        configs: Hugging Face configurations, by role: base and proxy, and a reference where the target has one.
        rows: B.
        tokens: L, prompt and continuation.
        window: γ.
        bytes_each: of a weight, of a key's number and of a logit: 2 in half precision.
        units: numbers of four bytes for every token at every place: 4 with kad's own rules, up to 6 with other targets.

    Raises:
        ValueError: no base, or counts that cannot be.

    >>> import kad
    >>> pair = kad.demo.load()
    >>> footprint({"base": pair.base.config, "proxy": pair.proxy.config}, rows=16, tokens=256, window=3, bytes_each=4)
    Footprint(weights=4922624, cache=20971520, decision=396288)
    """
    whole("the number of rows", rows, 1)
    whole("the number of tokens", tokens, 1)
    whole("the window", window, 0)
    if "base" not in configs:
        raise ValueError(f"a footprint needs the base's configuration, got {', '.join(configs) or 'none'}.")
    sizes = {role: size_of(config) for role, config in configs.items()}
    return taken(sizes, sizes["base"], rows, tokens, window, bytes_each, units)


def taken(
    sizes: Mapping[str, Size], base: Size, rows: int, tokens: int, window: int, bytes_each: int, units: float
) -> Footprint:  # fmt: skip
    """The same of models whose sizes are known; ``base`` stands in the base's place."""
    places = rows * (window + 1)
    logits = sum(size.vocabulary for size in sizes.values()) * bytes_each
    return Footprint(
        sum(size.parameters for size in sizes.values()) * bytes_each,
        sum(size.cached for size in sizes.values()) * bytes_each * rows * tokens,
        places * (round(4 * units * base.vocabulary) + logits),
    )


@dataclass
class Needs:
    """The estimate.

    Attributes:
        sizes: by role; None where nothing is known of a model.
        questions: by task; None where the data cannot be had.
        missing: sentences about what is not there.
    """

    sizes: dict[str, Size | None] = field(default_factory=dict)
    questions: dict[str, int | None] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def footprint(self, c: Configuration, rows: int, tokens: int, bytes_each: int) -> Footprint | None:
        """What decoding under a configuration takes beside the weights of all models; None where one is not known."""
        kind, known = c.of.kind, {role: size for role, size in self.sizes.items() if size is not None}
        if not kind.roles <= known.keys():
            return None
        units = PEAK_UNITS if c.method in LIGHT else PEAK_UNITS_OF_OTHERS
        own = taken(
            {role: known[role] for role in kind.roles}, known[kind.base], rows, tokens, c.window, bytes_each, units
        )
        return replace(own, weights=sum(size.parameters for size in known.values()) * bytes_each)


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
        found.sizes[role] = None if config is None else size_of(config)
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


def size_of(config: Any) -> Size:
    """The size of a model of this configuration; no memory is taken.

    >>> import kad
    >>> size_of(kad.demo.load().proxy.config)
    Size(parameters=147904, cached=256, vocabulary=258)
    """
    text, cached = config.get_text_config(), 0
    if all_heads := getattr(text, "num_attention_heads", None):  # a recurrent model has none, and keeps no tokens
        heads = getattr(text, "num_key_value_heads", None) or all_heads
        width = getattr(text, "head_dim", None) or text.hidden_size // all_heads
        cached = 2 * text.num_hidden_layers * heads * width
    return Size(sum(p.numel() for p in skeleton_of(config).parameters()), cached, text.vocab_size)


def passes(configuration: Configuration, questions: int, seeds: int, batch: int) -> tuple[int, int]:
    """The fewest and the most base passes that this many questions may take, if every reply has its full length."""
    batches = -(-questions // batch) * seeds
    most = batches * configuration.new_tokens
    return -(-most // (configuration.window + 1)), most
