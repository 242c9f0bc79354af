"""How many tokens to draft: a constant window, or the one that theory S10 finds best from what the run itself shows.

With acceptance a, a window of γ yields (1 − a^{γ+1}) / (1 − a) tokens a round (theory S10) and costs γ passes of the
proxy and one of the base over γ + 1 places. The best γ maximises their ratio, the rate; within a round one more draft
is worth its time as long as the chance that all drafts stand exceeds the rate times that time. Neither choice looks
at anything but the past and the drafts made so far, so the emitted law does not change.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from statistics import median

import numpy as np
import torch
from torch import Tensor


class Pace(ABC):
    """What the loop asks before and within every round, and tells after it."""

    @abstractmethod
    def window(self) -> int:
        """γ of the round that begins."""

    def more(self, chances: Callable[[], Tensor], drafted: Tensor, where: Tensor) -> bool:
        """Whether to draft one more token.

        Args:
            chances: gives q* of the tokens just drawn, ``(B,)``.
            drafted: rows for which they are drafts; for the others they settle a debt.
            where: rows that can take one more.
        """
        return True

    def drafted(self, seconds: float, passes: int) -> None:
        """The draft took so long."""

    def verified(self, seconds: float, places: int) -> None:
        """The base's pass over so many places a row, and all that follows from it, took so long."""

    def judged(self, chances: Tensor, drafted: Tensor, accepted: Tensor, alpha: Tensor) -> None:
        """What became of the drafts: q* of each ``(B, n)``, how many each row had and kept ``(B,)``, and α there."""


class Constant(Pace):
    """Always γ drafts."""

    def __init__(self, gamma: int) -> None:
        self.gamma = gamma

    def window(self) -> int:
        return self.gamma


@dataclass(frozen=True)
class AutoWindow:
    """``window="auto"``: the window is chosen while running, from acceptance and from what the two models cost.

    Attributes:
        longest: no window is longer.
        cost: what a proxy pass costs, as a share of a base pass. None: both are timed. Times vary, so without a
            given cost one seed may give another text from run to run (of the same law; greedy text in float32 and
            float64 stays what it is, in half precision up to the rounding of the models' logits).

    Raises:
        ValueError: longest < 1 or a cost that is not positive.

    >>> import kad
    >>> pair = kad.demo.load()
    >>> prompt = "q : tom has 6 apples . he loses 2 . he finds 9 more . how many apples does tom have now ? a :"
    >>> out = kad.generate(
    ...     pair.base, pair.proxy, prompt, target=kad.dual(0.4), tokenizer=pair.tokenizer, window=kad.AutoWindow(cost=0.2)
    ... )
    >>> pair.tokenizer.decode(out.trace.ids[0], skip_special_tokens=True)
    'first 6 - 2 = 4 . then 4 + 9 = 13 . #### 13'
    """

    longest: int = 15
    cost: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.longest, bool) or not isinstance(self.longest, int) or self.longest < 1:
            raise ValueError(f"AutoWindow longest must be an integer ≥ 1, got {self.longest!r}.")
        if self.cost is not None and (isinstance(self.cost, bool) or not isinstance(self.cost, Real)):
            raise ValueError(f"AutoWindow cost must be a number (proxy pass / base pass), got {self.cost!r}.")
        if self.cost is not None and not 0 < self.cost < float("inf"):
            raise ValueError(f"AutoWindow cost must be positive (proxy pass / base pass), got {self.cost}.")

    def pace(self, lazy: bool, settled: Callable[[Tensor], Tensor] = lambda value: value) -> Pace:
        """The chooser of one run.

        Args:
            lazy: at γ = 0 the proxy runs at a share α of the steps only (theory S11).
            settled: makes a value the same in every process, since times are not; see `Chance.settled`.
        """
        return Chooser(self, lazy, settled)


BINS = 8  # q* of a draft, by powers of two: drafts that the proxy is sure of stand more often
# Drafts' worth of belief: in the mean α before there are drafts, in their acceptance before a bin has its own.
PRIOR = 4.0
FIRST = (3, 1, 5)  # windows of the first rounds, so that the base's cost per place shows
PROBE = 16  # rounds without a draft after which one is drafted, to see whether acceptance has changed


