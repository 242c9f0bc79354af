"""What several files of tests decode with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from kad.decoding import compiled


@pytest.fixture
def small_shapes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Compiled prompts in several chunks and caches of several lengths, with tiny models; nothing compiled is left."""
    monkeypatch.setattr(compiled, "CHUNK", 4)
    monkeypatch.setattr(compiled, "SHORTEST", 8)
    yield
    torch._dynamo.reset()
