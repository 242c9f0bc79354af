"""Hypothesis runs the same examples everywhere; `--hypothesis-profile=long` runs many more."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, settings

from .forks import Forks

settings.register_profile("ci", derandomize=True, deadline=None, max_examples=150, database=None)
settings.register_profile(
    "long", deadline=None, max_examples=2000, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
# `make test-ray` and its like: tests of libraries that `make test` does not install.
collect_ignore = [name for name in ("ray", "triton", "vllm") if find_spec(name) is None]
torch.set_num_threads(1)  # tiny models: threads cost more than they bring, and pytest-xdist has its own processes
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing in the tests may reach for a network
if limit := os.environ.get("ATEN_CPU_CAPABILITY"):
    # torch.compile's kernels on disk are found by the processor, not by this limit on it: written for narrower vectors,
    # they would be taken up by the next run without the limit, and abort it.
    apart = Path(tempfile.gettempdir()) / f"torchinductor_{os.getuid()}_{limit}"
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(apart))


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    """Real processes, started once."""
    waiting = Forks()
    yield waiting
    waiting.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A real Chromium, one for all: playwright begins once in a process."""
    from playwright.sync_api import sync_playwright  # tests of vLLM do without

    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("CI must install Chromium")
        pytest.skip("needs Chromium (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(autouse=True)
def seeded() -> None:
    """What draws from torch's global generator, such as classes that are wrong because they do, draws the same in any order."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def long() -> bool:
    """Whether these are the long tests (`make test-long`)."""
    return os.environ.get("HYPOTHESIS_PROFILE") == "long"
