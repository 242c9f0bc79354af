"""How many greedy texts another window changes, by dtype: none in float32 and float64, some in bfloat16 and float16.

    OMP_NUM_THREADS=1 python benchmarks/greedy_windows.py [--pairs 8] [--prompts 8] [--tokens 48] [--device cuda]

A draft is verified in a pass over γ + 1 places, and plain decoding passes over one: other matrix products, which round
otherwise in the last bit. In bfloat16 that bit is 2^-8 of a logit, so two tokens may change places, or a token of mass
near the threshold sides; the text then goes on otherwise. Counted are texts of random tiny models (and of the embedded
pair) that are not those of window 0 in the same dtype; and, for scale, Hugging Face's own: its greedy generate on the base
against its assisted decoding, which verifies in the same way.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import torch
from transformers import AutoModelForCausalLM, LlamaConfig

import kad

WINDOWS = (1, 3, 7)
SHAPE = {
    "vocab_size": 512, "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4,
    "bos_token_id": None, "eos_token_id": None, "pad_token_id": 0, "tie_word_embeddings": False,
}  # fmt: skip


def tiny(seed: int) -> Any:
    """A random model whose distributions are neither flat nor one-hot."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(LlamaConfig(**SHAPE)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=1.0 if "embed" in name else 0.2)
    return model


def pairs(count: int, prompts: int) -> Iterator[tuple[str, Any, Any, torch.Tensor]]:
    """(kind, base, proxy, prompts)."""
    for seed in range(count):
        generator = torch.Generator().manual_seed(seed)
        yield "random", tiny(2 * seed), tiny(2 * seed + 1), torch.randint(3, 512, (prompts, 12), generator=generator)
    pair = kad.demo.load()
    words = [
        f"q : mia has {a} pens . she buys {b} more . she loses {c} . how many pens does mia have now ? a :"
        for a in range(4, 12) for b in range(2, 10) for c in range(1, 4)
    ][: count * prompts]  # fmt: skip
    yield "embedded", pair.base, pair.proxy, pair.tokenizer(words, return_tensors="pt").input_ids


def texts(base: Any, proxy: Any, prompt: torch.Tensor, tokens: int, window: int) -> list[int]:
    out = kad.generate(
        base, proxy, input_ids=prompt, target=kad.dual(0.3), window=window, do_sample=False, max_new_tokens=tokens
    )
    return out.trace.ids[0].tolist()


def peers(base: Any, proxy: Any, prompt: torch.Tensor, tokens: int) -> bool:
    """Whether Hugging Face's assisted decoding with a window of 3 gives the text of its plain decoding."""
    proxy.generation_config.num_assistant_tokens, proxy.generation_config.num_assistant_tokens_schedule = 3, "constant"
    proxy.generation_config.assistant_confidence_threshold = 0.0
    options = {"attention_mask": torch.ones_like(prompt), "max_new_tokens": tokens, "do_sample": False}
    return torch.equal(base.generate(prompt, **options), base.generate(prompt, assistant_model=proxy, **options))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f"{'models':9s} {'dtype':9s} texts  other than at window 0: "
        + "  ".join(f"γ={w}" for w in WINDOWS)
        + "  HF assisted"
    )
    for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
        found: dict[str, list[int]] = {}
        for kind, base, proxy, prompts in pairs(options.pairs, options.prompts):
            base, proxy = (model.to(options.device, dtype) for model in (base, proxy))
            counts = found.setdefault(kind, [0] * (len(WINDOWS) + 2))
            for prompt in prompts.unsqueeze(1).to(options.device):
                plain = texts(base, proxy, prompt, options.tokens, 0)
                changed = [texts(base, proxy, prompt, options.tokens, w) != plain for w in WINDOWS]
                changed.append(not peers(base, proxy, prompt, options.tokens))
                counts[:] = [n + x for n, x in zip(counts, [1, *changed], strict=True)]
        for kind, (whole, *changed) in found.items():
            print(
                f"{kind:9s} {str(dtype)[6:]:9s} {whole:5d}  {'':26s}" + "  ".join(f"{n:3d}" for n in changed),
                flush=True,
            )


if __name__ == "__main__":
    main()
