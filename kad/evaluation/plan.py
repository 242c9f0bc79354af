"""What is run: configurations, and plans of them from flags or a YAML file."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from ..checks import distinct, number, text, whole
from ..decoding.template import check_variables
from ..defaults import EVALUATED_AT
from ..mixture import Placement, check_placement
from ..version import LAW_VERSION
from .configuration import Configuration as Configuration
from .files import read_yaml
from .methods import Method, methods_of
from .task import Part, Protocol


@dataclass(frozen=True)
class Block:
    """Axes that are crossed with each other.

    Attributes:
        methods: what to compare.
        placements, windows, temperatures, filters: see `Configuration`; None as a temperature is greedy decoding.

    Raises:
        ValueError: an unknown placement, a negative window, or a temperature that is not positive.

    >>> Block((Method("dual", 0.3), Method("dual", 0.4)), windows=(0, 3)).windows
    (0, 3)
    """

    methods: tuple[Method, ...]
    placements: tuple[Placement, ...] = ("models",)
    windows: tuple[int, ...] = (0,)
    temperatures: tuple[float | None, ...] = (EVALUATED_AT,)
    filters: tuple[tuple[tuple[str, float], ...], ...] = ((),)

    def __post_init__(self) -> None:
        for placement in self.placements:
            check_placement(placement)
        for window in self.windows:
            whole("the window", window, 0)
        for temperature in self.temperatures:
            if temperature is not None and number("a temperature", temperature) <= 0:
                raise ValueError("a temperature must be positive; for greedy decoding say greedy.")
        for filters in self.filters:
            for name, value in filters:
                check_filter(name, value)


@dataclass(frozen=True)
class Plan:
    """Tasks times blocks times seeds.

    Attributes:
        tasks: names, YAML files or import paths.
        blocks: what is crossed.
        count: questions of every task, from the first on; None: all.
        seeds: of sampling; greedy decoding runs once.
        shots, shuffle, new_tokens: see `Configuration`; ``new_tokens`` None is the task's own.
        part: all questions, those for development, or those for the test.
        template: variables for the chat template, such as ``(("enable_thinking", False),)``.
        protocol: ``"kad"``, or ``"paper"``: the paper's turns, limits and order of options, without examples and thinking.

    Raises:
        ValueError: nothing to run, counts that cannot be, or what the protocol does not have.

    >>> plan = Plan(("gsm8k",), (Block((Method("p"), Method("dual", 0.4)), windows=(0, 3)),), seeds=(0, 1, 2))
    >>> [(c.of.label, c.window) for c in plan.configurations("gsm8k", new_tokens=512)]
    [('p', 0), ('p', 3), ('dual λ=0.4', 0), ('dual λ=0.4', 3)]
    """

    tasks: tuple[str, ...]
    blocks: tuple[Block, ...]
    count: int | None = None
    seeds: tuple[int, ...] = (0,)
    shots: int = 0
    shuffle: int = 0
    new_tokens: int | None = None
    part: Part = "all"
    template: tuple[tuple[str, Any], ...] = ()
    protocol: Protocol = "kad"

    def __post_init__(self) -> None:
        if not self.tasks or not self.blocks or not self.seeds:
            raise ValueError("a plan needs at least one task, one method and one seed.")
        for task in self.tasks:
            text("a task", task)
        for seed in self.seeds:
            whole("a seed", seed)
        distinct("the seeds", self.seeds)
        if self.count is not None:
            whole("the number of questions", self.count, 1)
        whole("the number of shots", self.shots, 0)
        whole("the seed of the shuffle", self.shuffle)
        if self.new_tokens is not None:
            whole("the number of new tokens", self.new_tokens, 1)
        if self.part not in get_args(Part):
            raise ValueError(f"the part must be one of {', '.join(get_args(Part))}; got {self.part!r}.")
        variables = check_protocol(self.protocol, self.shots, self.shuffle) | dict(self.template)
        object.__setattr__(self, "template", tuple(sorted(check_variables(variables).items())))

    def configurations(
        self, task: str, new_tokens: int, models: Sequence[tuple[str, str]] = (), prompt: str = "", engine: str = "",
        settings: Sequence[tuple[str, str]] = (),
    ) -> Iterator[Configuration]:  # fmt: skip
        """Of one task, in order, none twice. ``models`` are fingerprints by role, of which each method takes its own, and
        so are ``settings``.

        What makes no difference is not varied: the placement for one model alone, for greedy decoding, at temperature 1 and
        for a target of one's own that has one itself; the window for the proxy or another model alone; filters for
        greedy decoding, and those that filter nothing.
        """
        seen = set[Configuration]()
        for block in self.blocks:
            axes = (block.temperatures, block.filters, block.methods, block.placements, block.windows)
            for temperature, filters, method, placement, window in itertools.product(*axes):
                kind, greedy = method.known, temperature is None
                own = tuple((role, mark) for role, mark in models if role in kind.roles)
                common: dict[str, Any] = {} if greedy else effective(filters)
                one = Configuration(
                    task, method.name, None if method.value is None else float(method.value),
                    placement="models" if kind.alone or greedy or temperature == 1 else method.placed(placement),
                    window=0 if kind.base != "base" else window,
                    temperature=None if temperature is None else float(temperature), new_tokens=self.new_tokens or new_tokens,
                    shots=self.shots, shuffle=self.shuffle, models=own, part=self.part, prompt=prompt,
                    template=self.template, protocol=self.protocol,
                    engine=engine, law=LAW_VERSION, code=method.code, **common,
                    settings=tuple(pair for pair in settings if pair[0] in kind.roles),
                )  # fmt: skip
                if one not in seen:
                    seen.add(one)
                    yield one

    def seeds_of(self, configuration: Configuration) -> tuple[int, ...]:
        return self.seeds if configuration.temperature is not None else (0,)


def check_protocol(protocol: Any, shots: int, shuffle: int) -> dict[str, Any]:
    """The variables that a protocol gives the chat template; a ValueError if it is none, or not with these options."""
    if protocol not in get_args(Protocol):
        raise ValueError(f"the protocol must be one of {', '.join(get_args(Protocol))}; got {protocol!r}.")
    if protocol == "kad":
        return {}
    if shots or shuffle:
        what = "no exemplary questions (--shots)" if shots else "its options in the data's order (no --shuffle)"
        raise ValueError(f"the paper's protocol has {what}; leave the option out, or take kad's own protocol.")
    return {"enable_thinking": False}


FILTERS = ("top_p", "top_k", "min_p")
TEXTS = ("base", "proxy", "reference", "aligned", "data")  # of a plan's file, beside the plan


def check_filter(name: str, value: Any) -> float:
    """The value of a common filter; a ValueError if it is not in the filter's range."""
    return whole(name, value, 1) if name == "top_k" else number(name, value, 0, 1, open_low=name == "top_p")


