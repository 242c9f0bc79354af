"""vLLM as an engine of the house: the same questions, and less that can be told of an answer."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...mixture import Base, Proxy
from ...target import Target
from ..engine import Engine, Generated, Generations, Settings
from ..spelling import spell
from .arguments import arguments, check_served
from .launch import need_vllm


@dataclass
class VLLM(Engine):
    """A pair inside vLLM, in processes of vLLM's own. It starts with the first texts that are asked of it.

    A seed is a text's own where there are no drafts; under vLLM's first model runner speculation draws drafts from a common source.
    Filters are refused: vLLM would filter π, not the models.

    Attributes:
        base, proxy, reference: folders or hub ids; without base and proxy the embedded pair.
        window: γ, of all texts.
        options: more of vLLM's, such as ``{"tensor_parallel_size": 2}``.
    """

    base: str | Path | None = None
    proxy: str | Path | None = None
    reference: str | Path | None = None
    window: int = 0
    options: dict[str, Any] = field(default_factory=dict)
    capabilities = frozenset({"windows", "placements"})

    @functools.cached_property
    def llm(self) -> Any:
        """vLLM's own object.

        Raises:
            ImportError: it is not installed.
            ValueError: it is there in a version that was not tested, or the models cannot be served.
        """
        need_vllm("the engine vllm")
        import vllm

        return vllm.LLM(**self.arguments())

    def arguments(self) -> dict[str, Any]:
        """What vLLM is told; a ValueError if the models cannot be served."""
        more = {"worker_extension_cls": "kad.engines.vllm.worker.KadWorker"} | self.options
        return arguments(self.base, self.proxy, Base(), self.window, self.reference, **more)

    def close(self) -> None:
        """End vLLM's processes, if there are any; the next texts start them anew."""
        if "llm" in self.__dict__:
            self.__dict__.pop("llm").llm_engine.engine_core.shutdown()

    @property
    def device(self) -> str:
        """Where vLLM runs models on this machine."""
        from vllm.platforms import current_platform

        return str(current_platform.device_type)

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"vllm on {self.device}"

    @property
    def tokenizer(self) -> Any:  # type: ignore[override]
        return self.llm.get_tokenizer()

    def accepts(self, target: Target, settings: Settings, base: str = "base") -> None:
        if base == "aligned":
            raise ValueError("the engine vllm does not hold the large aligned model p*; leave the method p* out.")
        if base == "base" and settings.window != self.window:
            raise ValueError(
                f"vLLM drafts with one window as long as it runs, here {self.window}, not {settings.window}: run once for each."
            )
        if settings.temperature is not None and (settings.top_k, settings.top_p, settings.min_p) != (None, None, None):
            raise ValueError(
                "the engine vllm filters π and not the models before the rule, which is another method: leave filters out, or use kad's own engine."
            )
        check_served(target, self.base is None or self.reference is not None)
        spell(target)

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        target: Target,
        settings: Settings,
        seeds: Sequence[int] | None = None,
        *,
        base: str = "base",
        proxy_prompts: Sequence[Sequence[int]] | None = None,
    ) -> Generations:
        if proxy_prompts is not None:
            raise ValueError("vLLM feeds every model the same ids: give no prompts of the proxy's own.")
        self.accepts(target, settings, base)
        llm = self.llm
        from vllm import SamplingParams

        start = time.perf_counter()
        llm.collective_rpc("kad_use", args=(spell(Proxy() if base == "proxy" else target),))
        params = [
            SamplingParams(
                temperature=0.0 if settings.temperature is None else settings.temperature,
                max_tokens=settings.new_tokens, seed=seed, stop=list(settings.stop_strings) or None,
            )
            for seed in (seeds if seeds is not None else [None] * len(prompts))
        ]  # fmt: skip
        out = llm.generate([{"prompt_token_ids": list(ids)} for ids in prompts], params, use_tqdm=False)
        seconds = time.perf_counter() - start
        ids = [tuple(o.outputs[0].token_ids) for o in out]
        texts = self.tokenizer.batch_decode(ids, skip_special_tokens=True)
        return Generations([Generated(*found) for found in zip(ids, texts, strict=True)], seconds)
