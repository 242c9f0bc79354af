"""Models and tokenizers from folders or the hub, for the commands; what cannot be loaded is one sentence."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from . import demo
from .decoding.packed import pack_weights
from .errors import said
from .loading import model_at, tokenizer_at

SAMPLED = 4096  # numbers of each weight that its fingerprint reads


@dataclass(frozen=True)
class Described:
    """What is recorded of a model; to say it, nobody needs to hold the model.

    Attributes:
        name: where it came from.
        fingerprint: a hash of its weights; see `fingerprint`.
        settings: a hash of what its configuration says beside them; see `settings`.
        parameters: how many.
        dtype: of the weights.
        device: where it runs.

    >>> description_of(load_checkpoints({}).models["proxy"]).parameters
    147904
    """

    name: str
    fingerprint: str
    settings: str
    parameters: int
    dtype: str
    device: str


@dataclass(frozen=True)
class Checkpoints:
    """What a command works with.

    Attributes:
        models: by role: base, proxy and, where given, reference (the small base) and aligned (the large aligned one).
        tokenizer: of the ids that come out, the base's.
        proxy_tokenizer: the proxy's, if its vocabulary is another; else None.
        absent: models that are held elsewhere, by role.
    """

    models: dict[str, Any]
    tokenizer: Any
    proxy_tokenizer: Any = None
    absent: dict[str, Described] = field(default_factory=dict)

    @property
    def aligned_tokenizer(self) -> Any:
        """The one whose chat template is used."""
        return self.proxy_tokenizer or self.tokenizer

    def tokenizer_of(self, role: str) -> Any:
        """The tokenizer of the ids that come out where this model stands in the base's place."""
        return self.aligned_tokenizer if role == "proxy" else self.tokenizer

    @property
    def by_role(self) -> dict[str, Any]:
        """Every model that there is; of one held elsewhere, its description stands in its place."""
        return {**self.absent, **self.models}

    @property
    def device(self) -> str:
        """Where the base runs."""
        return str(self.by_role["base"].device)

    @functools.cached_property
    def described(self) -> dict[str, Described]:
        """By role; read from the weights once."""
        return self.absent | {role: description_of(model) for role, model in self.models.items()}

    @functools.cached_property
    def fingerprints(self) -> tuple[tuple[str, str], ...]:
        """By role."""
        return tuple(sorted((role, known.fingerprint) for role, known in self.described.items()))

    @functools.cached_property
    def settings(self) -> tuple[tuple[str, str], ...]:
        """By role, hashes of what the models' configurations say beside their weights; see `settings`."""
        return tuple(sorted((role, known.settings) for role, known in self.described.items()))

    def held(self) -> dict[str, Any]:
        """The models by role.

        Raises:
            ValueError: they are held elsewhere.
        """
        if self.absent:
            raise ValueError(f"the models {', '.join(self.absent)} are described here and held elsewhere; load them.")
        return self.models


def load_checkpoints(places: Mapping[str, str | None], dtype: str = "auto", device: str | None = None) -> Checkpoints:
    """Checkpoints by role; the embedded pair if neither base nor proxy is named.

    Args:
        places: folders or hub ids by role.
        dtype: of the weights: auto, float32, bfloat16 or float16.
        device: such as cpu or cuda; by default a GPU where there is one.

    Raises:
        ValueError: only one of base and proxy, or a checkpoint that is not there, cannot be read, or is not whole.
    """
    given = given_places(places)
    if not given:
        return of_pair(demo.load())
    device = device or best_device()
    tokenizers = tokenizers_of(given)
    return Checkpoints({role: loaded(role, place, dtype).to(device) for role, place in given.items()}, *tokenizers)


def describe_checkpoints(
    places: Mapping[str, str | None], dtype: str = "auto", device: str = "cpu", pack: bool = False
) -> Checkpoints:
    """Checkpoints whose models run elsewhere: here each is read on the CPU, one at a time, described, and let go.

    Args:
        places, dtype: as for `load_checkpoints`.
        device: where they run.
        pack: whether their weights are packed there (`kad.pack_weights`).

    Raises:
        ValueError: as `load_checkpoints`.

    >>> describe_checkpoints({}).fingerprints == load_checkpoints({}).fingerprints
    True
    """
    given = given_places(places)
    if not given:
        pair = of_pair(demo.load())
        return Checkpoints({}, pair.tokenizer, absent={k: read_once(m, "cpu", pack) for k, m in pair.models.items()})
    tokenizers = tokenizers_of(given)
    absent = {role: read_once(loaded(role, place, dtype), device, pack) for role, place in given.items()}
    return Checkpoints({}, *tokenizers, absent)


