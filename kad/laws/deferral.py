"""Laws of mixtures that are drawn as such: only π's values at the drafts are computed."""

from __future__ import annotations

import torch
from torch import Tensor

from ..arithmetic import Weights
from ..decisions import Decision, Reading
from ..origins import BASE, PROXY
from ..speculation import acceptance
from .law import Ask, Law
from .terms import all_of, first, where_drafted
from .trial import Case, Fallen, Owed, Settlement, Trial


class Deferral(Law):
    """Of a mixture whose rule reads q*: the last token of a round is owed."""

    def case(self, trial: Trial, decision: Decision | None, alpha: Tensor) -> Case:
        n, drafts = trial.drafts.width, trial.drafts
        if not n:
            return Case(alpha, torch.zeros(len(drafts.count), 0), decision)
        assert decision is not None
        here, x = decision.at(first(n)), drafts.tokens.unsqueeze(-1)
        px = trial.base.tempered[:, :n].gather(-1, x).squeeze(-1)
        pi = px * (1 - here.of(drafts.tokens, px)) + here.alpha * drafts.chances
        return Case(alpha, where_drafted(acceptance(pi, drafts.chances), trial), decision)

    def replacement(self, fallen: Fallen) -> Weights:
        assert fallen.decision is not None
        return self.terms.leftover(fallen.decision, fallen.base, fallen.q)

    def replaced_by(self, fallen: Fallen, token: Tensor) -> Tensor:
        return all_of(BASE, token)  # the residual lies on the kept tokens alone (theory S10)


class Lazy(Deferral):
    """Of a mixture that p alone decides: the base's draw is kept with probability 1 − d (theory S11)."""

    lazy = True

    def last(self, base: Reading, decision: Decision | None, ends: Tensor, ask: Ask) -> tuple[Tensor, Tensor]:
        assert decision is not None
        p = base.tempered
        token = ask("last", ends).pick(p)
        stays = 1 - decision.of(token, p.gather(1, token.unsqueeze(-1)).squeeze(-1))
        coin = ask("keep", ends).coin(torch.where(ends.to(stays.device), stays, torch.ones_like(stays)))
        return token, ends & coin.cpu()

    def settle(self, owed: Owed, q: Reading) -> Settlement:
        """The base's own draw was deferred: the token is the proxy's."""
        return Settlement(q.tempered, owed.alpha)

    def settled_by(self, owed: Owed, q: Reading, found: Settlement, token: Tensor) -> Tensor:
        return all_of(PROXY, token)
