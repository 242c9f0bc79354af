"""A GPU that is not there: tensors that say "cuda:0", compute on the CPU, and object where CUDA would.

    with Simulated() as gpu:
        gpu.adopt(model)            # its parameters and buffers now say cuda:0
        kad.generate(model, ...)
        gpu.ledger.waits            # every wait of the host, by line

Its rules are those of CUDA's eager kernels: one device per operation, but numbers without an axis may join a pointwise one,
indices on the CPU may index, and copies may cross; no ``.numpy()`` of what is not on the CPU; a generator lives where its numbers
are made. A copy to the device waits unless it is from pinned memory and ``non_blocking``, every copy back waits, and so does
whatever has an answer of unknown size. What it cannot see: numerics of kernels, CUDA graphs, the compiler (which is the identity here).
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from .ledger import Ledger

CPU = torch.device("cpu")
# Operations that do not even take a number without an axis from the CPU.
STRICT = {f"aten::{name}" for name in (
    "gather", "scatter", "scatter_", "index_select", "cat", "stack", "mm", "bmm", "addmm", "embedding", "searchsorted", "isin",
)}  # fmt: skip
INDEXING = {f"aten::{name}" for name in ("index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index")}
# Operations whose answer has a size that the host must know.
UNKNOWN = {f"aten::{name}" for name in ("nonzero", "masked_select", "_unique2", "unique_dim", "bincount", "equal")}
# What CUDA refuses under torch.use_deterministic_algorithms, as torch documents it, of what kad may call.
RANDOM_ORDER = {
    f"aten::{name}" for name in ("cumsum", "bincount", "put_", "histc", "kthvalue", "scatter_add_", "index_add_")
}


class Mixup(RuntimeError):
    """What CUDA would refuse."""


class OnDevice(torch.Tensor):
    """A tensor that claims a device; its numbers lie in ``numbers`` on the CPU."""

    @staticmethod
    def __new__(cls, numbers: torch.Tensor, where: torch.device) -> OnDevice:
        made: OnDevice = torch.Tensor._make_wrapper_subclass(
            cls, numbers.shape, strides=numbers.stride(), storage_offset=numbers.storage_offset(), dtype=numbers.dtype,
            layout=numbers.layout, device=where, requires_grad=False,
        )  # fmt: skip
        return made

    def __init__(self, numbers: torch.Tensor, where: torch.device) -> None:
        self.numbers, self.where_ = numbers, where

    def tolist(self) -> Any:
        running().ledger.wait("tolist")
        return self.numbers.tolist()

    def numpy(self, **options: Any) -> Any:
        raise Mixup("numpy() of a tensor that is not on the CPU")

    def __repr__(self, **options: Any) -> str:
        return f"OnDevice({self.numbers!r}, {self.where_})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        with running():
            return func(*args, **(kwargs or {}))


class Generator(torch.Generator):
    """A generator that says where it lives."""

    def __new__(cls, device: Any = "cpu") -> Generator:
        return super().__new__(cls, "cpu")

    def __init__(self, device: Any = "cpu") -> None:
        self.lives = indexed(torch.device(device))

    @property
    def device(self) -> torch.device:
        return self.lives


class Event:
    """A mark on the device's clock, which here is the host's."""

    def __init__(self, enable_timing: bool = False) -> None:
        self.seconds = float("nan")

    def record(self, stream: object = None) -> None:
        self.seconds = time.perf_counter()

    def elapsed_time(self, later: Event) -> float:
        return 1000 * (later.seconds - self.seconds)


def indexed(device: torch.device) -> torch.device:
    return torch.device("cuda:0") if device.type == "cuda" and device.index is None else device


def running() -> Simulated:
    assert Simulated.current is not None, "a tensor of a simulated device outside of it"
    return Simulated.current


def where(x: Any) -> torch.device:
    return x.where_ if isinstance(x, OnDevice) else CPU


def numbers(x: Any) -> Any:
    """What lies behind an argument."""
    if isinstance(x, OnDevice):
        return x.numbers
    if isinstance(x, (list, tuple)) and any(isinstance(y, OnDevice) for y in x):
        return [numbers(y) for y in x]
    return x


class Simulated(TorchDispatchMode):
    """The device, for as long as it is entered; see the module."""

    current: Simulated | None = None

    def __init__(self) -> None:
        super().__init__()
        self.ledger, self.depth = Ledger(), 0

    def __enter__(self) -> Simulated:
        if not self.depth:
            Simulated.current = self
            self.replaced = replaced(self.ledger)
            self.replaced.__enter__()
        self.depth += 1
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self.depth -= 1
        if not self.depth:
            self.replaced.__exit__(None, None, None)
            Simulated.current = None

    def adopt(self, model: Any, device: str = "cuda:0") -> Any:
        """Put a model's parameters and buffers on the device; tied ones stay tied."""
        to, moved = torch.device(device), dict[int, Any]()

        def on_device(x: torch.Tensor) -> torch.Tensor:
            if id(x) not in moved:
                moved[id(x)] = self.wrap(x.detach(), to)
                if isinstance(x, torch.nn.Parameter):
                    moved[id(x)] = torch.nn.Parameter(moved[id(x)], requires_grad=False)
            return moved[id(x)]

        with self:
            for module in model.modules():
                for held in (module._parameters, module._buffers):
                    held.update({name: on_device(x) for name, x in held.items() if x is not None})
        return model

    def wrap(self, x: Any, device: torch.device) -> Any:
        if isinstance(x, (list, tuple)):
            return type(x)(self.wrap(y, device) for y in x)
        if not isinstance(x, torch.Tensor) or device == CPU:
            return x
        made = OnDevice(x, device)
        self.ledger.hold(made, x)
        return made

    # -- an operation -----------------------------------------------------------------------------------------

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = dict(kwargs or {}), func._schema.name
        flat = [y for x in (*args, *kwargs.values()) for y in (x if isinstance(x, (list, tuple)) else [x])]
        tensors = [x for x in flat if isinstance(x, torch.Tensor)]
        places = {where(x) for x in tensors} - {CPU}
        asked = None if kwargs.get("device") is None else indexed(torch.device(kwargs["device"]))
        if name == "aten::_pin_memory":
            pinned = func(*args, **kwargs) if torch.cuda.is_available() else args[0].clone()
            pinned.pinned = True
            return pinned
        if not places and (asked is None or asked == CPU):
            return func(*args, **kwargs)
        if name in ("aten::_to_copy", "aten::copy_"):
            return self.copy(func, name, args, kwargs, asked)
        if name == "aten::_local_scalar_dense":
            self.ledger.wait("item")
            return func(numbers(args[0]))
        if len(places) > 1:
            raise Mixup(f"{name}: tensors on {sorted(map(str, places))}")
        self.look(name, args, tensors, bool(places))
        self.ledger.launch(name, is_view(func))
        plain = {key: numbers(x) for key, x in kwargs.items()} | ({} if asked is None else {"device": CPU})
        plain.pop("pin_memory", None)
        found = func(*map(numbers, args), **plain)
        written = [
            x
            for x, said in zip(args, func._schema.arguments, strict=False)
            if said.alias_info and said.alias_info.is_write
        ]
        if written and func._schema.returns:
            return written[0] if len(func._schema.returns) == 1 else tuple(written)
        return self.wrap(found, asked or places.pop())

    def look(self, name: str, args: Any, tensors: list[torch.Tensor], any_on_device: bool) -> None:
        """Refuse what CUDA would, and count the waits that are in an operation."""
        on_cpu = [x for x in tensors if where(x) == CPU]
        if name in INDEXING:
            self.indexing(name, args)
        elif any_on_device and any(x.dim() or name in STRICT for x in on_cpu):
            raise Mixup(f"{name}: {[(tuple(x.shape), str(where(x))) for x in tensors]}")
        elif any_on_device and on_cpu and name == "aten::where":
            self.ledger.wait("a number of the CPU's in where")
        if name in UNKNOWN:
            self.ledger.wait(name)
        floats = any(x.is_floating_point() for x in tensors)
        if name in RANDOM_ORDER and floats and torch.are_deterministic_algorithms_enabled():
            raise Mixup(f"{name} has no deterministic kernel")

    def indexing(self, name: str, args: Any) -> None:
        if not isinstance(args[0], OnDevice):
            raise Mixup(f"{name}: a tensor on the CPU, indexed or filled from the device")
        for index in args[1]:
            if index is not None and index.dtype == torch.bool:
                self.ledger.wait("a mask as an index")
            if index is not None and not isinstance(index, OnDevice):
                self.ledger.up += index.numel() * index.element_size()
                self.ledger.wait("an index from the CPU")
        if "put" in name and args[2].dim() and not isinstance(args[2], OnDevice):
            raise Mixup(f"{name}: values on the CPU")

    def copy(self, func: Any, name: str, args: Any, kwargs: Any, asked: torch.device | None) -> Any:
        """A copy to, from or on the device."""
        source = args[1] if name == "aten::copy_" else args[0]
        here, there = where(source), where(args[0]) if name == "aten::copy_" else asked or where(source)
        async_ = bool(kwargs.get("non_blocking") or (name == "aten::copy_" and len(args) > 2 and args[2]))
        size = source.numel() * source.element_size()
        if CPU not in (here, there):
            self.ledger.launch(name, False)
        elif size and here == CPU:
            self.ledger.up += size
            if not (async_ and getattr(source, "pinned", False)):
                self.ledger.wait("a copy up")
        elif size:
            self.ledger.down += size
            self.ledger.wait("a copy down")
        if name == "aten::copy_":
            func(*map(numbers, args))
            return args[0]
        kept = {key: x for key, x in kwargs.items() if key not in ("pin_memory", "non_blocking")}
        return self.wrap(func(numbers(source), *args[1:], **kept | {"device": CPU}), there)