def given_places(places: Mapping[str, str | None]) -> dict[str, str]:
    """The places that are given; errors as for `load_checkpoints`."""
    given = {role: place for role, place in places.items() if place is not None}
    if ("base" in given) != ("proxy" in given):
        raise ValueError("give both --base and --proxy, or neither for the embedded pair.")
    if given and "base" not in given:
        raise ValueError(f"--{next(iter(given))} needs --base and --proxy beside it.")
    for role, place in given.items():
        check_place(role, place)
    return given


def best_device() -> str:
    """A GPU where there is one."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def tokenizers_of(given: Mapping[str, str]) -> tuple[Any, Any]:
    """That of the ids that come out, and the proxy's, if its vocabulary is another."""
    with attempt("the proxy's tokenizer", given["proxy"]):
        tokenizer = tokenizer_at(given["proxy"])
    with attempt("the base's tokenizer", given["base"]):
        of_base = tokenizer_at(given["base"])
    return (tokenizer, None) if of_base.get_vocab() == tokenizer.get_vocab() else (of_base, tokenizer)


def loaded(role: str, place: str, dtype: str) -> Any:
    with attempt(f"the {role}", place):
        return model_at(place, dtype)


def read_once(model: Any, device: str, pack: bool) -> Described:
    """What is recorded of a model that will run on ``device``."""
    if pack:
        pack_weights(model)
    return replace(description_of(model), device=device)


def of_pair(pair: demo.Quartet) -> Checkpoints:
    """The embedded pair's four models."""
    models = {"base": pair.base, "proxy": pair.proxy, "reference": pair.proxy_base, "aligned": pair.base_aligned}
    return Checkpoints(models, pair.tokenizer)


def check_place(role: str, place: str) -> None:
    """Raise a ValueError if this is meant to be a folder and holds no model."""
    if (place.startswith((".", "/", "~")) or place.count("/") > 1) and not Path(place).expanduser().is_dir():
        raise ValueError(f"there is no folder {place} to load the {role} from.")
    if Path(place).is_dir() and not (Path(place) / "config.json").is_file():
        raise ValueError(f"the folder {place} holds no model for the {role} (no config.json).")


@contextmanager
def attempt(what: str, place: str) -> Iterator[None]:
    """A loader's failure becomes one sentence that says what could not be loaded, and from where."""
    try:
        yield
    except Exception as error:
        raise ValueError(f"cannot load {what} from {place}: {said(error)}") from error


def description_of(model: Any) -> Described:
    """What is recorded of a model."""
    return Described(
        getattr(model, "name_or_path", "") or type(model).__name__, fingerprint(model),
        hashlib.sha256(settings(model).encode()).hexdigest()[:8], sum(p.numel() for p in model.parameters()),
        str(getattr(model, "dtype", "")).removeprefix("torch."), str(getattr(model, "device", "cpu")),
    )  # fmt: skip


def fingerprint(model: Any) -> str:
    """A hash of a model's shapes and of some thousand numbers of every weight: other weights, another hash.

    >>> import torch
    >>> layer = torch.nn.Linear(2, 2)
    >>> before = fingerprint(layer)
    >>> _ = torch.nn.init.zeros_(layer.bias)
    >>> fingerprint(layer) == before
    False
    """
    import torch

    state = hashlib.sha256()
    for name, weight in sorted(model.state_dict().items()):
        state.update(f"{name} {tuple(weight.shape)} {weight.dtype}".encode())
        if weight.device.type != "meta":
            flat = weight.detach().reshape(-1)
            sample = flat[:: max(1, len(flat) // SAMPLED)].cpu().contiguous()
            state.update(sample.view(torch.uint8).numpy().tobytes())
    return state.hexdigest()[:16]


UNREAD = {
    "transformers_version", "architectures", "dtype", "torch_dtype", "use_cache", "name_or_path", "id2label", "label2id",
}  # fmt: skip


def settings(model: Any) -> str:
    """What a model's configuration says beside its weights (rotary bases, windows, ...), and the tokens that end a reply.

    >>> from kad import demo
    >>> "eos_token_id" in settings(demo.load().base)
    True
    """
    config, generation = getattr(model, "config", None), getattr(model, "generation_config", None)
    different: dict[str, Any] = getattr(config, "to_diff_dict", dict)()
    kept = {k: v for k, v in different.items() if not k.startswith("_") and k not in UNREAD}
    ends = getattr(generation, "eos_token_id", None)
    return json.dumps([kept, ends], sort_keys=True, default=str) if config is not None else ""
