"""Who answers for a command: this process, which then holds the models, or workers of Ray, which do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ..checkpoints import Checkpoints, load_checkpoints
from ..checks import whole
from ..decoding.packed import pack_weights
from ..evaluation.workers import HERE, Workers
from ..extras import need
from .options import Eval, Sweep, Tune


def check_crew(o: Eval | Sweep | Tune) -> None:
    """Raise an error about ``--workers`` and ``--ray`` before anything is loaded."""
    if o.workers is not None:
        whole("--workers", o.workers, 1)
        need("--workers", "ray")
    elif o.ray is not None:
        raise ValueError("--ray says where workers run; say how many with --workers, such as --workers 8.")


@contextmanager
def crew(
    o: Eval | Sweep | Tune, places: Mapping[str, str | None], pack: bool = False
) -> Iterator[tuple[Workers, Checkpoints]]:
    """The workers and the checkpoints, which are held here or described."""
    if o.workers is None:
        checkpoints = load_checkpoints(places, o.dtype, o.device)
        for model in checkpoints.models.values() if pack else ():
            pack_weights(model)
        yield HERE, checkpoints
        return
    from ..evaluation.distributed import Pool

    with Pool(o.workers, o.ray, places=places, dtype=o.dtype, device=o.device, pack=pack) as pool:
        yield pool, pool.checkpoints
