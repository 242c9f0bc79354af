"""What kad adds to vLLM's workers where kad itself drives them (``worker_extension_cls``). A server's workers do not have it."""

from __future__ import annotations

from typing import Any


class KadWorker:
    """Called by ``LLM.collective_rpc``."""

    model_runner: Any

    def kad_use(self, plain: Any) -> None:
        """Sample another target, as `kad.engines.spelling` writes it."""
        self.model_runner.get_model().use(plain)
