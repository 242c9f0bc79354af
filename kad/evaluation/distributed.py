"""Workers on Ray: processes on this machine or a cluster, each with the models on a GPU or some cores of its own.

The driver alone owns the store and hands out units, one at a time a worker. A worker that dies is
replaced and its unit handed out again; an error of the work comes back as a value, and is not tried again.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..checkpoints import Checkpoints, describe_checkpoints
from ..checks import whole
from ..errors import said
from ..extras import need
from ..version import LAW_VERSION, VERSION
from .cluster import connected, layout
from .failures import Failure
from .job import Job, Unit
from .remote import Outline, Recipe, Reply, Share, Worker
from .schema import Line
from .workers import Workers

DEATHS = 3  # of workers with one unit, after which it is the unit


@dataclass(eq=False)
class Errand:
    """A unit on its way; ``extra`` is what the worker's method is given beside it."""

    method: str
    unit: Unit
    extra: tuple[Any, ...] = ()
    deaths: int = 0


class Pool(Workers):
    """So many workers, as long as the context lasts.

    Args:
        workers: how many; fewer start where there are fewer units.
        address: of a running cluster, such as "auto"; None starts one on this machine.
        places: folders or hub ids by role; none is the embedded pair.
        dtype: of the weights: auto, float32, bfloat16 or float16.
        device: cuda or cpu; by default GPUs where Ray sees some.
        pack: whether weights are packed for a CPU (`kad.pack_weights`).

    Raises:
        ImportError: Ray is missing.
        ValueError: no cluster at the address, or no room for so many workers in it; while it works: a worker has other models
            or questions than this process, or workers die one after another.

    >>> with Pool(2, places={}) as pool:  # doctest: +SKIP
    ...     run(Job(plan, pool.checkpoints), store, workers=pool)
    """

    def __init__(
        self, workers: int, address: str | None = None, *, places: Mapping[str, str | None], dtype: str = "auto",
        device: str | None = None, pack: bool = False,
    ) -> None:  # fmt: skip
        self.count, self.address = whole("the number of workers", workers, 1), address
        need("a pool of workers", "ray")
        self.places, self.dtype, self.wanted, self.pack = dict(places), dtype, device, pack
        self.alive, self.idle, self.starting = list[Any](), list[Any](), dict[Any, Any]()
        self.outlines, self.runs, self.dead = list[tuple[Outline, Any]](), itertools.count(), 0

    def __enter__(self) -> Pool:
        self.stack = contextlib.ExitStack()
        with self.stack:
            self.ray = self.stack.enter_context(connected(self.address))
            self.stack.callback(self.close)
            nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
            device = self.wanted if self.places.get("base") is not None else "cpu"  # the embedded pair's
            self.options, device, threads = layout(nodes, self.count, device)
            said_by_user = os.environ.get("OMP_NUM_THREADS", "")
            threads = min(threads, int(said_by_user)) if said_by_user.isdigit() else threads
            self.recipe = Recipe(self.places, self.dtype, device, self.pack, threads, os.getcwd())
            self.checkpoints: Checkpoints = describe_checkpoints(self.places, self.dtype, device, self.pack)
            self.stack = self.stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self.stack.close()

    def close(self) -> None:
        """End all workers."""
        for actor in [*self.alive]:
            self.end(actor)
        self.idle.clear()

    def about(self) -> dict[str, Any]:
        return {"threads": self.recipe.threads, "workers": self.count}

    def map(self, job: Job, units: Iterable[Unit]) -> Iterator[tuple[Unit, list[Line] | Failure | None]]:
        for errand, reply in self.spread(job, (Errand("answer", unit) for unit in units)):
            for piece in failures_of(errand.unit) if reply is None else reply.pieces:
                yield errand.unit, piece
            yield errand.unit, None
            if reply is not None:
                go_on(reply)

    def traces(self, job: Job, wanted: Sequence[tuple[Unit, Line]]) -> list[Line]:
        errands, found = [Errand("trace", unit, (row,)) for unit, row in wanted], dict[Errand, Line]()
        for errand, reply in self.spread(job, errands):
            if reply is not None:
                go_on(reply)
                ((found[errand],),) = reply.pieces  # type: ignore[misc]
        return [found[errand] for errand in errands if errand in found]

    def spread(self, job: Job, errands: Iterable[Errand]) -> Iterator[tuple[Errand, Reply | None]]:
        """Errands with their replies, as they come; None: every worker that took it died."""
        errands, running, run = iter(errands), dict[Any, tuple[Any, Errand]](), next(self.runs)
        number, outline = self.known(job)
        waiting = deque(itertools.islice(errands, self.count))
        self.start(job, len(waiting) - len(self.alive))
        try:
            while waiting or running:
                while waiting and self.idle:  # the last that was busy: one unit after another goes to one worker
                    actor, errand = self.idle.pop(), waiting.popleft()
                    method = getattr(actor, errand.method)
                    running[method.remote(number, outline, run, Share.of(errand.unit), *errand.extra)] = actor, errand
                (done,), _ = self.ray.wait([*running, *self.starting], num_returns=1)
                if done in self.starting:
                    self.begin(job, done)
                    continue
                actor, errand = running.pop(done)
                reply = self.reply(job, done, actor, errand)
                if reply is None and errand.deaths < DEATHS:
                    waiting.appendleft(errand)
                    continue
                waiting.extend(itertools.islice(errands, 1))
                yield errand, reply
        finally:
            for actor, _ in running.values():  # of a run that has stopped
                self.end(actor)

    def reply(self, job: Job, done: Any, actor: Any, errand: Errand) -> Reply | None:
        """What a worker has found; None if it has died, and another is on its way."""
        try:
            reply: Reply = self.ray.get(done)
        except self.ray.exceptions.RayTaskError as error:
            raise ValueError(f"a worker failed: {said(error.cause)}") from error
        except self.ray.exceptions.RayError as error:
            errand.deaths += 1
            self.replace(job, actor, error)
            return None
        self.dead = 0
        self.idle.append(actor)
        return reply

    def known(self, job: Job) -> tuple[int, Any]:
        """The number of a job and its outline, which Ray is handed once."""
        mine = Outline.of(job)
        for number, (outline, reference) in enumerate(self.outlines):
            if outline == mine:
                return number, reference
        self.outlines.append((mine, self.ray.put(mine)))
        return len(self.outlines) - 1, self.outlines[-1][1]

    def start(self, job: Job, count: int) -> None:
        """So many workers more, as far as there may be."""
        kind = self.ray.remote(**self.options, max_restarts=0, max_task_retries=0)(Worker)
        for _ in range(min(count, self.count - len(self.alive))):
            actor = kind.remote()
            self.alive.append(actor)
            told = actor.prepare.remote(self.recipe, job.checkpoints.described, (VERSION, LAW_VERSION))
            self.starting[told] = actor

    def begin(self, job: Job, done: Any) -> None:
        """A worker has loaded its models, refuses to, or has died over it."""
        actor = self.starting.pop(done)
        try:
            refusal = self.ray.get(done)
        except self.ray.exceptions.RayError as error:
            self.replace(job, actor, error)
            return
        if refusal is not None:
            raise ValueError(refusal)
        self.idle.append(actor)

    def replace(self, job: Job, actor: Any, error: Exception) -> None:
        """Another worker for one that has died; a ValueError if it is all of them that die."""
        self.end(actor)
        self.dead += 1
        if self.dead >= DEATHS * (self.count + 1):
            raise ValueError(
                f"workers died {self.dead} times and answered nothing in between, the last because: {cause(error)}"
            )
        self.start(job, 1)

    def end(self, actor: Any) -> None:
        self.alive.remove(actor)
        with contextlib.suppress(self.ray.exceptions.RayError):
            self.ray.kill(actor)


def go_on(reply: Reply) -> None:
    """Raise what stops a run in the worker."""
    if reply.stopped is not None:
        missing, why = reply.stopped
        raise (ImportError if missing else ValueError)(why)


def failures_of(unit: Unit) -> list[Failure]:
    """Of all questions of a unit that has ended every worker that took it."""
    c, why = unit.configuration, f"{DEATHS} workers died with its batch (a smaller --batch may help)"
    return [Failure(c.key, unit.seed, item.id, c.task, c.of.label, why) for item in unit.items]


def cause(error: Exception) -> str:
    """Why a worker has died, as far as Ray tells."""
    found = re.search(r"Worker exit detail: ([^.]+)\.|([A-Z]\w*Error: [^\n]+)", str(error))
    return next(text for text in (*found.groups(), said(error)) if text) if found else said(error)
