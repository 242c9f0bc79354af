"""Engines start once and answer every test of a file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kad.checkpoints import load_checkpoints
from kad.engines import HuggingFace

from .running import Running


@pytest.fixture(scope="session")
def peer() -> HuggingFace:
    """kad's own loop on the embedded pair."""
    return HuggingFace(load_checkpoints({}))


@pytest.fixture(scope="module")
def plain() -> Iterator[Running]:
    """The first model runner, without drafts."""
    running = Running(max_num_seqs=512, max_num_batched_tokens=4096)
    yield running
    running.close()


@pytest.fixture(scope="module")
def drafting() -> Iterator[Running]:
    """The first model runner, three drafts a round."""
    running = Running(window=3, max_num_seqs=512, max_num_batched_tokens=4096)
    yield running
    running.close()


@pytest.fixture(scope="module")
def second() -> Iterator[Running]:
    """The second model runner, by Triton's interpreter, three drafts a round."""
    running = Running(window=3, second=True, max_num_seqs=16, max_num_batched_tokens=256)
    yield running
    running.close()
