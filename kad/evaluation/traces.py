"""For people who want to see a decision: every token of some answers with α, p, q*, π, and its best rivals.

The texts are those of the store; both models read them once more, with the same filters and temperature as when they were
sampled.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import torch
from transformers import MinPLogitsWarper, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from ..decisions import Reading, decide, law
from ..decoding.colour import pieces
from ..decoding.sampling import Sampling
from ..vocabulary import output_size, shared_vocabulary
from .plan import Configuration
from .runner import Job, ids_of, tokenizer_of
from .store import Line, Store, write_whole
from .task import Item, messages, render

TRACES, RIVALS, DIGITS = "traces.json", 5, 4


def explain(job: Job, store: Store, rows: Sequence[Line], count: int) -> int:
    """Write the traces of the first ``count`` questions of every configuration with its first seed; how many are new.

    Pairs with different tokenizers are left out: p and q* are then not over the same tokens.
    """
    if job.checkpoints.proxy_tokenizer is not None or count < 1:
        return 0
    path = store.folder / TRACES
    known: list[Line] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    have = {(t["key"], t["item"], t["seed"]) for t in known}
    wanted = [(q, item) for q in job.questions for item in q.items[:count]]
    by_place = {(r["key"], r["item"], r["seed"]): r for r in rows}
    fresh = list[Line]()
    for configuration in job.configurations():
        seed = job.plan.seeds_of(configuration)[0]
        for questions, item in wanted:
            place = (configuration.key, item.id, seed)
            if questions.task.name == configuration.task and place in by_place and place not in have:
                turns = messages(questions.task, item, questions.examples)
                prompt = render(job.checkpoints.aligned_tokenizer, turns)
                fresh.append(trace_of(job, configuration, item, prompt, by_place[place]))
    if fresh:
        write_whole(path, json.dumps([*known, *fresh], ensure_ascii=False, allow_nan=False) + "\n")
    return len(fresh)


def sampling_of(configuration: Configuration, sizes: dict[str, int], tokens: int) -> tuple[int, Sampling]:
    """The common vocabulary, and the filters in Hugging Face's order."""
    size, forbidden = shared_vocabulary(sizes, tokens)
    warpers: list[Any] = []
    if configuration.temperature not in (None, 1.0):
        warpers.append(TemperatureLogitsWarper(configuration.temperature))
    if configuration.top_k is not None:
        warpers.append(TopKLogitsWarper(configuration.top_k))
    if configuration.top_p is not None:
        warpers.append(TopPLogitsWarper(configuration.top_p))
    if configuration.min_p is not None:
        warpers.append(MinPLogitsWarper(configuration.min_p))
    both = configuration.placement != "models"
    return size, Sampling(configuration.temperature is not None, warpers, forbidden, both)


@torch.no_grad()
def trace_of(job: Job, configuration: Configuration, item: Item, prompt: str, row: Line) -> Line:
    """One answer, token by token."""
    kind, models = configuration.of.kind, job.checkpoints.models
    tokenizer, target = tokenizer_of(job, configuration), job.target(configuration)
    used = {"base": models[kind.base], "proxy": models["proxy"]}
    if target.reference is not None:
        used["reference"] = target.reference
    size, sampling = sampling_of(configuration, {n: output_size(m) for n, m in used.items()}, len(tokenizer))
    first, emitted = ids_of([prompt], tokenizer)[0], list(row["ids"])
    found = dict[str, Reading]()
    for name, model in used.items():
        ids = torch.tensor([[*first, *emitted[:-1]]], device=model.device)
        logits = model(input_ids=ids).logits[:, len(first) - 1 :, :size].cpu()
        lengths = torch.arange(len(first), len(first) + len(emitted)).unsqueeze(0)
        found[name] = sampling.read(
            logits, lambda length: torch.zeros(1, length, dtype=torch.long), lengths, name != "reference"
        )
    base, proxy = found["base"], found["proxy"]
    decision = decide(target, base, proxy)
    pi = law(target, base, proxy, found.get("reference"), sampling.temperature, decision)[0]
    p, q = base.for_mixture(target)[0], proxy.for_mixture(target)[0]
    largest = torch.maximum(torch.maximum(p, q), pi)
    tokens = []
    for i, (id, text) in enumerate(zip(emitted, pieces(tokenizer, emitted), strict=True)):
        best = [v for v in largest[i].topk(RIVALS + 1).indices.tolist() if v != id][:RIVALS]
        numbers = {v: [round(float(x[i, v]), DIGITS) for x in (p, q, pi)] for v in [id, *best]}
        tokens.append(
            {"text": text or tokenizer.decode([id]), "origin": row["origins"][i], "alpha": row["alphas"][i],
             "own": numbers[id], "rivals": [[tokenizer.decode([v]), *numbers[v]] for v in best]}
        )  # fmt: skip
    return {"key": configuration.key, "item": item.id, "seed": row["seed"], "question": item.question, "gold": row["gold"],
            "answer": row["answer"], "correct": row["correct"], "tokens": tokens}  # fmt: skip
