"""A cluster of Ray, or one on this machine, and what of it a worker gets. The only file that imports Ray."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..errors import said

ANSWERS_WITHIN = 10.0  # seconds in which a cluster's address must answer
OBJECTS = 100_000_000  # bytes of Ray's store of objects: plans and rows are small
# Unless the user says otherwise: no token file at home, no statistics sent, no copy of the folder by `uv run`, devices as they are.
DEFAULTS = {
    "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}  # fmt: skip


def layout(nodes: Sequence[Mapping[str, float]], workers: int, device: str | None) -> tuple[dict[str, Any], str, int]:
    """What Ray sets aside for a worker, the device it uses, and its threads: a GPU each, or an equal share of the cores.

    Raises:
        ValueError: no GPUs, or too few.

    >>> layout([{"CPU": 8}, {"CPU": 4}], 3, None)
    ({'num_cpus': 4}, 'cpu', 4)
    >>> layout([{"CPU": 2}], 4, "cpu")
    ({'num_cpus': 0.5}, 'cpu', 1)
    >>> layout([{"CPU": 8, "GPU": 2}], 2, None)
    ({'num_gpus': 1, 'num_cpus': 0}, 'cuda', 1)
    """
    gpus = sum(int(node.get("GPU", 0)) for node in nodes)
    if device == "cuda" or (device is None and gpus):
        if gpus < workers:
            raise ValueError(
                f"{workers} workers need a GPU each, and Ray sees {gpus}; give fewer --workers, or --device cpu."
            )
        return {"num_gpus": 1, "num_cpus": 0}, "cuda", 1
    if device is not None and device.startswith("cuda"):
        raise ValueError(f"every worker has one GPU, which is its cuda: give --device cuda, not {device}.")
    cores = [node.get("CPU", 0.0) for node in nodes]
    if not sum(cores):
        raise ValueError("Ray sees no cores to run workers on.")
    for share in range(int(max(cores)), 0, -1):
        if sum(int(own // share) for own in cores) >= workers:
            return {"num_cpus": share}, device or "cpu", share
    parts = next(n for n in itertools.count(2) if sum(int(own * n) for own in cores) >= workers)
    return {"num_cpus": 1 / parts}, device or "cpu", 1


@contextlib.contextmanager
def connected(address: str | None) -> Iterator[Any]:
    """Ray, connected to a cluster or to one of its own on this machine; what is connected already stays so."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    import ray

    if ray.is_initialized():
        yield ray
        return
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        options |= {"address": "local", "num_cpus": cores, "include_dashboard": False, "object_store_memory": OBJECTS}
    else:
        check_address(address)
        options["address"] = address
    # Ray puts the folder that it is started in before all others on the workers' import path: an empty one, so that no file
    # of the user's stands in the place of a library. `kad.imports` finds the modules that are named.
    with tempfile.TemporaryDirectory() as empty:
        try:
            with contextlib.chdir(empty):
                ray.init(**options)
        except (OSError, RuntimeError, ValueError) as error:
            if address == "auto" and isinstance(error, ConnectionError):
                raise ValueError(
                    "there is no cluster of Ray on this machine; start one with ray start --head, or leave --ray out."
                ) from error
            where = "on this machine" if address is None else f"at {address}"
            raise ValueError(f"Ray cannot be reached or started {where}: {said(error)}") from error
        try:
            yield ray
        finally:
            ray.shutdown()


def check_address(address: str) -> None:
    """Raise a ValueError if this is ``host:port`` and nobody answers there; Ray itself would ask for ever."""
    host, colon, port = address.rpartition(":")
    if "//" in address or (colon and not port.isdigit()):
        raise ValueError(f"a cluster's address is host:port or auto, got {address!r}; run kad on one of its nodes.")
    if colon:
        try:
            socket.create_connection((host, int(port)), timeout=ANSWERS_WITHIN).close()
        except (OSError, OverflowError) as error:
            raise ValueError(f"nobody answers at {address} ({said(error)}); is the cluster up? (ray status)") from error
