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

import time
from collections.abc import Callable

import torch
from torch import Tensor

from ..decisions import Decision, Reading, law
from ..distributions import by_numpy
from ..mixture import Target
from .first_look import look_at
from .journal import Journal
from .lane import Lane
from .origins import likelier_origin
from .pending import Drafts, Owed, align, here
from .places import Places
from .sampling import Sampling
from .trace import BASE, PROXY, TARGET, Trace
from .verify import Chance, Choice, acceptance, certain, mode, residual
from .window import AutoWindow, Constant

Watch = Callable[[Journal], Tensor | None]


class Decoder:
    """Runs the loop over lanes. Everything about models is in the lanes, everything about chance in ``chance``.

    Args:
        base, proxy, reference: lanes over the same rows (the reference only for targets that have one).
        target: what is sampled.
        window: γ ≥ 0 drafts a round, or who chooses it.
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
        window: int | AutoWindow,
        sampling: Sampling,
        chance: Chance,
        journal: Journal,
        reference: Lane | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.base, self.proxy, self.reference, self.target = base, proxy, reference, target
        self.lanes = [lane for lane in (base, proxy, reference) if lane is not None]
        self.sampling, self.chance, self.watch = sampling, chance, watch
        self.journal, self.kernels = journal, sampling.kernels
        self.owed: Owed | None = None
        self.greedy = chance.greedy
        self.look = look_at(target)
        self.as_mixture(reference is None and type(target).defer is not Target.defer)
        self.pace = Constant(window) if isinstance(window, int) else window.pace(self.lazy, chance.settled)

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

    def as_mixture(self, mixture: bool) -> None:
        """Note whether the target is a mixture; a class that is not kad's says so at the first position."""
        self.mixture = mixture
        # A mixture that is tempered as a whole is no mixture any more.
        self.drawn_as_mixture = mixture and (self.target.placement != "mixture" or self.sampling.temperature == 1)
        # Whether the last token of a round can do without q*.
        self.lazy = self.drawn_as_mixture and not self.target.reads_proxy and self.journal.scores is None

    # -- 1. draft -----------------------------------------------------------------------------------------------

    def draft(self) -> Drafts:
        """Let the proxy propose; its first reading settles what is owed."""
        journal, running, start = self.journal, self.running, time.perf_counter()
        emitted = journal.length[self.rows]
        owed = self.owed.where & running if self.owed is not None else torch.zeros_like(running)
        draws = (journal.limit - 1 - emitted).clamp(max=self.pace.window()).clamp_min(owed.long()) * running
        count, steps = torch.zeros_like(draws), []
        for step in range(int(draws.max())):
            where = (draws > step) & self.running
            if not bool(where.any()):
                break
            lengths = (journal.width + journal.length[self.rows] + count).unsqueeze(-1)
            logits = self.proxy.logits(where, 1).to(self.base.device)
            q = self.sampling.read(logits, self.places(lengths, where.unsqueeze(-1))).at((slice(None), 0))
            self.check(q, self.proxy, where)
            settles = owed if step == 0 else torch.zeros_like(owed)
            chance = self.ask("draft", where, step)
            token = self.settle(q, settles) if bool(settles.any()) else chance.pick(q.tempered)
            drafted = where & ~settles
            self.write(token, journal.length[self.rows] + count, drafted)
            count = count + drafted
            draws = torch.where(journal.is_stop(token) & drafted, step + 1, draws)  # nothing follows a stop token
            qx = q.tempered.gather(1, token.unsqueeze(-1)).squeeze(-1)
            steps.append((token, qx, drafted, q))
            further = (draws > step + 1) & self.running
            if not bool(further.any()) or not self.pace.more(qx, drafted, further):
                break
        self.owed = None
        self.pace.drafted(time.perf_counter() - start, len(steps))
        return align(steps, count)

    def settle(self, q: Reading, where: Tensor) -> Tensor:
        """Draw everybody's next token and emit that of the rows ``where``, which is owed; the others' are drafts."""
        assert self.owed is not None
        owed, weights = self.owed, q.tempered
        if self.look is not None:
            self.as_mixture(self.look.at_debt(owed, q, where, self.mixture))
        if self.lazy and not self.greedy:  # the base's own draw was deferred: the token is the proxy's
            token = self.chance.pick(weights)
            origin, alpha = torch.full(token.shape, PROXY, dtype=torch.int8), owed.alpha
        else:
            decision = self.kernels.decide(self.target, owed.base, q) if self.mixture else None
            if self.mixture and self.look is not None:
                self.look.decided(decision, where)
            temperature = self.sampling.temperature
            pi = law(self.target, owed.base, q, owed.reference, temperature, decision, self.mixture)
            if self.look is not None:
                self.look.sums(pi, where)
            token = self.chance.pick(torch.where(owed.where.to(pi.device).unsqueeze(-1), pi, weights))
            origin = likelier_origin(self.target, token, owed.base, q, decision)
            alpha = owed.alpha if decision is None else decision.alpha.cpu()
            self.journal.score(self.rows, pi, where)
        self.write(token, self.journal.length[self.rows], where)
        self.emit(token, where, origin, alpha, torch.full_like(origin, -1))
        return token

    # -- 2. verify ----------------------------------------------------------------------------------------------

    def verify(self, drafts: Drafts) -> None:
        """Put the drafts to the base; emit what stands and, where it can be had, one token more."""
        journal, running, n, start = self.journal, self.running, drafts.width, time.perf_counter()
        count = torch.where(running, drafts.count, 0)
        place = torch.arange(n + 1).clamp(max=count.unsqueeze(-1))
        lengths = journal.width + journal.length[self.rows].unsqueeze(-1) + place
        stopped = self.stopped(drafts, count)
        # After a drafted stop token nothing follows: what stands there is never read.
        after = stopped.unsqueeze(-1) & (torch.arange(n + 1) == count.unsqueeze(-1))
        places = self.places(lengths, drafts.places(running) & ~after)
        base = self.read_all(self.base, running, count, places)
        reference = self.read_all(self.reference, running, count, places, False) if self.reference else None
        if self.look is not None:
            self.as_mixture(self.look.at_round(base, reference, drafts, running, self.mixture))
        decision, alpha = self.decisions(base, drafts)

        pi = self.drafted_law(base, reference, decision, drafts)
        ratio = self.ratios(drafts, base, decision, pi)
        accepted = self.ask("accept", running).leading(ratio).cpu()
        journal.record(self.rows[running], count[running], accepted[running], ratio.cpu()[running])

        # The place after the drafts that stand: a replacement, the last token, or nothing after a stop token.
        replaced = running & (accepted < count)
        ends = running & (accepted == count) & ~stopped
        at = here(accepted, self.base.device)
        p, r = base.at(at), reference.at(at) if reference else None
        q = full = chosen = rest = None
        if bool(replaced.any()):
            before_last = accepted.clamp(max=n - 1)  # for the rows that matter here it is the stop itself
            there = here(before_last, self.base.device)
            q, chosen = drafts.at(before_last), None if decision is None else decision.at(there)
            if pi is not None:
                full = pi[there]
                rest = Choice(full if self.greedy else residual(full, q.tempered))
            else:
                assert chosen is not None
                rest = self.kernels.leftover(chosen, p.tempered, q.tempered)
        last = decision.at(at) if self.lazy and decision is not None else None
        token, keep = self.next_token(p, last, ends, replaced, rest)

        # Emit, roll back, and remember what is owed.
        alpha = alpha.cpu()
        if pi is not None:
            for i in range(n):
                journal.score(self.rows, pi[:, i], accepted > i)
        kept = torch.ones(len(accepted), n, dtype=torch.int8)
        journal.emit(self.rows, drafts.tokens.cpu(), accepted, kept * PROXY, alpha, kept)
        emitted = journal.length[self.rows]
        for lane in self.lanes:
            lane.truncate(emitted)
        alpha_here = alpha.gather(1, accepted.unsqueeze(-1)).squeeze(-1)
        origin = torch.full(token.shape, BASE if self.drawn_as_mixture else TARGET, dtype=torch.int8)
        if q is not None and (self.greedy or not self.drawn_as_mixture):
            origin = torch.where(replaced, likelier_origin(self.target, token, p, q, chosen), origin)
        if full is not None:
            journal.score(self.rows, full, replaced)
        self.write(token, emitted, replaced | keep)
        self.emit(token, replaced | keep, origin, alpha_here, torch.where(replaced, 0, -1).to(torch.int8))
        owes = ends & ~keep
        if bool(owes.any()):
            self.owed = Owed(owes, p, r, alpha_here)
        self.pace.verified(time.perf_counter() - start, n + 1)
        self.pace.judged(drafts.chances[running], count[running], accepted[running], alpha_here[running])

    def drafted_law(
        self, base: Reading, reference: Reading | None, decision: Decision | None, drafts: Drafts
    ) -> Tensor | None:
        """π at the drafts' places ``(B, n, V)``, or None where its values at the drafts are enough."""
        n, first = drafts.width, (slice(None), slice(0, drafts.width))
        if not n or not (self.greedy or self.journal.scores is not None or not self.drawn_as_mixture):
            return None
        r = reference.at(first) if reference else None
        known = None if decision is None else decision.at(first)
        deferred = known is None or not by_numpy(known.alpha) or bool(known.alpha.any())
        q = drafts.reading() if deferred else None  # with the target Base, say, π = p
        pi = law(self.target, base.at(first), q, r, self.sampling.temperature, known, self.mixture)
        if self.look is not None:
            self.look.sums(pi, drafts.places(self.running)[:, 1:])
        return pi

    def next_token(
        self, base: Reading, decision: Decision | None, ends: Tensor, replaced: Tensor, rest: Choice | None
    ) -> tuple[Tensor, Tensor]:
        """The token after the drafts that stand, ``(B,)``, and where it may be kept without knowing q*.

        Args:
            base: the base's reading at that place.
            decision: the decision there; None if the last token always waits for q*.
            ends: rows whose drafts all stand.
            replaced: rows whose next draft fell.
            rest: what their replacement is drawn from.
        """
        if decision is None or not bool(ends.any()):
            token = (
                rest.pick(self.ask("replace", replaced))
                if rest is not None
                else torch.zeros(len(ends), dtype=torch.long)
            )
            return token, torch.zeros_like(ends)
        p = base.for_mixture(self.target)
        if self.greedy:
            weights = decision.kept(p)
            token = self.ask("last", ends).pick(weights)
            sure = ends & self.chance.settled(certain(weights, decision.alpha)).cpu()
            if rest is not None:
                token = torch.where(replaced.to(token.device), rest.pick(self.ask("replace", replaced)), token)
            return token, sure
        token = self.ask("last", ends).pick(p)
        px = p.gather(1, token.unsqueeze(-1)).squeeze(-1)
        stays = 1 - decision.of(token, px)
        coin = self.ask("keep", ends).coin(torch.where(ends.to(stays.device), stays, torch.ones_like(stays)))
        if rest is not None:
            token = torch.where(replaced.to(token.device), rest.pick(self.ask("replace", replaced)), token)
        return token, ends & coin.cpu()

    def read_all(self, lane: Lane, running: Tensor, count: Tensor, places: Places, filtered: bool = True) -> Reading:
        """The lane's reading at places 0..n of every row's drafts, ``(B, n + 1, V)``."""
        many = places.lengths.shape[1]
        logits = lane.logits(running, many).to(self.base.device)
        if bool((count != many - 1).any()):  # the lane aligns rows at the right: move place 0 to column 0
            column = logits.shape[1] - 1 - count.unsqueeze(-1) + torch.arange(many)
            column = column.clamp(0, logits.shape[1] - 1).to(logits.device)
            logits = logits[torch.arange(len(count), device=logits.device).unsqueeze(-1), column]
        reading = self.sampling.read(logits, places, filtered)
        self.check(reading, lane, places.needed)
        return reading

    def check(self, reading: Reading, lane: Lane, needed: Tensor) -> None:
        """Raise a ValueError if a distribution is NaN: one bad logit spreads over the softmax, so one token tells."""
        first = reading.tempered[..., 0].cpu()
        if not bool(torch.isnan(first).any()):
            return
        bad = (torch.isnan(first) & needed).reshape(len(needed), -1).any(-1)
        if bool(bad.any()):
            raise ValueError(
                f"the {lane.name} model returned NaN or infinite logits for row {int(self.rows[bad][0])}; check its "
                "weights and dtype, and that no logits processor forbids every token."
            )

    def decisions(self, base: Reading, drafts: Drafts) -> tuple[Decision | None, Tensor]:
        """The decision at every place where it can be known yet, and the deferred mass ``(B, n + 1)``, NaN elsewhere."""
        n, decision = drafts.width, None
        if self.mixture and not self.target.reads_proxy:
            decision = self.kernels.decide(self.target, base, None)
            if self.look is not None:
                self.look.decided(decision, drafts.places(self.running))
            if decision is not None:
                return decision, decision.alpha
        elif self.mixture and n:  # at the last place the proxy has not spoken yet
            decision = self.kernels.decide(self.target, base.at((slice(None), slice(0, n))), drafts.reading())
            if self.look is not None:
                self.look.decided(decision, drafts.places(self.running)[:, 1:])
        alpha = base.plain.new_full((len(drafts.count), n + 1), torch.nan)
        if decision is not None:
            alpha[:, :n] = decision.alpha
        return decision, alpha

    def ratios(self, drafts: Drafts, base: Reading, decision: Decision | None, pi: Tensor | None) -> Tensor:
        """min(1, π(x)/q*(x)) of every draft, ``(B, n)``; for greedy decoding, whether it is the mode of π."""
        n, real = drafts.width, torch.arange(drafts.width) < drafts.count.unsqueeze(-1)
        if not n:
            return torch.zeros(len(drafts.count), 0)
        x = drafts.tokens.unsqueeze(-1)
        if self.greedy:
            assert pi is not None
            ratio = (drafts.tokens == mode(pi)).to(pi.dtype)
        else:
            if pi is not None:
                ratio = acceptance(pi.gather(-1, x).squeeze(-1), drafts.chances)
            else:  # only what the drafts need: π is not formed over the vocabulary
                assert decision is not None
                known = decision.at((slice(None), slice(0, n)))
                px = base.tempered[:, :n].gather(-1, x).squeeze(-1)
                kept = px * (1 - known.of(drafts.tokens, px))
                ratio = acceptance(kept + known.alpha * drafts.chances, drafts.chances)
        return torch.where(real.to(ratio.device), ratio, 0.0)

    def stopped(self, drafts: Drafts, count: Tensor) -> Tensor:
        """Rows whose last draft is a stop token."""
        if not drafts.width:
            return torch.zeros_like(count, dtype=torch.bool)
        last = drafts.tokens.cpu().gather(1, (count - 1).clamp_min(0).unsqueeze(-1)).squeeze(-1)
        return (count > 0) & self.journal.is_stop(last)

    def ask(self, what: str, where: Tensor, step: int = 0) -> Chance:
        """The source of chance, told what it decides next, and for which rows that counts."""
        self.chance.about(self.rows, self.journal.length[self.rows], where, what, step)
        return self.chance

    # -- rows: the lanes hold those that are still running, the journal all of them -------------------------------

    @property
    def rows(self) -> Tensor:
        return self.base.rows

    @property
    def running(self) -> Tensor:
        return ~self.journal.done[self.rows]

    def compact(self) -> None:
        """Drop finished rows from the lanes once they are half of what is computed.

        Not with processors that read the ids: they must see the full batch throughout. Nor where a lane cannot.
        """
        running = self.running
        if (
            self.sampling.reads_prefix
            or any(lane.fixed_rows for lane in self.lanes)
            or not bool(running.any())
            or 2 * int(running.sum()) > len(self.rows)
        ):
            return
        index = running.nonzero().squeeze(-1)
        self.owed = self.owed.select(index) if self.owed is not None else None
        for lane in self.lanes:
            lane.select(index)

    def places(self, lengths: Tensor, needed: Tensor) -> Places:
        return Places(self.journal, self.rows, lengths, needed)

    def write(self, token: Tensor, at: Tensor, where: Tensor) -> None:
        """Put a token at continuation place ``at`` of the rows ``where``, and tell the lanes."""
        if bool(where.all()):
            self.journal.write(self.rows, at, token)
        else:
            self.journal.write(self.rows[where], at[where], token[where.to(token.device)])
        for lane in self.lanes:
            lane.append(token, where)

    def emit(self, token: Tensor, where: Tensor, origin: Tensor, alpha: Tensor, accepted: Tensor) -> None:
        """Count the token that stands next in the rows ``where``."""
        columns = (x.unsqueeze(-1) for x in (token.cpu(), origin, alpha, accepted))
        token, origin, alpha, accepted = columns
        self.journal.emit(self.rows, token, where.long(), origin, alpha, accepted)