class Chooser(Pace):
    """The state behind an `AutoWindow`."""

    def __init__(self, settings: AutoWindow, lazy: bool, settled: Callable[[Tensor], Tensor]) -> None:
        self.settings, self.lazy, self.settled = settings, lazy, settled
        self.rounds = self.idle = 0
        self.tested, self.stood = torch.zeros(BINS), torch.zeros(BINS)
        self.alphas: deque[float] = deque(maxlen=64)
        self.proxy_times: deque[float] = deque(maxlen=32)
        self.base_times: deque[tuple[int, float]] = deque(maxlen=64)
        self.survival = torch.ones(())  # how likely all drafts of the round stand, per row
        self.price = 0.0  # how likely they must be to stand for one more to be worth its time

    # -- what was seen ------------------------------------------------------------------------------------------

    def drafted(self, seconds: float, passes: int) -> None:
        if passes and self.rounds > 1:  # the first round reads the prompt
            self.proxy_times.append(seconds / passes)

    def verified(self, seconds: float, places: int) -> None:
        if self.rounds > 1:
            self.base_times.append((places, seconds))

    def judged(self, chances: Tensor, drafted: Tensor, accepted: Tensor, alpha: Tensor) -> None:
        place = torch.arange(chances.shape[1])
        stood = place < accepted.unsqueeze(-1)
        tested = place < torch.minimum(drafted, accepted + 1).unsqueeze(-1)
        at = bins(chances.cpu())
        self.tested += torch.bincount(at[tested], minlength=BINS)
        self.stood += torch.bincount(at[stood], minlength=BINS)
        self.alphas += [x for x in alpha.tolist() if x == x]  # NaN where it was never known

    # -- what follows -------------------------------------------------------------------------------------------

    @property
    def alpha(self) -> float:
        return float(np.mean(self.alphas)) if self.alphas else 0.5

    @property
    def acceptance(self) -> float:
        """Of all drafts; before there are many, the mean α, which it exceeds (theory S10: 1 − D_TV(π, q*) ≥ α)."""
        return min(float(self.stood.sum() + PRIOR * self.alpha) / float(self.tested.sum() + PRIOR), 0.999)

    def costs(self) -> tuple[float, float, float]:
        """Time of a proxy pass, of a base pass over one place, and of every further place."""
        if self.settings.cost is not None:
            return self.settings.cost, 1.0, 0.0
        proxy = median(self.proxy_times)
        places, seconds = (np.array(x, dtype=float) for x in zip(*self.base_times, strict=True))
        spread = float(((places - places.mean()) ** 2).sum())
        slope = float(((places - places.mean()) * seconds).sum()) / spread if spread else 0.0
        slope = min(max(slope, 0.0), float((seconds / places).min()))  # the first place costs no less than the next
        return proxy, max(float(np.median(seconds - slope * (places - 1))), 1e-9), slope

    def window(self) -> int:
        self.rounds += 1
        self.survival, self.price = torch.ones(()), 0.0
        return int(self.settled(torch.tensor(self.choose())))

    def choose(self) -> int:
        """γ, and with it the price of a draft, by what this process has seen."""
        timed = self.settings.cost is not None or (self.proxy_times and self.base_times)
        if self.rounds <= len(FIRST) or not timed:
            return min(FIRST[(self.rounds - 1) % len(FIRST)], self.settings.longest)
        a, (proxy, base, place) = self.acceptance, self.costs()
        rates = [1 / (base + proxy * (self.alpha if self.lazy else 1))]
        rates += [
            (1 - a ** (n + 1)) / (1 - a) / (n * proxy + base + n * place) for n in range(1, self.settings.longest + 1)
        ]
        best = max(range(len(rates)), key=rates.__getitem__)
        self.idle = self.idle + 1 if best == 0 else 0
        if self.idle == PROBE:
            self.idle = 0
            return 1
        self.price = rates[best] * (proxy + place)
        # A round may turn out better than the average: leave room, `more` says where to end.
        return min(2 * best, self.settings.longest)

    def more(self, chances: Callable[[], Tensor], drafted: Tensor, where: Tensor) -> bool:
        self.survival = self.survival * torch.where(drafted, self.odds(chances().cpu()), 1.0)
        gain = float((self.survival * self.acceptance)[where].sum()) / max(1, int(where.sum()))
        return bool(self.settled(torch.tensor(gain >= self.price)))

    def odds(self, chances: Tensor) -> Tensor:
        """How likely drafts of such q* stand, ``(B,)``: as often as others like them did."""
        overall = self.acceptance
        by_bin = (self.stood + PRIOR * overall) / (self.tested + PRIOR)
        return by_bin[bins(chances)]


def bins(chances: Tensor) -> Tensor:
    """0 for q* above 1/2, 1 above 1/4, ..."""
    return (-chances.clamp_min(1e-30).log2()).floor().clamp(0, BINS - 1).long()
