"""The exact law of what the loop emits: one row of a batch per outcome of its random decisions."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import Tensor
from transformers import TemperatureLogitsWarper

import kad
from kad.arithmetic import CPU, Arithmetic
from kad.chances import Chance
from kad.decoding.journal import Journal
from kad.decoding.lanes import Lane
from kad.decoding.loop import Decoder
from kad.decoding.model import Model
from kad.decoding.sampling import Sampling

DOUBLE = torch.float64


TOGETHER = 256  # outcomes that are run in one batch


class TableModel(Model):
    """A tabular model: the next-token logits depend on the last ``order`` tokens. Its law can be enumerated.

    Attributes:
        table: ``(V,) * order + (V,)`` logits; contexts before the beginning count as token 0.
        seen: ``(B, n)``, the tokens read so far.
    """

    def __init__(self, name: str, table: Tensor, rows: int) -> None:
        super().__init__(name, table.device, table.shape[-1])
        self.table, self.order = table, table.ndim - 1
        self.seen = torch.zeros(rows, 0, dtype=torch.long, device=table.device)

    def run(self, tokens: Tensor, positions: Tensor, valid: Tensor, keep: int) -> Tensor:
        longer = int(positions.max()) + 1 - self.seen.shape[1]
        self.seen = torch.nn.functional.pad(self.seen, (0, max(0, longer)))
        self.seen[valid.nonzero(as_tuple=True)[0], positions[valid]] = tokens[valid]
        context = []
        for back in range(self.order):
            at = positions[:, -keep:] - back
            context.append(torch.where(at >= 0, self.seen.gather(1, at.clamp_min(0)), 0))
        return self.table[tuple(reversed(context))]

    def rollback(self, read: Tensor) -> None:
        pass

    def select(self, index: Tensor) -> None:
        self.seen = self.seen[index]


class Script(Chance):
    """Replays a list of choices per row; past its end takes the first outcome and notes the alternatives.

    Rows whose decision does not count (they have ended, say, and others have not) choose nothing.
    """

    def __init__(self, choices: list[list[int]]) -> None:
        self.choices, self.at, self.weight = choices, [0] * len(choices), [1.0] * len(choices)
        self.open: list[list[int]] = []
        self.rows: list[int] = []
        self.counts: list[bool] = []

    def __len__(self) -> int:
        return len(self.choices)

    def about(self, rows: Tensor, place: Tensor, where: Tensor, what: str, step: int = 0) -> None:
        self.rows, self.counts = rows.tolist(), where.tolist()

    def choose(self, row: int, weights: list[float]) -> int:
        possible = [i for i, w in enumerate(weights) if w > 0]
        if len(possible) == 1:
            return possible[0]
        if self.at[row] < len(self.choices[row]):
            choice = self.choices[row][self.at[row]]
        else:
            choice = possible[0]
            self.open += [[*self.choices[row], i] for i in possible[1:]]
            self.choices[row] = [*self.choices[row], choice]
        self.at[row] += 1
        self.weight[row] *= weights[choice] / sum(weights)
        return choice

    def pick(self, weights: Tensor) -> Tensor:
        decisions = zip(self.rows, self.counts, weights.tolist(), strict=True)
        return torch.tensor([self.choose(row, w) if counts else 0 for row, counts, w in decisions])

    def coin(self, probability: Tensor) -> Tensor:
        return self.pick(torch.stack([1 - probability, probability], -1)).bool()

    def leading(self, probability: Tensor) -> Tensor:
        found = []
        for row, counts, chances in zip(self.rows, self.counts, probability.tolist(), strict=True):
            fails = (i for i, p in enumerate(chances) if not self.choose(row, [1 - p, p]))
            found.append(next(fails, len(chances)) if counts else 0)
        return torch.tensor(found)


def tables(seed: int, vocabulary: int, count: int = 3, order: int = 2) -> list[Tensor]:
    """Random logits tables, one per model."""
    generator = torch.Generator().manual_seed(seed)
    shape = [vocabulary] * (order + 1)
    return [1.5 * torch.randn(shape, generator=generator, dtype=DOUBLE) for _ in range(count)]


def decoder(
    target: kad.Target, models: list[Tensor], prompt: Tensor, length: int, window: int | kad.AutoWindow, chance: Script, *,
    temperature: float = 1.0, stop: int | None = None, keep_scores: bool = False,
    arithmetic: Arithmetic = CPU,
) -> Decoder:  # fmt: skip
    """A decoder of table models with one row of the same prompt for each of the chance's scripts."""
    prompts = [prompt] * len(chance)
    lanes = [
        Lane(TableModel(name, table, len(prompts)), prompts, length)
        for name, table in zip(("base", "proxy", "q"), models, strict=True)
    ]
    warpers = [] if temperature == 1 else [TemperatureLogitsWarper(temperature)]
    return Decoder(
        lanes[0], lanes[1], target, window=window, chance=chance,
        sampling=Sampling(processors=warpers, both=target.placement != "models", arithmetic=arithmetic),
        journal=Journal(torch.stack(prompts), length, [] if stop is None else [stop], pad=0, keep_scores=keep_scores),
        reference=lanes[2] if target.reference is not None else None,
    )  # fmt: skip


def emitted_law(build: Callable[[Script], Decoder], together: int = TOGETHER) -> dict[tuple[int, ...], float]:
    """The probability of every emitted sequence, from a decoder with one row for every script of its chance.

    Outcomes share batches, so rows part ways and end at different times; ``together=1`` runs each alone.
    """
    found: dict[tuple[int, ...], float] = {}
    stack: list[list[int]] = [[]]
    while stack:
        script = Script(stack[-together:])
        del stack[-together:]
        trace = build(script).run()
        stack += script.open
        for ids, length, weight in zip(trace.ids.tolist(), trace.lengths.tolist(), script.weight, strict=True):
            sequence = tuple(ids[:length])
            found[sequence] = found.get(sequence, 0.0) + weight
    return found


def chain_law(
    target: kad.Target, models: list[Tensor], prompt: Tensor, length: int, temperature: float, stop: int | None
) -> dict[tuple[int, ...], float]:
    """The same from the definition: the product of π along every sequence, written with NumPy-like plain formulas."""
    order, vocabulary = models[0].ndim - 1, models[0].shape[-1]
    out: dict[tuple[int, ...], float] = {}

    def heat(p: Tensor, t: float) -> Tensor:
        hot = p ** (1 / t)
        return hot / hot.sum()

    def pi(context: list[int]) -> Tensor:
        at = tuple(([0] * order + context)[-order:])
        p, q, r = (m[at].exp() / m[at].exp().sum() for m in models)
        cold, hot = (p, q, r), tuple(heat(x, temperature) for x in (p, q, r))
        if target.placement == "mixture":
            return heat(target(*cold) if target.reference is not None else target(*cold[:2]), temperature)
        if target.placement == "models" or not isinstance(target, kad.Mixture):
            return target(*hot) if target.reference is not None else target(*hot[:2])
        d = target.solver.defer(target.loss(cold[0], cold[1]), cold[0])
        return hot[0] * (1 - d) + (hot[0] * d).sum() * hot[1]

    for sequence in itertools.product(range(vocabulary), repeat=length):
        context, weight, emitted = prompt.tolist(), 1.0, []
        for token in sequence:
            weight *= float(pi(context)[token])
            context.append(token)
            emitted.append(token)
            if token == stop:
                break
        key = tuple(emitted)
        out[key] = weight  # sequences with the same stopped prefix agree
    return out
