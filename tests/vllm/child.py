"""vLLM in a process of its own, which answers what it is asked until it is told nothing more: `tests.vllm.running.Running` starts it.

In the test's process vLLM would stand beside Hugging Face's models, whose classes it rewrites.
"""

from __future__ import annotations

import os
import sys
from multiprocessing.connection import Client
from typing import Any


def main() -> None:
    with Client(sys.argv[1], authkey=bytes.fromhex(os.environ.pop("KAD_TEST_KEY"))) as line:
        given, second = line.recv()
        if second:
            import interpreter

            interpreter.install()
        from vllm import LLM

        llm = LLM(**given)
        line.send(type(runner_of(llm)).__module__)
        while (asked := line.recv()) is not None:
            try:
                line.send(globals()[asked[0]](llm, *asked[1:]))
            except Exception as error:
                line.send(error)
    os._exit(0)  # its threads need not end


def runner_of(llm: Any) -> Any:
    worker = llm.llm_engine.model_executor.driver_worker
    return getattr(worker, "worker", worker).model_runner


def write(llm: Any, target: Any, prompts: list[list[int]], params: list[dict[str, Any]]) -> Any:
    """Per prompt: ids, and of every id's place log-probabilities by id."""
    from vllm import SamplingParams

    if target is not None:
        llm.collective_rpc("kad_use", args=(target,))
    asked = [SamplingParams(**one) for one in params]
    out = llm.generate([{"prompt_token_ids": ids} for ids in prompts], asked, use_tqdm=False)
    return [
        (list(o.outputs[0].token_ids), [{v: x.logprob for v, x in d.items()} for d in o.outputs[0].logprobs or ()])
        for o in out
    ]


def counts(llm: Any) -> dict[str, int]:
    """Drafts so far, and how many stood."""
    found = {m.name: getattr(m, "value", None) for m in llm.get_metrics()}
    return {short: found[f"vllm:spec_decode_num_{short}"] for short in ("drafts", "draft_tokens", "accepted_tokens")}


def unmend(llm: Any) -> None:
    """vLLM's CPU sampler as it comes."""
    import vllm.v1.sample.rejection_sampler as sampler

    sampler.expand_batch_to_tokens = sampler.expand_batch_to_tokens.kad


if __name__ == "__main__":
    main()
