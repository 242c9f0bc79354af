"""The one loop. Plain decoding is its case window = 0; speculation is the same code.

A round, for every row on its own and in shared passes:

1. *draft*: the proxy reads what it has not read yet in one pass and proposes tokens from q*.
2. *verify*: one pass of the base over the drafts; draft x stays with probability min(1, π(x)/q*(x)), and the first
   that fails is replaced by a draw from norm((π − q*)₊) (theory S10).
3. *last token*: if all stayed, x̄ ~ p is kept with probability 1 − d_x̄. Otherwise the position is *owed*: the first
   pass of the next draft gives the q* that settles it, so it costs no pass of its own (theory S11). Targets that
   read q*, and greedy positions that are not certain, are owed in the same way. With window 0 this is lazy decoding.
4. *rollback*: every row forgets what was not accepted; its cache only gets shorter.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..mixture import Reading, Target, decision, law
from .journal import Journal
from .lane import Lane
from .pending import Drafts, Owed, align
from .sampling import Sampling
from .trace import BASE, PROXY, TARGET, Trace
from .verify import Chance, Greedy, acceptance, certain, residual

Watch = Callable[[Journal], Tensor | None]


class Decoder:
    """Runs the loop over lanes. Everything about models is in the lanes, everything about chance in ``chance``.

    Args:
        base, proxy, reference: lanes over the same rows (the reference only for targets that have one).
        target: what is sampled.
        window: γ ≥ 0 drafts a round.
        sampling: temperature and processors.
        chance: the source of decisions.
        journal: where the emitted text goes. If it keeps scores, the proxy runs at every position.
        watch: called after every round; may return ``(B,)`` lengths to which rows are cut and ended.
    """

    def __init__(
        self,
        base: Lane,
        proxy: Lane,
        target: Target,
        *,
        window: int,
        sampling: Sampling,
        chance: Chance,
        journal: Journal,
        reference: Lane | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.base, self.proxy, self.reference, self.target = base, proxy, reference, target
        self.lanes = [lane for lane in (base, proxy, reference) if lane is not None]
        self.window, self.sampling, self.chance, self.watch = window, sampling, chance, watch
        self.journal = journal
        self.owed: Owed | None = None
        self.greedy = isinstance(chance, Greedy)
        self.mixture = reference is None and type(target).defer is not Target.defer
        # A mixture that is tempered as a whole is no mixture any more.
        self.drawn_as_mixture = self.mixture and (target.placement != "mixture" or sampling.temperature == 1)
        # Whether the last token of a round can do without q*.
        self.lazy = self.drawn_as_mixture and not target.reads_proxy and journal.scores is None

    def run(self) -> Trace:
        """Decode until every row is done."""
        journal = self.journal
        while not bool(journal.done.all()):
            drafts = self.draft()
            if not bool(journal.done.all()):
                self.verify(drafts)
            if self.watch is not None and (cut := self.watch(journal)) is not None:
                journal.cut(cut)
            self.compact()
        trace = journal.trace()
        trace.base_passes, trace.base_fed = self.base.passes, self.base.fed
        trace.proxy_passes, trace.proxy_fed = self.proxy.passes, self.proxy.fed
        trace.reference_passes = self.reference.passes if self.reference is not None else 0
        return trace

    # -- 1. draft -----------------------------------------------------------------------------------------------

    def draft(self) -> Drafts:
        """Let the proxy propose; its first reading settles what is owed."""
        journal, running = self.journal, self.running
        emitted = journal.length[self.rows]
        owed = self.owed.where & running if self.owed is not None else torch.zeros_like(running)
        draws = (journal.limit - 1 - emitted).clamp(max=self.window).clamp_min(owed.long()) * running
        count, steps = torch.zeros_like(draws), []
        for step in range(int(draws.max())):
            where = (draws > step) & self.running
            if not bool(where.any()):
                break
            lengths = (journal.width + journal.length[self.rows] + count).unsqueeze(-1)
            logits = self.proxy.logits(where, 1).to(self.base.device)
            q = self.sampling.read(logits, self.prefix, lengths).at((slice(None), 0))
            settles = owed if step == 0 else torch.zeros_like(owed)
            token = self.settle(q, settles) if bool(settles.any()) else self.chance.pick(q.tempered)
            drafted = where & ~settles
            self.write(token, journal.length[self.rows] + count, drafted)
            count = count + drafted
            draws = torch.where(journal.is_stop(token) & drafted, step + 1, draws)  # nothing follows a stop token
            steps.append((token, drafted, q))
        self.owed = None
        return align(steps, count)

    def settle(self, q: Reading, where: Tensor) -> Tensor:
        """Draw everybody's next token and emit that of the rows ``where``, which is owed; the others' are drafts."""
        assert self.owed is not None
        owed, weights = self.owed, q.tempered
        if self.lazy and not self.greedy:  # the base's own draw was deferred: the token is the proxy's
            token = self.chance.pick(weights)
            origin, alpha = torch.full(token.shape, PROXY, dtype=torch.int8), owed.alpha
        else:
            d = decision(self.target, owed.base, q) if self.mixture else None
            pi = law(self.target, owed.base, q, owed.reference, self.sampling.temperature, d)
            token = self.chance.pick(torch.where(owed.where.to(pi.device).unsqueeze(-1), pi, weights))
            origin = self.likelier_origin(token, owed.base, q, d)
            alpha = owed.alpha if d is None else (owed.base.for_mixture(self.target) * d).sum(-1).cpu()
            self.journal.score(self.rows, pi, where)
        self.write(token, self.journal.length[self.rows], where)
        self.emit(token, where, origin, alpha, torch.full_like(origin, -1))
        return token

    # -- 2. verify ----------------------------------------------------------------------------------------------

    def verify(self, drafts: Drafts) -> None:
        """Put the drafts to the base; emit what stands and, where it can be had, one token more."""
        journal, running, n = self.journal, self.running, drafts.width
        count = torch.where(running, drafts.count, 0)
        place = torch.arange(n + 1).clamp(max=count.unsqueeze(-1))
        lengths = journal.width + journal.length[self.rows].unsqueeze(-1) + place
        base = self.read_all(self.base, running, count, lengths)
        reference = self.read_all(self.reference, running, count, lengths, False) if self.reference else None
        d, alpha = self.decisions(base, drafts)

        pi = self.drafted_law(base, reference, d, drafts)
        ratio = self.ratios(drafts, base, d, alpha, pi)
        accepted = self.chance.leading(ratio).cpu()
        journal.record(self.rows[running], count[running], accepted[running], ratio.cpu()[running])

        # The place after the drafts that stand: a replacement, the last token, or nothing after a stop token.
        replaced = running & (accepted < count)
        ends = running & (accepted == count) & ~self.stopped(drafts, count)
        stop = accepted.to(self.base.device)
        every = torch.arange(len(stop), device=stop.device)
        here, there = base.at((every, stop)), reference.at((every, stop)) if reference else None
        q = full = d_here = None
        if bool(replaced.any()):
            assert drafts.reading is not None
            before_last = stop.clamp(max=n - 1)  # for the rows that matter here it is the stop itself
            q = drafts.reading.at((every, before_last))
            d_here = None if d is None else d[every, before_last]
            full = law(self.target, here, q, there, self.sampling.temperature, d_here)
        rest = full if full is None or q is None or self.greedy else residual(full, q.tempered)
        d_last = d[every, stop] if self.lazy and d is not None else None
        token, keep = self.next_token(here, d_last, alpha[every, stop], ends, replaced, rest)

        # Emit, roll back, and remember what is owed.
        alpha = alpha.cpu()
        self.emit_drafts(drafts, accepted, alpha, pi)
        emitted = journal.length[self.rows]
        for lane in self.lanes:
            lane.truncate(emitted)
        alpha_here = alpha.gather(1, accepted.unsqueeze(-1)).squeeze(-1)
        origin = torch.full(token.shape, BASE if self.drawn_as_mixture else TARGET, dtype=torch.int8)
        if q is not None and (self.greedy or not self.drawn_as_mixture):
            origin = torch.where(replaced, self.likelier_origin(token, here, q, d_here), origin)
        if full is not None:
            journal.score(self.rows, full, replaced)
        self.write(token, emitted, replaced | keep)
        self.emit(token, replaced | keep, origin, alpha_here, torch.where(replaced, 0, -1).to(torch.int8))
        owes = ends & ~keep
        if bool(owes.any()):
            self.owed = Owed(owes, here, there, alpha_here)

    def drafted_law(self, base: Reading, reference: Reading | None, d: Tensor | None, drafts: Drafts) -> Tensor | None:
        """π at the drafts' places ``(B, n, V)``, or None where its values at the drafts are enough."""
        n, first = drafts.width, (slice(None), slice(0, drafts.width))
        if drafts.reading is None or not (self.greedy or self.journal.scores is not None or not self.drawn_as_mixture):
            return None
        r = reference.at(first) if reference else None
        known = None if d is None else d[:, :n]
        return law(self.target, base.at(first), drafts.reading, r, self.sampling.temperature, known)

    def next_token(
        self, here: Reading, d: Tensor | None, alpha: Tensor, ends: Tensor, replaced: Tensor, rest: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """The token after the drafts that stand, ``(B,)``, and where it may be kept without knowing q*.

        Args:
            here: the base's reading at that place.
            d: the decision there; None if the last token always waits for q*.
            alpha: the deferred mass there.
            ends: rows whose drafts all stand.
            replaced: rows whose next draft fell.
            rest: what their replacement is drawn from.
        """
        nobody = torch.zeros_like(ends)
        if d is None or not bool(ends.any()):
            token = self.chance.pick(rest) if rest is not None else torch.zeros(len(ends), dtype=torch.long)
            return token, nobody
        p = here.for_mixture(self.target)
        kept = p * (1 - d)
        weights = kept if self.greedy else p
        if rest is not None:
            weights = torch.where(replaced.to(rest.device).unsqueeze(-1), rest, weights)
        token = self.chance.pick(weights)
        if self.greedy:
            return token, ends & certain(kept, alpha).cpu()
        stays = (1 - d).gather(1, token.unsqueeze(-1)).squeeze(-1)
        coin = self.chance.coin(torch.where(ends.to(stays.device), stays, torch.ones_like(stays)))
        return token, ends & coin.cpu()

    def read_all(self, lane: Lane, running: Tensor, count: Tensor, lengths: Tensor, filtered: bool = True) -> Reading:
        """The lane's reading at places 0..n of every row's drafts, ``(B, n + 1, V)``."""
        places = lengths.shape[1]
        logits = lane.logits(running, places).to(self.base.device)
        if bool((count != places - 1).any()):  # the lane aligns rows at the right: move place 0 to column 0
            column = logits.shape[1] - 1 - count.unsqueeze(-1) + torch.arange(places)
            column = column.clamp(0, logits.shape[1] - 1).to(logits.device)
            logits = logits[torch.arange(len(count), device=logits.device).unsqueeze(-1), column]
        return self.sampling.read(logits, self.prefix, lengths, filtered)

    def decisions(self, base: Reading, drafts: Drafts) -> tuple[Tensor | None, Tensor]:
        """d at every place where it can be known yet, and the deferred mass ``(B, n + 1)``, NaN elsewhere."""
        n, d = drafts.width, None
        alpha = base.plain.new_full((len(drafts.count), n + 1), torch.nan)
        if self.mixture and not self.target.reads_proxy:
            d = decision(self.target, base, None)
        elif self.mixture and n:
            base = base.at((slice(None), slice(0, n)))  # at the last place the proxy has not spoken yet
            d = decision(self.target, base, drafts.reading)
        if d is not None:
            alpha[:, : d.shape[1]] = (base.for_mixture(self.target) * d).sum(-1)
        return d, alpha

    def ratios(self, drafts: Drafts, base: Reading, d: Tensor | None, alpha: Tensor, pi: Tensor | None) -> Tensor:
        """min(1, π(x)/q*(x)) of every draft, ``(B, n)``; for greedy decoding, whether it is the mode of π."""
        x, n = drafts.tokens.unsqueeze(-1), drafts.width
        if drafts.reading is None:
            return torch.zeros(len(drafts.count), 0)
        qx = drafts.reading.tempered.gather(-1, x).squeeze(-1)
        if self.greedy:
            assert pi is not None
            ratio = (drafts.tokens == pi.argmax(-1)).to(pi.dtype)
        elif pi is not None:
            ratio = acceptance(pi.gather(-1, x).squeeze(-1), qx)
        else:  # only what the drafts need: π is not formed over the vocabulary
            assert d is not None
            p, d, alpha = base.for_mixture(self.target)[:, :n], d[:, :n], alpha[:, :n]
            q = drafts.reading.for_mixture(self.target).gather(-1, x).squeeze(-1)
            px, dx = p.gather(-1, x).squeeze(-1), d.gather(-1, x).squeeze(-1)
            ratio = acceptance(px * (1 - dx) + alpha * q, qx)
        real = torch.arange(n) < drafts.count.unsqueeze(-1)
        return torch.where(real.to(ratio.device), ratio, 0.0)

    def stopped(self, drafts: Drafts, count: Tensor) -> Tensor:
        """Rows whose last draft is a stop token."""
        if not drafts.width:
            return torch.zeros_like(count, dtype=torch.bool)
        last = drafts.tokens.cpu().gather(1, (count - 1).clamp_min(0).unsqueeze(-1)).squeeze(-1)
        return (count > 0) & self.journal.is_stop(last)

    # -- rows: the lanes hold those that are still running, the journal all of them -------------------------------

    @property
    def rows(self) -> Tensor:
        return self.base.rows

    @property
    def running(self) -> Tensor:
        return ~self.journal.done[self.rows]

    def compact(self) -> None:
        """Drop finished rows from the lanes once they are half of what is computed.

        Not with processors that read the ids: they must see the full batch throughout.
        """
        running = self.running
        if self.sampling.reads_prefix or not bool(running.any()) or 2 * int(running.sum()) > len(self.rows):
            return
        index = running.nonzero().squeeze(-1)
        self.owed = self.owed.select(index) if self.owed is not None else None
        for lane in self.lanes:
            lane.select(index)

    def prefix(self, length: int) -> Tensor:
        """The first ids of every row, as Hugging Face lays them out."""
        return self.journal.text[self.rows.to(self.journal.text.device), :length]

    def write(self, token: Tensor, at: Tensor, where: Tensor) -> None:
        """Put a token at continuation place ``at`` of the rows ``where``, and tell the lanes."""
        self.journal.write(self.rows[where], at[where], token[where.to(token.device)])
        for lane in self.lanes:
            lane.append(token, where)

    def emit(self, token: Tensor, where: Tensor, origin: Tensor, alpha: Tensor, accepted: Tensor) -> None:
        """Count the token that stands next in the rows ``where``."""
        self.journal.emit(self.rows[where], token.cpu()[where], origin[where], alpha[where], accepted[where])

    def emit_drafts(self, drafts: Drafts, accepted: Tensor, alpha: Tensor, pi: Tensor | None) -> None:
        ones = torch.ones(len(accepted), dtype=torch.int8)
        for i in range(drafts.width):
            where = accepted > i
            if pi is not None:
                self.journal.score(self.rows, pi[:, i], where)
            self.emit(drafts.tokens[:, i], where, ones * PROXY, alpha[:, i], ones)

    def likelier_origin(self, token: Tensor, base: Reading, q: Reading, d: Tensor | None) -> Tensor:
        """Where the draw does not tell: whichever of p_v (1 − d_v) and α q*_v is the larger."""
        if d is None:
            return torch.full(token.shape, TARGET, dtype=torch.int8)
        p, at = base.for_mixture(self.target), token.unsqueeze(-1)
        kept = (p * (1 - d)).gather(1, at)
        other = (p * d).sum(-1, keepdim=True) * q.for_mixture(self.target).gather(1, at)
        return torch.where(kept >= other, BASE, PROXY).squeeze(-1).to(torch.int8).cpu()
