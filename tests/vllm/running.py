"""A running vLLM to ask, and the law that its answers are compared with."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from multiprocessing.connection import Listener
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import kad
from kad.decisions import Reading, decide, pi_of
from kad.engines import HuggingFace, Scores, Settings
from kad.engines.spelling import spell
from kad.engines.vllm import arguments

ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TRITON_CPU_BACKEND": "0",
}  # fmt: skip
SMALL = {"dtype": "float32", "enforce_eager": True, "gpu_memory_utilization": 0.25, "max_num_seqs": 64}


class Running:
    """Engine, worker and scheduler in one process beside this one."""

    def __init__(
        self, base: Any = None, proxy: Any = None, window: int = 0, second: bool = False, **options: Any
    ) -> None:
        given = arguments(base, proxy, kad.Base(), window) | SMALL | {
            "distributed_executor_backend": "uni", "worker_extension_cls": "kad.engines.vllm.worker.KadWorker", "max_logprobs": -1,
            "disable_log_stats": False,
        }  # fmt: skip
        key, folder = secrets.token_hex(16), tempfile.mkdtemp()
        environment = os.environ | ENVIRONMENT | {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "KAD_TEST_KEY": key}
        self.log = Path(folder) / "log"
        with Listener(f"{folder}/line", authkey=bytes.fromhex(key)) as listener, self.log.open("w") as log:
            child = [sys.executable, str(Path(__file__).with_name("child.py")), f"{folder}/line"]
            self.process = subprocess.Popen(child, env=environment, stdout=log, stderr=log)
            self.line = listener.accept()
        self.line.send((given | options, second))
        self.runner = self._heard()

    def _heard(self) -> Any:
        try:
            found = self.line.recv()
        except EOFError:
            raise RuntimeError(f"vLLM has ended: {self.log.read_text()[-3000:]}") from None
        if isinstance(found, Exception):
            raise found
        return found

    def ask(self, *what: Any) -> Any:
        self.line.send(what)
        return self._heard()

    def write(
        self, target: kad.Target | None, prompts: Sequence[Sequence[int]], params: Sequence[dict[str, Any]]
    ) -> list[tuple[list[int], Tensor]]:
        """Per prompt: ids and π at every id's place, ``(n, V)``, as far as ``logprobs`` of the params asks for it."""
        found = self.ask(
            "write", None if target is None else spell(target), [list(ids) for ids in prompts], list(params)
        )
        return [(ids, probabilities(told)) for ids, told in found]

    def close(self) -> None:
        self.line.send(None)
        self.process.wait(60)


def probabilities(told: list[dict[int, float]]) -> Tensor:
    size = 1 + max((token for place in told for token in place), default=0)
    found = torch.full((len(told), size), -torch.inf, dtype=torch.float64)
    for row, place in zip(found, told, strict=True):
        for token, logprob in place.items():
            row[token] = logprob
    return found.exp()


def law(
    engine: HuggingFace, target: kad.Target, prompt: Sequence[int], ids: Sequence[int], temperature: float
) -> Tensor:
    """kad's own π at the places of ``ids``, on Hugging Face's models."""
    return scores(engine, target, prompt, ids, temperature).pi[0].double()


def scores(
    engine: HuggingFace, target: kad.Target, prompt: Sequence[int], ids: Sequence[int], temperature: float
) -> Scores:
    settings = Settings(temperature=temperature)
    return engine.score(torch.tensor([[*prompt, *ids[:-1]]]), target, settings, start=len(prompt) - 1)


def apart_from_an_optimum(target: kad.Target, found: Scores, told: Tensor, temperature: float) -> float:
    """`apart`, where optima of nearly one risk lie far apart: from the nearest π of logits within float32's noise of these.

    What two engines differ by is noise of some 1e-7 in the logits, which at a near tie makes another optimum the best one.
    """
    generator, worst = torch.Generator().manual_seed(0), 0.0
    for i, row in enumerate(told):
        noisy = [nearby(reading.at((0, i)), generator) for reading in (found.base, found.proxy)]
        pi = pi_of(target, *noisy, None, temperature, decide(target, *noisy)).double()
        worst = max(worst, float((pi - row).abs().amax(-1).min()))
    return worst


def nearby(reading: Reading, generator: torch.Generator, tries: int = 100, noise: float = 1e-6) -> Reading:
    """The distributions of logits that differ by normal noise from these; the first are these."""
    off = noise * torch.randn(tries, reading.plain.shape[-1], generator=generator)
    off[0] = 0
    plain, tempered = (torch.softmax(x.log() + off, dim=-1) for x in (reading.plain, reading.tempered))
    return Reading(plain, plain if reading.tempered is reading.plain else tempered)


def apart(pi: Tensor, told: Tensor) -> float:
    """max_v |π_v − told_v|; what one has more tokens than the other counts as 0."""
    size = max(pi.shape[-1], told.shape[-1])
    wide = [torch.nn.functional.pad(x, (0, size - x.shape[-1])) for x in (pi, told)]
    return float((wide[0] - wide[1]).abs().max())
