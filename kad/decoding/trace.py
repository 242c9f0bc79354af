"""What happened: per token where it came from, per round what was drafted, in total what it cost."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..origins import ORIGINS, Origin
from .deferral import DeferralShare, deferral_of


@dataclass(frozen=True)
class TokenTrace:
    """One emitted token.

    Attributes:
        id: the token.
        origin: "base" (the base's own draw, kept; also the replacement of a rejected draft, which is drawn from the
            kept tokens), "proxy" (drawn from q*: an accepted draft, or because the base's draw was deferred), or
            "target" (drawn from a π that does not tell, such as implicit reward's).
        alpha: the mass that the target deferred at this position, in [0, 1] and exactly 1 where everything was; NaN if
            the target is not a mixture. It is shown to four places: further ones are the rounding of a float32 sum.
        accepted: True for an accepted draft, False for the replacement of a rejected one, None if nothing was
            drafted for this position.
    """

    id: int
    origin: Origin
    alpha: float
    accepted: bool | None

    def __repr__(self) -> str:
        shown = f"id={self.id}, origin={self.origin!r}, alpha={round(self.alpha, 4)}, accepted={self.accepted}"
        return f"TokenTrace({shown})"


@dataclass(frozen=True)
class Verdicts:
    """One verification pass of the base model, row by row; rows that did not take part have ``drafted`` −1.

    Attributes:
        drafted: ``(B,)``, drafts put to the test.
        accepted: ``(B,)``, how many passed.
        probability: ``(B, n)``, min(1, π(x)/q*(x)) of every draft, also of those after the first rejection.
    """

    drafted: Tensor
    accepted: Tensor
    probability: Tensor


@dataclass
class Trace:
    """The trace of one call, for every row of the batch.

    Attributes:
        ids, origins, alphas, accepts: ``(B, N)``; ``accepts`` is 1, 0, or −1 where nothing was drafted.
        lengths: ``(B,)``, tokens emitted per row.
        rounds: the verification rounds.
        base_passes, proxy_passes, reference_passes: model calls.
        base_fed, proxy_fed: ``(B,)``, tokens fed to each model, prompt included. A pass over ragged rows computes more
            places than that, rows times its width; ``kad bench`` counts both.
        settings: the sampling settings that were used in the end.
        states: of a `kad.Stateful` target before every token, ``(B, N)`` or ``(B, N, k)``, such as a price; None of any other.

    >>> import kad
    >>> pair = kad.demo.load()
    >>> prompt = "q : tom has 6 apples . he loses 2 . he finds 9 more . how many apples does tom have now ? a :"
    >>> out = kad.generate(pair.base, pair.proxy, prompt, target=kad.dual(0.4), tokenizer=pair.tokenizer, window=3)
    >>> [(pair.tokenizer.decode([t.id]), t.origin) for t in out.trace.tokens()[:4]]
    [('first', 'proxy'), ('6', 'proxy'), ('-', 'proxy'), ('2', 'base')]
    >>> out.trace.drafted, out.trace.accepted, out.trace.base_passes
    (13, 13, 5)
    """

    ids: Tensor
    origins: Tensor
    alphas: Tensor
    accepts: Tensor
    lengths: Tensor
    rounds: list[Verdicts] = field(default_factory=list)
    base_passes: int = 0
    proxy_passes: int = 0
    reference_passes: int = 0
    base_fed: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.long))
    proxy_fed: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.long))
    settings: dict[str, object] = field(default_factory=dict)
    states: Tensor | None = None

    def tokens(self, row: int = 0) -> list[TokenTrace]:
        """The emitted tokens of one row."""
        verdict = {1: True, 0: False, -1: None}
        n = int(self.lengths[row])
        columns = (x[row, :n].tolist() for x in (self.ids, self.origins, self.alphas, self.accepts))
        return [TokenTrace(i, ORIGINS[o], a, verdict[v]) for i, o, a, v in zip(*columns, strict=True)]

    @property
    def emitted(self) -> list[list[int]]:
        """The ids of every row without its padding, whose token may be a word of the text."""
        return [row[:n] for row, n in zip(self.ids.tolist(), self.lengths.tolist(), strict=True)]

    @property
    def drafted(self) -> int:
        """Drafts put to the test."""
        return sum(int(r.drafted.clamp_min(0).sum()) for r in self.rounds)

    @property
    def accepted(self) -> int:
        """Drafts that passed."""
        return sum(int(r.accepted.sum()) for r in self.rounds)

    @property
    def acceptance_rate(self) -> float:
        """Accepted over drafted tokens; NaN when nothing was drafted."""
        return self.accepted / self.drafted if self.drafted else float("nan")

    @property
    def mean_accepted_length(self) -> float:
        """Accepted drafts per row and verification pass; NaN without one."""
        taking_part = sum(int((r.drafted >= 0).sum()) for r in self.rounds)
        return self.accepted / taking_part if taking_part else float("nan")

    @property
    def tokens_per_base_pass(self) -> float:
        """Emitted tokens per row and pass of the base; NaN without one."""
        taking_part = sum(int((r.drafted >= 0).sum()) for r in self.rounds)
        return int(self.lengths.sum()) / taking_part if taking_part else float("nan")

    @property
    def acceptance_by_position(self) -> list[float]:
        """For every place in the window: of the drafts that were reached there, the share that passed."""
        rates = []
        for i in range(max((int(r.drafted.max()) for r in self.rounds), default=0)):
            reached = sum(int(((r.drafted > i) & (r.accepted >= i)).sum()) for r in self.rounds)
            passed = sum(int((r.accepted > i).sum()) for r in self.rounds)
            rates.append(passed / reached if reached else float("nan"))
        return rates

    @property
    def deferral_rate(self) -> float:
        """Mean deferred mass α over all emitted tokens; NaN if the target is not a mixture."""
        inside = torch.arange(self.alphas.shape[1]) < self.lengths.unsqueeze(-1)
        return float(self.alphas[inside].mean()) if bool(inside.any()) else float("nan")

    def deferral(self, row: int | None = None) -> DeferralShare:
        """How much was deferred, by mass and by origin, and where in the texts; of one row, or of all.

        >>> import kad
        >>> pair = kad.demo.load()
        >>> prompt = "q : tom has 6 apples . he loses 2 . he finds 9 more . how many apples does tom have now ? a :"
        >>> out = kad.generate(pair.base, pair.proxy, prompt, target=kad.dual(0.4), tokenizer=pair.tokenizer, window=0)
        >>> found = out.trace.deferral()
        >>> found.tokens, round(found.mass, 2), [round(x, 2) for x in found.first[:4]]
        (17, 0.13, [1.0, 0.0, 0.01, 0.0])
        """
        rows = range(len(self.lengths)) if row is None else [row]
        lengths = self.lengths.tolist()
        return deferral_of(
            (self.alphas[i, : lengths[i]].tolist(), "".join("bqt"[o] for o in self.origins[i, : lengths[i]].tolist()))
            for i in rows
        )

    def summary(self) -> dict[str, object]:
        """The totals, ready for JSON (None instead of NaN)."""
        totals = {
            "tokens": int(self.lengths.sum()),
            "base_passes": self.base_passes,
            "proxy_passes": self.proxy_passes,
            "reference_passes": self.reference_passes,
            "base_fed": int(self.base_fed.sum()),
            "proxy_fed": int(self.proxy_fed.sum()),
            "drafted": self.drafted,
            "accepted": self.accepted,
            "acceptance_rate": self.acceptance_rate,
            "mean_accepted_length": self.mean_accepted_length,
            "tokens_per_base_pass": self.tokens_per_base_pass,
            "acceptance_by_position": [None if rate != rate else rate for rate in self.acceptance_by_position],
            "deferral_rate": self.deferral_rate,
            "settings": self.settings,
        }
        return {key: None if isinstance(value, float) and value != value else value for key, value in totals.items()}
