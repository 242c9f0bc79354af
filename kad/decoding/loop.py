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

from ..chances import Chance
from ..decisions import Reading
from ..laws.law import Asked
from ..laws.trial import Case, Drafts, Fallen, Owed, Trial, align, here
from ..origins import BASE, PROXY
from ..target import Target
from .journal import Journal, Places
from .lanes import Lane, MappedLane
from .rounds import Round
from .sampling import Sampling
from .trace import Trace
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
        proxy: Lane | MappedLane,
        target: Target,
        *,
        window: int | AutoWindow,
        sampling: Sampling,
        chance: Chance,
        journal: Journal,
        reference: Lane | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.base, self.proxy, self.reference = base, proxy, reference
        self.lanes = [lane for lane in (base, proxy, reference) if lane is not None]
        self.device = base.model.device  # where what is decided is computed
        self.sampling, self.chance, self.journal, self.watch = sampling, chance, journal, watch
        scores = journal.scores is not None
        self.law = Asked(target, sampling.temperature, sampling.arithmetic, chance.greedy, scores)
        self.pace = Constant(window) if isinstance(window, int) else window.pace(self.law.lazy, chance.settled)
        self.owed: Owed | None = None
        self.seen: list[Round] | None = None  # rounds, where somebody looks at them

    def run(self) -> Trace:
        """Decode until every row is done."""
        while not self.journal.finished:
            self.round()
        return self.trace()

    def round(self) -> None:
        """Draft, verify, and end what is to end."""
        drafts = self.draft()
        if not self.journal.finished:
            self.verify(drafts)
        if self.watch is not None and (cut := self.watch(self.journal)) is not None:
            self.journal.cut(cut)
        self.compact()

    def trace(self) -> Trace:
        """What happened so far, with what it cost."""
        trace = self.journal.trace()
        trace.base_passes, trace.base_fed = self.base.passes, self.base.fed
        trace.proxy_passes, trace.proxy_fed = self.proxy.passes, self.proxy.fed
        trace.reference_passes = self.reference.passes if self.reference is not None else 0
        return trace

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
            logits = self.proxy.logits(where, 1).to(self.device)
            places = Places(journal, self.rows, lengths, where.unsqueeze(-1))
            q = self.sampling.read(logits, places).at((slice(None), 0))
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
        owed, found = self.owed, self.law.settle(self.owed, q)
        weights = found.weights
        if weights is not q.tempered:
            weights = torch.where(owed.where.to(weights.device).unsqueeze(-1), weights, q.tempered)
        token = self.chance.pick(weights)
        origin = self.law.known.settled_by(owed, q, found, token)
        if found.pi is not None:
            self.journal.score(self.rows, found.pi, where)
        if self.seen is not None:
            self.seen[-1].settle(self.rows[where], token.cpu()[where])
        self.write(token, self.journal.length[self.rows], where)
        self.emit(token, where, origin, found.alpha, torch.full_like(origin, -1))
        return token

    # -- 2. verify ----------------------------------------------------------------------------------------------

    def verify(self, drafts: Drafts) -> None:
        """Put the drafts to the base; emit what stands and, where it can be had, one token more."""
        journal, running, start = self.journal, self.running, time.perf_counter()
        count = torch.where(running, drafts.count, 0)
        stopped = self.stopped(drafts, count)
        trial = self.read_trial(drafts, running, count, stopped)
        case = self.law.judge(trial)
        accepted = self.ask("accept", running).leading(case.ratio).cpu()
        journal.record(self.rows[running], count[running], accepted[running], case.ratio.cpu()[running])

        # The place after the drafts that stand: a replacement, the last token, or nothing after a stop token.
        replaced, ends = running & (accepted < count), running & (accepted == count) & ~stopped
        at = here(accepted, self.device)
        p, r = trial.base.at(at), None if trial.reference is None else trial.reference.at(at)
        token, keep = torch.zeros_like(accepted), torch.zeros_like(ends)
        if self.law.lazy and bool(ends.any()):
            token, keep = self.law.known.last(
                p, None if case.decision is None else case.decision.at(at), ends, self.ask
            )
        origin, fallen = torch.full_like(accepted, BASE, dtype=torch.int8), None
        if bool(replaced.any()):
            fallen = self.fallen(trial, case, p, accepted)
            new = self.law.known.replacement(fallen).pick(self.ask("replace", replaced).pick)
            token = torch.where(replaced.to(new.device), new, token.to(new.device))
            origin = torch.where(replaced, self.law.known.replaced_by(fallen, token), origin)

        alpha = case.alpha.cpu()
        self.stand(drafts, case, accepted, alpha)
        if fallen is not None and fallen.pi is not None:
            journal.score(self.rows, fallen.pi, replaced)
        alpha_here = alpha.gather(1, accepted.unsqueeze(-1)).squeeze(-1)
        self.write(token, journal.length[self.rows], replaced | keep)
        self.emit(token, replaced | keep, origin, alpha_here, torch.where(replaced, 0, -1).to(torch.int8))
        owes = ends & ~keep
        if bool(owes.any()):
            self.owed = Owed(owes, p, r, alpha_here)
        if self.seen is not None:
            terms, last = self.law.terms, token.cpu().where(replaced | keep, -1)
            self.seen.append(Round(terms.target, terms.temperature, trial, case, self.rows, accepted, last, owes))
        self.pace.verified(time.perf_counter() - start, drafts.width + 1)
        self.pace.judged(drafts.chances[running], count[running], accepted[running], alpha_here[running])

    def read_trial(self, drafts: Drafts, running: Tensor, count: Tensor, stopped: Tensor) -> Trial:
        """One pass of the base, and of a reference, over the drafts."""
        place = torch.arange(drafts.width + 1)
        lengths = (
            self.journal.width + self.journal.length[self.rows].unsqueeze(-1) + place.clamp(max=count.unsqueeze(-1))
        )
        # After a drafted stop token nothing follows: what stands there is never read.
        after = stopped.unsqueeze(-1) & (place == count.unsqueeze(-1))
        places = Places(self.journal, self.rows, lengths, drafts.places(running) & ~after)
        base = self.read_all(self.base, running, count, places)
        reference = self.read_all(self.reference, running, count, places, False) if self.reference else None
        return Trial(base, reference, drafts, running)

    def stand(self, drafts: Drafts, case: Case, accepted: Tensor, alpha: Tensor) -> None:
        """Emit the drafts that stand; the lanes forget the others."""
        if case.pi is not None:
            for i in range(drafts.width):
                self.journal.score(self.rows, case.pi[:, i], accepted > i)
        kept = torch.ones(len(accepted), drafts.width, dtype=torch.int8)
        self.journal.emit(self.rows, drafts.tokens.cpu(), accepted, kept * PROXY, alpha, kept)
        for lane in self.lanes:
            lane.truncate(self.journal.length[self.rows])

    def fallen(self, trial: Trial, case: Case, p: Reading, accepted: Tensor) -> Fallen:
        """The place of every row's first draft that falls, where p has been read."""
        before_last = accepted.clamp(max=trial.drafts.width - 1)  # for the rows that matter here it is the stop itself
        there = here(before_last, self.device)
        d, pi = None if case.decision is None else case.decision.at(there), None if case.pi is None else case.pi[there]
        return Fallen(p, trial.drafts.at(before_last), d, pi)

    def read_all(self, lane: Lane, running: Tensor, count: Tensor, places: Places, filtered: bool = True) -> Reading:
        """The lane's reading at places 0..n of every row's drafts, ``(B, n + 1, V)``."""
        many = places.lengths.shape[1]
        logits = lane.logits(running, many).to(self.device)
        if bool((count != many - 1).any()):  # the lane aligns rows at the right: move place 0 to column 0
            column = logits.shape[1] - 1 - count.unsqueeze(-1) + torch.arange(many)
            column = column.clamp(0, logits.shape[1] - 1).to(logits.device)
            logits = logits[torch.arange(len(count), device=logits.device).unsqueeze(-1), column]
        reading = self.sampling.read(logits, places, filtered)
        self.check(reading, lane, places.needed)
        return reading

    def check(self, reading: Reading, lane: Lane | MappedLane, needed: Tensor) -> None:
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
        index = self.running.nonzero().squeeze(-1)
        fixed = self.sampling.reads_prefix or any(lane.fixed_rows for lane in self.lanes)
        if fixed or not 0 < 2 * len(index) <= len(self.rows):
            return
        self.owed = self.owed.select(index) if self.owed is not None else None
        for lane in self.lanes:
            lane.select(index)

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
