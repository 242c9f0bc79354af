"""A small world of everything that a result is of, each part of which an edit may change, and an engine that answers at once.

The engine's text is a hash of everything that it was given, so that every text says what it is of.
"""

from __future__ import annotations

import copy
import json
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from kad.checkpoints import Checkpoints
from kad.engines import Generated, Generations
from kad.evaluation.job import Job, Unit
from kad.evaluation.methods import methods_of
from kad.evaluation.plan import Block, Plan
from kad.evaluation.task import messages, render

TEMPLATES = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<a>{% if thinking %}think{% endif %}",
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[a]",
)
ROWS = 20


def engine(said: dict[str, tuple[Any, ...]], calls: list[tuple[Any, ...]], job: Job, unit: Unit) -> Generations:
    """One call: for every question some tokens, and what they are of."""
    c, tokenizer = unit.configuration, job.checkpoints.aligned_tokenizer
    texts = []
    for item in unit.items:
        prompt = render(
            tokenizer, messages(unit.questions.task, item, unit.questions.examples), dict(job.plan.template)
        )
        filtered = c.filtered.replace("min-p 0", "") if c.min_p == 0 else c.filtered
        law = (
            c.method,
            c.value,
            c.placement,
            c.window,
            c.temperature,
            filtered,
            c.new_tokens,
            c.template,
            c.models,
            c.part,
        )
        what = (prompt, item.id, law, unit.seed, c.engine, c.law)
        rng = random.Random(repr(what))
        ids = [rng.randrange(4, 258) for _ in range(8)]
        text = tokenizer.decode(ids, skip_special_tokens=True)
        said[text] = (
            unit.questions.task.instruction,
            tokenizer.chat_template,
            *what,
        )
        calls.append(what)
        counts = dict.fromkeys(("rounds", "base_fed", "proxy_fed", "drafted", "accepted"), 0)
        texts.append(Generated(tuple(ids), text, "b" * 8, (0.0,) * 8, counts))
    return Generations(texts, 0.1)


@dataclass
class World:
    """Everything that an edit may change."""

    folder: Path
    models: Checkpoints
    task: dict[str, Any] = field(default_factory=lambda: {"instruction": "Think.", "kind": "number"})
    plan: dict[str, Any] = field(default_factory=lambda: {"count": 9, "seeds": (0,), "part": "all", "template": ()})
    method: str = "dual:0.4"
    block: dict[str, Any] = field(default_factory=dict)
    chat: int = 0
    mark: str = "one"
    batch: int = 64
    size: int = ROWS
    questions: list[str] = field(default_factory=lambda: [f"How many is {i}?" for i in range(ROWS)])
    golds: list[str] = field(default_factory=lambda: [str(i) for i in range(ROWS)])

    def job(self) -> Job:
        rows = [{"question": q, "answer": g} for q, g in zip(self.questions, self.golds, strict=True)][: self.size]
        (self.folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (self.folder / "task.yaml").write_text(yaml.safe_dump({"name": "quiz", "file": "rows.jsonl", **self.task}))
        tokenizer = copy.copy(self.models.tokenizer)
        tokenizer.chat_template = TEMPLATES[self.chat]
        given = Checkpoints(self.models.models, tokenizer)
        given.__dict__["fingerprints"] = (("base", self.mark), ("proxy", "proxy"))
        block = Block(tuple(methods_of(self.method)), **self.block)
        return Job(Plan((str(self.folder / "task.yaml"),), (block,), **self.plan), given, batch=self.batch)


EDITS = {
    "instruction": lambda w, i: w.task.update(instruction=("Think.", "Think twice.", "")[i % 3]),
    "kind": lambda w, i: w.task.update(kind=("number", "boxed")[i % 2]),
    "default instruction": lambda w, i: w.task.pop("instruction", None),
    "template": lambda w, i: setattr(w, "chat", i % 2),
    "variables": lambda w, i: w.plan.update(template=((), (("thinking", True),), (("thinking", False),))[i % 3]),
    "part": lambda w, i: w.plan.update(part=("all", "dev", "test")[i % 3]),
    "seeds": lambda w, i: w.plan.update(seeds=((0,), (0, 1), (2,), (1, 0, 2))[i % 4]),
    "n": lambda w, i: w.plan.update(count=(1, 3, 12, None)[i % 4]),
    "tokens": lambda w, i: w.plan.update(new_tokens=(None, 9, 512)[i % 3]),
    "shots": lambda w, i: w.plan.update(shots=i % 2 if w.plan["part"] != "dev" else 0),
    "method": lambda w, i: setattr(w, "method", ("dual:0.4,0.5", "primal", "p", "Squared*primal:0.5", "kad.Ensemble:0.5")[i % 5]),
    "temperature": lambda w, i: w.block.update(temperatures=((0.7,), (None,), (1.0, 0.7))[i % 3]),
    "placement": lambda w, i: w.block.update(placements=(("models",), ("draws", "mixture"))[i % 2]),
    "filters": lambda w, i: w.block.update(filters=(((),), ((("min_p", 0.3),),), ((("min_p", 0.0),),))[i % 3]),
    "model": lambda w, i: setattr(w, "mark", ("one", "two")[i % 2]),
    "batch": lambda w, i: setattr(w, "batch", (64, 4)[i % 2]),
    "question": lambda w, i: w.questions.__setitem__(i % 6, f"How much is {i % 6}{'?' * (i % 2)}"),
    "data": lambda w, i: setattr(w, "size", (ROWS, 12)[i % 2]),
    "gold": lambda w, i: w.golds.__setitem__(i % 6, str(100 + i % 3)),
}  # fmt: skip