def is_view(func: Any) -> bool:
    return any(said.alias_info is not None and not said.alias_info.is_write for said in func._schema.returns)


@contextmanager
def replaced(ledger: Ledger) -> Iterator[None]:
    """What torch would otherwise ask of a driver."""
    made, lifts = torch.rand, torch._C._only_lift_cpu_tensors()

    def rand(*shape: Any, generator: Any = None, device: Any = None, **options: Any) -> Any:
        to = CPU if device is None else torch.device(device)  # the dispatcher strips a generator of its class
        if generator is not None and generator.device.type != to.type:
            raise Mixup(f"rand: a generator on {generator.device}, numbers on {to}")
        return made(*shape, generator=generator, device=device, **options)

    def uncompiled(function: Any = None, **options: Any) -> Any:
        if function is None:
            return functools.partial(uncompiled, **options)

        @functools.wraps(function)
        def as_one(*given: Any, **named: Any) -> Any:
            with ledger.fused(getattr(function, "__name__", "function")):
                return function(*given, **named)

        return as_one

    driver = {"_lazy_init": lambda: None, "Event": Event, "current_stream": lambda device=None: None}
    torch._C._set_only_lift_cpu_tensors(True)  # else torch.tensor(..., device="cuda") passes the mode by
    try:
        with (
            mock.patch.multiple(torch, Generator=Generator, rand=rand, compile=uncompiled),
            mock.patch.multiple(torch.cuda, **driver),
        ):
            yield
    finally:
        torch._C._set_only_lift_cpu_tensors(lifts)
