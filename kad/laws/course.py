"""The states of a stateful target's rows: along the drafts of a round, and behind what was emitted."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ..cut import Cut
from ..decisions import Decision, Reading, decide
from ..stateful import Stateful
from ..target import Target
from ..transfers import ordinals, upload
from .trial import Trial

Decide = Callable[[Target, Reading, Reading | None, Tensor], Decision | None]


class Course:
    """Where every row is on its way.

    Attributes:
        target: which says how it goes on.
        state: ``(B, ...)``, before each row's next token; None before the first round.
        along: ``(B, n + 1, ...)``, before every draft of the round and behind the last, as if all stood.
    """

    def __init__(self, target: Stateful) -> None:
        self.target = target
        self.state: Tensor | None = None
        self.along = torch.empty(0)

    def now(self) -> Target:
        """The target at every row's next token."""
        assert self.state is not None, "the first token is decided in a round"
        return self.target.at(self.state)

    def decide(self, trial: Trial, decide: Decide) -> Decision | None:
        """The decision at every place where it can be known yet: each needs the deferred mass of the one before."""
        drafts, places, target = trial.drafts, trial.places, self.target
        n, q = drafts.width, None
        if target.reads_proxy and n:
            q = drafts.reading()
        if self.state is None:
            self.state = target.first(trial.base.for_rule(target)[:, 0])
        state, states, found = self.state, [self.state], list[Decision]()
        counts = upload(places, state.device)
        for i in range(n if target.reads_proxy else n + 1):  # at the last place the proxy has not spoken yet
            here = (slice(None), i)
            decision = mixed_at(target, decide(target.at(state), trial.base.at(here), q and q.at(here), places[:, i]))
            found.append(decision)
            if i < n:
                state = chosen(counts[:, i + 1], target.follow(state, decision.alpha, drafts.tokens[:, i]), state)
                states.append(state)
        self.along = torch.stack(states, 1)
        return at_all_places(found, trial.base.for_rule(target)) if found else None

    def emitted(
        self, accepted: Tensor, alpha: Tensor, token: Tensor, some: tuple[Tensor, Tensor], running: Tensor
    ) -> None:
        """Each row's drafts up to ``accepted (B,)`` stand, and in some rows a token behind them.

        Args:
            accepted, token: ``(B,)``, where the states are.
            alpha: ``(B, n + 1)``, the deferred mass.
            some: ``(B,)`` each, the rows with a replacement, and those whose last token stands.
            running: ``(B,)`` on the CPU; the other rows stay where they are.
        """
        assert self.state is not None
        state = self.along[ordinals(len(accepted), accepted.device), accepted]
        there = alpha.gather(1, accepted.unsqueeze(-1)).squeeze(-1)
        falls, keep = (upload(where, state.device) for where in some)
        new = chosen(falls | keep, self.target.follow(state, there, token), state)
        self.state = chosen(upload(running, new.device), new, self.state)

    def settled(self, where: Tensor, alpha: Tensor, token: Tensor) -> None:
        """The rows ``where`` (on the CPU) have the token that they owed."""
        assert self.state is not None
        device = self.state.device
        new = self.target.follow(self.state, upload(alpha, device), token)
        self.state = chosen(upload(where, device), new, self.state)

    def select(self, index: Tensor) -> None:
        """Keep only these rows."""
        if self.state is not None:
            self.state = self.state[upload(index, self.state.device)]


def walk(target: Target, base: Reading, proxy: Reading, tokens: Tensor) -> Iterator[tuple[Target, Decision | None]]:
    """What a target is at every place of texts that are known, and its decision there.

    Args:
        target: with a state, which begins at the first place, or without, which is the same at each.
        base, proxy: ``(B, n, V)``.
        tokens: those at the first places, ``(B, n - 1)`` or more.
    """
    moving = target.stateful
    state = None if moving is None else moving.first(base.for_rule(target)[:, 0])
    for place in range(base.plain.shape[1]):
        here = slice(None), place
        rule = target if moving is None else moving.at(state)
        decision = decide(rule, base.at(here), proxy.at(here))
        if moving is not None:
            decision = mixed_at(moving, decision)
        yield rule, decision
        if moving is not None and decision is not None and place < tokens.shape[1]:
            state = moving.follow(state, decision.alpha, tokens[:, place].to(decision.alpha.device))


def mixed_at(target: Stateful, decision: Decision | None) -> Decision:
    """The decision of what a target is at some state, or one sentence if that is no mixture."""
    if decision is None:
        raise ValueError(f"{type(target).__name__}.at must return a mixture, such as kad.dual(0.4).")
    return decision


def chosen(where: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """The new states of the rows ``where (B,)``, the old ones of the others."""
    if new.shape != old.shape:
        raise ValueError(
            f"a stateful target's follow must return states of the shape {tuple(old.shape)} that it is given, got {tuple(new.shape)}."
        )
    return torch.where(where.view(-1, *[1] * (old.ndim - 1)), new.to(old.dtype), old)


def at_all_places(found: list[Decision], rule: Tensor) -> Decision:
    """Decisions at single places ``(B, ...)`` as one at all of them, ``(B, places, ...)``."""
    alpha, kinds = torch.stack([d.alpha for d in found], 1), [d.kind for d in found]
    rule = rule[:, : len(found)]
    cuts = [kind for kind in kinds if isinstance(kind, Cut)]
    if len(cuts) < len(kinds):
        return Decision(rule, alpha, torch.stack([d.dense() for d in found], 1))
    criticals, shares = ([getattr(cut, name) for cut in cuts] for name in ("critical", "share"))
    some = criticals[0] is not None, shares[0] is not None
    cut = Cut(
        torch.stack([cut.value for cut in cuts], 1), torch.stack([cut.alpha for cut in cuts], 1),
        torch.stack(criticals, 1) if some[0] else None, torch.stack(shares, 1) if some[1] else None, cuts[0].tied,
    )  # fmt: skip
    return Decision(rule, alpha, cut)
