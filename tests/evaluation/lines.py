"""Lines of results, for tests of what is made of them."""

from __future__ import annotations

from typing import Any

from kad.evaluation.configuration import Configuration


def line_of(configuration: Configuration, **more: Any) -> dict[str, Any]:
    """One answer of a token, from one pass without a draft."""
    return {
        "key": configuration.key, "seed": 0, "answer": "18", "alphas": [0.0], "tokens": 1, "rounds": 1, "drafted": 0,
        "accepted": 0, "base_fed": 9, "proxy_fed": 0, "seconds": 0.1, **more,
    }  # fmt: skip
