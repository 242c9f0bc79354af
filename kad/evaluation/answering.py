"""What is done where the models are: the questions of a batch are answered, or an answer is read once more."""

from __future__ import annotations

import torch
from torch import Tensor

from ..decoding.colour import pieces
from ..engines import Generations
from .configuration import seed_of
from .grading import grader_of, verdict
from .job import Job, Unit, settings_of
from .questions import ids_of
from .schema import Line

RIVALS, DIGITS = 5, 4


def answers(job: Job, unit: Unit) -> list[Line]:
    """Decode one batch and score it."""
    c, kind, aligned = unit.configuration, unit.questions.task.answer, job.checkpoints.aligned_tokenizer
    out, grader, lines = call_engine(job, unit), grader_of(kind), []
    for item, text in zip(unit.items, out.texts, strict=True):
        # A row that ends at the limit by its own last token counts as cut off too: the trace does not tell them apart.
        finished = len(text.ids) < c.new_tokens
        answer, correct = verdict(kind, text.text, item.gold, finished, item.options)
        lines.append(
            {"key": c.key, "seed": unit.seed, "item": item.id, "question": unit.questions.mark(aligned, item),
             **text.line(), "answer": answer, "gold": item.gold, "correct": correct, "grader": grader, "finished": finished,
             **({"options": list(item.options)} if item.options else {}),
             "seconds": round(out.seconds / len(unit.items), 6)}
        )  # fmt: skip
    return lines


def prompts_of_unit(job: Job, unit: Unit) -> tuple[list[list[int]], list[list[int]] | None]:
    """The prompts of one batch as ids, and in the proxy's own where its vocabulary is another."""
    aligned, other = job.checkpoints.aligned_tokenizer, job.checkpoints.proxy_tokenizer
    prompts = [unit.questions.prompt(aligned, item) for item in unit.items]
    tokenizer = job.checkpoints.tokenizer_of(unit.configuration.of.kind.base)
    mapped = other is not None and tokenizer is not other
    return ids_of(prompts, tokenizer, aligned), ids_of(prompts, other, aligned) if mapped else None


def call_engine(job: Job, unit: Unit) -> Generations:
    """The engine's texts of one batch."""
    c, (prompts, proxy_prompts) = unit.configuration, prompts_of_unit(job, unit)
    seeds = None if c.temperature is None else [seed_of(c, item.id, unit.seed) for item in unit.items]
    return job.engine.generate(
        prompts, job.target(c), settings_of(c), seeds, base=c.of.kind.base, proxy_prompts=proxy_prompts
    )  # fmt: skip


def rivals(p: Tensor, q: Tensor, pi: Tensor) -> Tensor:
    """The tokens that one of the distributions ``(n, V)`` finds likeliest, ``(n, RIVALS + 1)``."""
    largest = torch.maximum(torch.maximum(p, q), pi)
    return largest.topk(min(RIVALS + 1, largest.shape[-1])).indices


def trace_of(job: Job, unit: Unit, row: Line) -> Line:
    """Every token of an answer with α, p, q*, π, and its best rivals: both models read the text once more.

    Args:
        unit: of one question.
        row: its answer.
    """
    configuration, (item,), aligned = unit.configuration, unit.items, job.checkpoints.aligned_tokenizer
    tokenizer, target = job.checkpoints.tokenizer_of(configuration.of.kind.base), job.target(configuration)
    first, emitted = ids_of([unit.questions.prompt(aligned, item)], tokenizer, aligned)[0], list(row["ids"])
    found = job.engine.score(
        torch.tensor([[*first, *emitted[:-1]]]), target, settings_of(configuration), start=len(first) - 1,
        base=configuration.of.kind.base,
    )  # fmt: skip
    every = found.base.for_mixture(target), found.proxy.for_mixture(target), found.pi
    p, q, pi = (x[0, : len(emitted)] for x in every)
    ids = torch.cat([torch.tensor(emitted, dtype=torch.long, device=p.device).unsqueeze(-1), rivals(p, q, pi)], -1)
    there = torch.stack([x.gather(1, ids) for x in (p, q, pi)], -1).tolist()  # only these numbers leave the device
    tokens = []
    for i, (text, shown, known) in enumerate(zip(pieces(tokenizer, emitted), ids.tolist(), there, strict=True)):
        id, numbers = shown[0], {v: [round(x, DIGITS) for x in given] for v, given in zip(shown, known, strict=True)}
        best = [v for v in shown[1:] if v != id][:RIVALS]
        tokens.append(
            {"text": text or tokenizer.decode([id]), "origin": row.get("origins", "t" * len(emitted))[i],
             "alpha": row["alphas"][i] if row.get("alphas") else None,
             "own": numbers[id], "rivals": [[tokenizer.decode([v]), *numbers[v]] for v in best]}
        )  # fmt: skip
    return {
        "key": configuration.key, "item": item.id, "seed": row["seed"], "mark": row["question"],
        "question": item.question, "gold": row["gold"], "answer": row["answer"], "correct": row["correct"], "tokens": tokens,
    }  # fmt: skip
