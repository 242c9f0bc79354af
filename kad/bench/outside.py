"""Contenders that are other programs: vLLM, where it is installed, and llama.cpp's own benchmark, where it is given."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from ..engines import Settings
from ..engines.vllm import VLLM
from .contenders import Contender, Emitted, Race
from .pairs import Models

QUIET = {"VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1"}
ON_CPU = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}  # GiB; and threads as torch has them


def write_pair(models: Models, folder: Path) -> tuple[Path, Path]:
    """Both models as checkpoints, with a tokenizer of as many words as they share; their folders."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    words = WordLevel({f"w{i}": i for i in range(models.vocabulary)}, unk_token="w0")
    for role, model in (("base", models.base), ("proxy", models.proxy)):
        model.save_pretrained(folder / role)
        PreTrainedTokenizerFast(tokenizer_object=Tokenizer(words), pad_token="w0").save_pretrained(folder / role)
    return folder / "base", folder / "proxy"


def vllm_options(models: Models, rows: int, length: int, compile: bool) -> dict[str, Any]:
    """Of ``vllm.LLM``: no more than the race needs, and no prompt remembered from the round before."""
    options: dict[str, Any] = {
        "dtype": str(models.base.dtype).removeprefix("torch."), "max_num_seqs": rows, "max_model_len": length,
        "enforce_eager": not compile, "enable_prefix_caching": False, "gpu_memory_utilization": 0.25,
    }  # fmt: skip
    if models.device.type == "cuda":  # a share of the card, and others are on it
        free, total = torch.cuda.mem_get_info(models.device)
        options["gpu_memory_utilization"] = round(0.4 * free / total, 3)
    return options


def vllm_alone(llm: Any, race: Race) -> Emitted:
    """vLLM with the base and nothing of kad's."""
    from vllm import SamplingParams

    seed = int(torch.randint(2**31, ()))
    params = SamplingParams(
        temperature=float(race.sample), max_tokens=race.tokens, ignore_eos=True, detokenize=False, seed=seed
    )
    prompts = [{"prompt_token_ids": ids} for ids in race.prompts.tolist()]
    out = llm.generate(prompts, params, use_tqdm=False)
    return torch.tensor([list(text.outputs[0].token_ids) for text in out]), None


def kad_in_vllm(engine: VLLM, race: Race) -> Emitted:
    settings = Settings(race.tokens, 1.0 if race.sample else None, window=engine.window)
    out = engine.generate(race.prompts.tolist(), race.target, settings)
    return torch.tensor([text.ids for text in out.texts]), None


@contextmanager
def vllm_contenders(
    models: Models, places: Sequence[str], rows: int, length: int, compile: bool
) -> Iterator[list[Contender]]:
    """vLLM with the base alone, and with kad's law inside it at γ = 0 (with drafts their verdicts would be the models' own).

    Args:
        models: the pair.
        places: the checkpoints of base and proxy; none for random weights, which are written to a folder of their own.
        rows, length: the most rows, and tokens of one.
        compile: or eager.
    """
    os.environ.update(QUIET | (ON_CPU if models.device.type == "cpu" else {}))
    with ExitStack() as stack:
        if not places:
            places = [str(p) for p in write_pair(models, Path(stack.enter_context(tempfile.TemporaryDirectory())))]
        options = vllm_options(models, rows, length, compile)
        import vllm

        llm = vllm.LLM(model=places[0], **options)
        stack.callback(llm.llm_engine.engine_core.shutdown)
        base, proxy = places
        engine = VLLM(base, proxy, options=options)
        stack.callback(engine.close)
        yield [
            Contender("vLLM", None, partial(vllm_alone, llm), outside=True),
            Contender("kad in vLLM", 0, partial(kad_in_vllm, engine), outside=True),
        ]


def llama_seconds(binary: Path, model: Path, race: Race) -> float:
    """What llama.cpp's benchmark says of so many tokens behind a prompt of that length.

    Raises:
        RuntimeError: it fails, or says something else; one sentence.
    """
    how = f"-p 0 -n {race.tokens} -d {race.prompts.shape[1]} -r 1 -t {torch.get_num_threads()} -o json"
    run = subprocess.run([str(binary), "-m", str(model), *how.split()], capture_output=True, text=True)
    if run.returncode:
        last = (run.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise RuntimeError(f"{binary} ended with {run.returncode}: {last}")
    try:
        found = next(test for test in json.loads(run.stdout) if test["n_gen"] == race.tokens)
        return float(found["samples_ns"][0]) / 1e9
    except (ValueError, KeyError, IndexError, StopIteration, TypeError) as error:
        raise RuntimeError(
            f"{binary} printed no result of llama-bench in JSON; give llama.cpp's llama-bench."
        ) from error


def llama(binary: Path, model: Path) -> Contender:
    """llama.cpp with the base alone, by its own clock, which the prompt is not in."""
    return Contender("llama.cpp", None, partial(llama_seconds, binary, model), True, outside=True)


def has_vllm() -> bool:
    """Whether vLLM is installed here."""
    return find_spec("vllm") is not None
