"""``check_engine``."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..engines import CAPABILITIES, Engine, Generated, Generations, Settings
from ..mixture import dual
from ..target import Target
from .claims import claim, right_kind

TEXT_LENGTH = 8


def check_engine(engine: Engine, prompts: Sequence[Sequence[int]], target: Target | None = None) -> None:
    """Check an engine on a few prompts: texts, seeds, what it says that it can, and its scores against its texts.

    Checked are that every prompt gets one text of at most so many tokens; that greedy texts, and sampled ones of the same
    seeds, come out alike again, in another order and alone; that what is told of a text (origins, α, counts) is told of all of its
    tokens, and of no engine that has not claimed it; and that scores are distributions whose mode is what was emitted
    greedily. Whether texts have the law of π is not checked: that takes many of them.

    Args:
        engine: to check.
        prompts: three or more, of ids.
        target: what is sampled; by default a mixture.

    Raises:
        AssertionError: one sentence that says which claim failed and on what input.

    >>> import kad
    >>> from kad.checkpoints import load_checkpoints
    >>> from kad.engines import HuggingFace
    >>> engine = HuggingFace(load_checkpoints({}))
    >>> check_engine(engine, [engine.tokenizer(text)["input_ids"] for text in ("q : tom", "worksheet .", "count 3 4")])
    """
    right_kind(engine, Engine)
    target, name = dual(0.4) if target is None else target, type(engine).__name__
    claim(len(prompts) >= 3, "give three prompts or more.")
    unknown = sorted(engine.capabilities - set(CAPABILITIES))
    claim(not unknown, f"{name} claims {unknown}, which are none of kad.engines.CAPABILITIES.")
    greedy = Settings(new_tokens=TEXT_LENGTH)
    drawn = Settings(new_tokens=TEXT_LENGTH, temperature=1.0)
    for settings, seeds in ((greedy, None), (drawn, [*range(11, 11 + len(prompts))])):
        out = engine.generate(prompts, target, settings, seeds)
        check_texts(engine, out, len(prompts))
        for order in ([*range(len(prompts))][::-1], [1]):
            again = engine.generate([prompts[i] for i in order], target, settings, seeds and [seeds[i] for i in order])
            same = [x.ids for x in again.texts] == [out.texts[i].ids for i in order]
            how = "greedily" if seeds is None else "with the same seeds"
            claim(same, f"{name} gives prompts another text {how} in another batch, {order}.")
    if "score" in engine.capabilities:
        for prompt, text in zip(prompts, engine.generate(prompts, target, greedy).texts, strict=True):
            check_scores(engine, prompt, text, target)


def check_texts(engine: Engine, out: Generations, count: int) -> None:
    """One text per prompt, with what is told of it."""
    name = type(engine).__name__
    claim(len(out.texts) == count, f"{name} returned {len(out.texts)} texts for {count} prompts.")
    claim(out.seconds >= 0, f"{name} says that it took {out.seconds} seconds.")
    for text in out.texts:
        n = len(text.ids)
        claim(0 < n <= TEXT_LENGTH, f"{name} returned {n} tokens where 1 to {TEXT_LENGTH} were to be.")
        for capability, told in (("origins", text.origins), ("alphas", text.alphas)):
            claimed = capability in engine.capabilities
            claim((told is not None) == claimed, f"{name} {'claims' if claimed else 'does not claim'} {capability}.")
            claim(told is None or len(told) == n, f"{name} returned {capability} of other tokens than its {n}.")
        claim(bool(text.counts) == ("counts" in engine.capabilities), f"{name} claims counts, or does not, and errs.")
        claim(all(a is None or 0 <= a <= 1 for a in text.alphas or ()), f"{name} returned an α outside [0, 1].")


def check_scores(engine: Engine, prompt: Sequence[int], text: Generated, target: Target) -> None:
    """Distributions, whose mode was emitted."""
    ids = torch.tensor([[*prompt, *text.ids[:-1]]])
    pi = engine.score(ids, target, Settings(), start=len(prompt) - 1).pi
    name, n = type(engine).__name__, len(text.ids)
    claim(tuple(pi.shape[:2]) == (1, n), f"{name}.score returned {tuple(pi.shape)} for {n} places.")
    claim(bool((pi >= 0).all()) and bool(((pi.sum(-1) - 1).abs() < 1e-3).all()), f"{name}.score is no distribution.")
    emitted = pi[0].gather(-1, torch.tensor(text.ids).unsqueeze(-1)).squeeze(-1)
    best = bool((emitted >= pi[0].amax(-1) * (1 - 1e-4)).all())
    claim(best, f"{name} emits greedily what its scores hold to be less likely than another token.")
