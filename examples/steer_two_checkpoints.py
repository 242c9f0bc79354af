"""Steer a base checkpoint with a small aligned one. Arguments: BASE PROXY [PROMPT], folders or hub ids.

For example allenai/OLMo-2-1124-13B and allenai/OLMo-2-0425-1B-Instruct. Without arguments it takes the embedded
pair from its folders, which load like any checkpoint.
"""

import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import kad
from kad.demo import MODELS

QUESTION = "luis fills 4 bags with 6 coins each . he loses 5 . how many coins are there in the end ?"


def main(base_name: str, proxy_name: str, question: str) -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = AutoTokenizer.from_pretrained(proxy_name)
    base = AutoModelForCausalLM.from_pretrained(base_name, dtype="auto").to(device)
    proxy = AutoModelForCausalLM.from_pretrained(proxy_name, dtype="auto").to(device)
    if device == "cpu":
        base, proxy = base.float(), proxy.float()
    out = kad.generate(
        base, proxy, [{"role": "user", "content": question}], target=kad.dual(0.4), window=3, tokenizer=tokenizer,
        do_sample=True, temperature=0.7, seed=0, max_new_tokens=256,
    )  # fmt: skip
    print(tokenizer.decode(out.trace.ids[0], skip_special_tokens=True))
    print(f"accepted {out.trace.acceptance_rate:.0%} of the drafts, {out.trace.base_passes} passes of the base")


if __name__ == "__main__":
    given = sys.argv[1:]
    main(given[0] if given else str(MODELS / "base"), given[1] if len(given) > 1 else str(MODELS / "proxy"),
         given[2] if len(given) > 2 else QUESTION)  # fmt: skip
