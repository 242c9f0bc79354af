"""One Ray on this machine for all tests that run in this process; pools leave it as it is."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator

import pytest

from kad.evaluation.cluster import connected

# Ray's workers stand back behind everything else on a machine, which here is other tests.
os.environ.setdefault("RAY_worker_niceness", "0")


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own, while it is imported and started
        with connected(None):
            yield