def effective(filters: Sequence[tuple[str, float]]) -> dict[str, Any]:
    """Those that can change a distribution: neither top-p 1 nor min-p 0."""
    return {
        name: int(value) if name == "top_k" else float(value)
        for name, value in filters if (name, value) not in (("top_p", 1), ("min_p", 0))
    }  # fmt: skip


def from_yaml(path: Path) -> tuple[Plan, dict[str, Any]]:
    """A plan, and what the file says beside it (models, data, batch, ...).

    The keys are those of `Plan` (``tasks``, ``n``, ``seeds`` (a number or a list), ``shots``, ``shuffle``,
    ``new_tokens``, ``part``, ``template`` (a mapping), ``protocol``), and ``runs``, a list of blocks with ``methods``, ``placements``,
    ``windows``, ``temperatures`` (``greedy`` for none) and ``filters`` (a list of mappings such as ``{min_p: 0.3}``; ``{}`` for none).

    Raises:
        ValueError: no such file, no YAML, unknown keys or values; one sentence.
    """
    found = read_yaml(path, "plan")
    if not isinstance(found, dict) or not isinstance(found.get("runs"), list):
        raise ValueError(f"the plan {path} must hold tasks and runs, a list of blocks with methods.")
    try:
        return plan_from(found, path)
    except ValueError as error:
        raise ValueError(f"the plan {path}: {error}") from error


def plan_from(found: dict[Any, Any], path: Path) -> tuple[Plan, dict[str, Any]]:
    own = {"tasks", "n", "seeds", "shots", "shuffle", "new_tokens", "part", "template", "protocol", "runs"}
    rest = {str(key): value for key, value in found.items() if key not in own}
    for key, value in rest.items():
        if key in TEXTS and value is not None:
            text(key, value)
    if rest.get("batch") is not None:
        whole("the batch", rest["batch"], 1)
    if not isinstance(found.get("template") or {}, dict):
        raise ValueError(f"template must be a mapping of the chat template's variables, got {found['template']!r}.")
    blocks = tuple(block_of(block, path) for block in found["runs"])
    plan = Plan(
        listed(found.get("tasks") or []), blocks, found.get("n"), seeds_of(found.get("seeds", 1)),
        found.get("shots", 0), found.get("shuffle", 0), found.get("new_tokens"),
        found.get("part", "all"), tuple((found.get("template") or {}).items()), found.get("protocol", "kad"),
    )  # fmt: skip
    return plan, rest


def seeds_of(seeds: Any) -> tuple[int, ...]:
    """So many seeds from 0, or the seeds themselves."""
    return tuple(seeds) if isinstance(seeds, list | tuple) else tuple(range(whole("the number of seeds", seeds, 1)))


def listed(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list) else (value,)


def block_of(block: Any, path: Path) -> Block:
    known = {"methods", "placements", "windows", "temperatures", "filters"}
    if not isinstance(block, dict) or not block.get("methods"):
        raise ValueError(f"every block of runs in {path} needs methods.")
    if unknown := sorted(set(map(str, block)) - known):
        raise ValueError(f"a block of {path} has unknown keys: {', '.join(unknown)}.")
    methods = list[Method]()
    for entry in listed(block["methods"]):
        if isinstance(entry, dict):  # dual: [0.3, 0.4]
            for name, values in entry.items():
                for value in listed(values):
                    methods += methods_of(f"{text('a method', name)}:{number(f'the parameter of {name}', value)!r}")
        else:
            methods += methods_of(text("a method", entry))
    if not methods:
        raise ValueError(f"every block of runs in {path} needs methods.")
    filters = []
    for entry in listed(block.get("filters", {})):
        if not isinstance(entry or {}, dict) or (unknown := sorted(set(entry or {}) - set(FILTERS))):
            raise ValueError(f"a filter in {path} is a mapping with {', '.join(FILTERS)}, got {entry!r}.")
        filters.append(tuple((name, check_filter(name, value)) for name, value in (entry or {}).items()))
    heats = listed(block.get("temperatures", EVALUATED_AT))
    temperatures = tuple(None if t in ("greedy", None) else number("a temperature", t) for t in heats)
    placements, windows = listed(block.get("placements", "models")), listed(block.get("windows", 0))
    return Block(tuple(methods), placements, windows, temperatures, tuple(filters))
