"""Laws of mixtures that are drawn as such: only π's values at the drafts are computed."""

from __future__ import annotations

import torch
from torch import Tensor

from ..arithmetic import Choice
from ..decisions import Decision, Reading
from ..origins import BASE, PROXY
from ..speculation import acceptance
from .law import Ask, Law
from .round import Case, Owed, Place, Round, Settlement
from .terms import all_of, first, where_drafted


class Deferral(Law):
    """Of a mixture whose rule reads q*: the last token of a round is owed."""

    def case(self, round: Round, decision: Decision | None, alpha: Tensor) -> Case:
        n, drafts = round.drafts.width, round.drafts
        if not n:
            return Case(alpha, torch.zeros(len(drafts.count), 0), decision)
        assert decision is not None
        here, x = decision.at(first(n)), drafts.tokens.unsqueeze(-1)
        px = round.base.tempered[:, :n].gather(-1, x).squeeze(-1)
        pi = px * (1 - here.of(drafts.tokens, px)) + here.alpha * drafts.chances
        return Case(alpha, where_drafted(acceptance(pi, drafts.chances), round), decision)

    def replacement(self, place: Place) -> Choice:
        assert place.decision is not None
        return self.terms.leftover(place.decision, place.base, place.q)

    def replaced_by(self, place: Place, token: Tensor) -> Tensor:
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
