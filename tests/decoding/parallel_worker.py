"""Run by torchrun in test_parallel.py: every rank decodes the same prompts and writes what it got."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

import kad


def main(folder: Path) -> None:
    base = AutoModelForCausalLM.from_pretrained(folder / "base", tp_plan="auto", attn_implementation="sdpa")
    proxy = AutoModelForCausalLM.from_pretrained(folder / "proxy", attn_implementation="sdpa")
    rank, found = torch.distributed.get_rank(), {}
    common = json.loads((folder / "prompts.json").read_text())
    ids, mask = torch.tensor(common["ids"]), torch.tensor(common["mask"])
    for window in (0, 3, "auto"):
        for sample in (False, True):
            more = {"num_return_sequences": common["draws"], "temperature": 0.8} if sample else {}
            out = kad.generate(
                base, proxy, input_ids=ids, attention_mask=mask, target=kad.dual(0.3), window=window,
                do_sample=sample, max_new_tokens=3 if sample else 14, seed=100 + rank, **more,
            )  # fmt: skip
            rows = [row[:n].tolist() for row, n in zip(out.trace.ids, out.trace.lengths, strict=True)]
            found[f"{window} {sample}"] = {"rows": rows, "fed": out.trace.base_fed.tolist()}
    (folder / f"rank{rank}.json").write_text(json.dumps(found))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
