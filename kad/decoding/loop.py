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
from dataclasses import replace

import torch
from torch import Tensor

from ..chances import Chance
from ..decisions import Reading
from ..laws.drafting import Drafting
from ..laws.law import Asked
from ..laws.terms import all_of
from ..laws.trial import Case, Drafts, Fallen, Owed, Trial, falls_at, here
from ..origins import BASE, PROXY
from ..target import Target
from ..transfers import Stopwatch, among, upload
from .journal import Journal, Places
from .lanes import Lane, MappedLane
from .outcome import Outcome, Settled, before_stop, learned
from .reader import Reader
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
        self.law = Asked(target, sampling.temperature, sampling.arithmetic, chance.greedy, journal.scores is not None)
        self.pace = Constant(window) if isinstance(window, int) else window.pace(self.law.lazy, chance.settled)
        # On a GPU nothing is asked before a round's one copy; who reads the text must be shown it as it grows.
        self.asks = self.device.type == "cpu" or sampling.reads_prefix
        self.clock = Stopwatch(self.device)
        self.owed: Owed | None = None
        self.settled: Settled | None = None  # what had been owed and the host does not know yet
        self.ahead = torch.zeros_like(base.rows)  # how many tokens of each row that is
        self.reader = Reader(sampling, self.device, self.asks)
        self.seen: list[Round] | None = None  # rounds, where somebody looks at them

    def run(self) -> Trace:
        """Decode until every row is done."""
        while not self.journal.finished:
            self.round()
        return self.trace()

    def round(self) -> None:
        """Draft, verify, and end what is to end."""
        drafts = self.draft()
        if bool(self.running.any()):
            self.verify(drafts)
        else:
            self.book_settled(learned(None, self.settled, self.reader.unchecked, self.rows)[1])
        if self.watch is not None and (cut := self.watch(self.journal)) is not None:
            self.journal.cut(cut)
        self.compact()

    def trace(self) -> Trace:
        """What happened so far, with what it cost."""
        trace = self.journal.trace(self.law.terms.target)
        trace.base_passes, trace.base_fed = self.base.passes, self.base.fed
        trace.proxy_passes, trace.proxy_fed = self.proxy.passes, self.proxy.fed
        trace.reference_passes = self.reference.passes if self.reference is not None else 0
        return trace

    # -- 1. draft -----------------------------------------------------------------------------------------------

    def draft(self) -> Drafts:
        """Let the proxy propose; its first reading settles what is owed."""
        journal, running, start = self.journal, self.running, self.clock.mark()
        owed = self.owed.where & running if self.owed is not None else torch.zeros_like(running)
        draws = (journal.limit - 1 - self.length).clamp(max=self.pace.window()).clamp_min(owed.long()) * running
        steps = Drafting(draws, owed, beside=not self.asks)
        for step in range(steps.most):
            where = (draws > step) & self.running
            if not bool(where.any()):
                break
            lengths = (journal.width + self.length + steps.count).unsqueeze(-1)
            places = Places(journal, self.rows, lengths, where.unsqueeze(-1))
            q = self.reader.at_step(self.proxy, where, places, steps)
            settles = owed if step == 0 else torch.zeros_like(owed)
            chance = self.ask("draft", where, step)
            token = self.settle(q, settles) if bool(settles.any()) else chance.pick(q.tempered)
            drafted = where & ~settles
            self.write(token, self.length + steps.count, drafted)
            if self.asks:  # nothing follows a stop token
                draws = torch.where(journal.is_stop(token) & drafted, step + 1, draws)
            steps.add(token, drafted)
            further = (draws > step + 1) & self.running
            if not (bool(further.any()) and self.pace.more(steps.chance, drafted, further)):
                break
        self.owed = None
        self.drafting = (start, self.clock.mark()), len(steps.tokens)
        return steps.drafts(self.device)

    def settle(self, q: Reading, where: Tensor) -> Tensor:
        """Draw everybody's next token and emit that of the rows ``where``, which is owed; the others' are drafts."""
        assert self.owed is not None
        owed, found = self.owed, self.law.settle(self.owed, q)
        weights = found.weights
        if weights is not q.tempered and not bool(owed.where.all()):
            weights = torch.where(upload(owed.where, self.device).unsqueeze(-1), weights, q.tempered)
        token = self.chance.pick(weights)
        origin = self.law.known.settled_by(owed, q, found, token)
        self.law.settled(where, found, token)
        self.journal.score(self.rows, found.pi, where)
        self.write(token, self.length, where)
        self.settled, self.ahead = Settled(where, token, origin, found.alpha), where.long()
        if self.asks:
            self.book_settled(learned(None, self.settled, [], self.rows)[1])
        return token

    def book_settled(self, settled: Settled | None) -> None:
        """Count the tokens that had been owed, once the host knows them."""
        self.settled, self.ahead, self.reader.unchecked = None, torch.zeros_like(self.rows), []
        if settled is not None:
            where, accepted = settled.where, all_of(-1, settled.token)
            if self.seen is not None:
                self.seen[-1].settle(self.rows[where], settled.token[where])
            self.journal.emit_one(self.rows, settled.token, where, settled.origin, settled.alpha, accepted)

    # -- 2. verify ----------------------------------------------------------------------------------------------

    def verify(self, drafts: Drafts) -> None:
        """Put the drafts to the base; emit what stands and, where it can be had, one token more."""
        running, start = self.running, self.clock.mark()
        count = torch.where(running, drafts.count, 0)
        trial = self.read_trial(drafts, running, count)
        case, outcome, fallen, place = self.decide(trial, count)
        end = self.clock.mark()
        found, settled = learned(outcome, self.settled, self.reader.unchecked, self.rows)
        assert found is not None
        self.book_settled(settled)
        self.book(trial, case, found, fallen, place, outcome.token)
        drafting, steps = self.drafting
        self.pace.drafted(self.clock.between(*drafting), steps)
        self.pace.verified(self.clock.between(start, end), drafts.width + 1)

    def decide(self, trial: Trial, count: Tensor) -> tuple[Case, Outcome, Fallen | None, Owed]:
        """Which drafts stand, the token behind them, and what may be owed there; asks nothing of a device that should not be."""
        drafts, running, case = trial.drafts, trial.running, self.law.judge(trial)
        accepted = self.ask("accept", running).leading(case.ratio)
        falls = accepted < (drafts.width if bool((count == drafts.width).all()) else upload(count, self.device))
        replaced, ends = among(falls, running), among(~falls, running & ~self.stopped(drafts, count))
        last = self.law.lazy and (not self.asks or bool(ends.any()))
        fell = drafts.width > 0 and (not self.asks or bool(replaced.any()))
        d = case.decided(accepted) if last or fell or not self.asks else None
        alone = case.decision is not None and case.decision.alpha.shape[1] > drafts.width
        if self.seen is None:  # nobody looks at d elsewhere any more
            case = replace(case, decision=None)
        p = trial.base.at(here(accepted, drafts.width + 1))
        d = d and replace(d, rule=p.for_rule(self.law.terms.target))
        token, keep, origin, fallen = accepted, torch.zeros_like(running), all_of(BASE, count), None
        if last:
            token, keep = self.law.known.last(p, d, ends, self.ask)
        if fell:
            fallen = falls_at(trial, case, p, d, accepted)
            new = self.law.known.replacement(fallen).pick(self.ask("replace", replaced).pick)
            token = torch.where(replaced, new, token) if last else new
            origin = self.law.known.replaced_by(fallen, token)
        self.law.emitted(case, accepted, token, (falls, keep), running)
        outcome = Outcome(drafts.tokens, drafts.chances, case.ratio, case.alpha, accepted, token, keep, origin)
        reference = trial.reference and trial.reference.at(here(accepted, drafts.width + 1))
        return case, outcome, fallen, Owed(ends, p, reference, case.alpha, d if alone else None)

    def book(self, trial: Trial, case: Case, found: Outcome, fallen: Fallen | None, place: Owed, token: Tensor) -> None:
        """Write down what was decided of the rows that have not ended; ``token`` is ``found.token`` where the models are."""
        journal, running = self.journal, trial.running & self.running
        drafted = torch.where(running, trial.drafts.count, 0)
        count, stopped = before_stop(journal.is_stop(found.tokens), drafted)
        accepted = torch.minimum(found.accepted, count)
        journal.record(self.rows[running], count[running], accepted[running], found.ratio[running])
        # The place after the drafts that stand: a replacement, the last token, or nothing after a stop token.
        replaced, ends = running & (accepted < count), running & (accepted == count) & ~stopped
        some = replaced | (ends & found.keep)
        self.stand(found, case, accepted)
        journal.score(self.rows, None if fallen is None else fallen.pi, replaced)
        alpha = found.alpha.gather(1, accepted.unsqueeze(-1)).squeeze(-1)
        self.write(token, self.length, some)
        origin, fell = found.origin.where(replaced, BASE), torch.where(replaced, 0, -1).to(torch.int8)
        journal.emit_one(self.rows, found.token, some, origin, alpha, fell)
        owes = ends & ~found.keep
        if bool(owes.any()):
            self.owed = replace(place, where=owes, alpha=alpha)
        if self.seen is not None:
            terms, last = self.law.terms, found.token.where(some, -1)
            self.seen.append(Round(terms.target, terms.temperature, trial, case, self.rows, accepted, last, owes))
        self.pace.judged(found.chances[running], count[running], accepted[running], alpha[running])

    def read_trial(self, drafts: Drafts, running: Tensor, count: Tensor) -> Trial:
        """One pass of the base, and of a reference, over the drafts."""
        place = torch.arange(drafts.width + 1)
        lengths = self.journal.width + self.length.unsqueeze(-1) + place.clamp(max=count.unsqueeze(-1))
        after = self.stopped(drafts, count).unsqueeze(-1) & (place == count.unsqueeze(-1))  # nothing follows a stop
        places = Places(self.journal, self.rows, lengths, drafts.places(running) & ~after)
        base = self.reader.at_drafts(self.base, running, count, places)
        reference = self.reader.at_drafts(self.reference, running, count, places, False) if self.reference else None
        return Trial(base, reference, drafts, running)

    def stand(self, found: Outcome, case: Case, accepted: Tensor) -> None:
        """Emit the drafts that stand; the lanes forget the others."""
        if case.pi is not None and self.journal.scores is not None:
            for i in range(case.pi.shape[1]):
                self.journal.score(self.rows, case.pi[:, i], accepted > i)
        kept = torch.ones_like(found.tokens, dtype=torch.int8)
        self.journal.emit(self.rows, found.tokens, accepted, kept * PROXY, found.alpha, kept)
        for lane in self.lanes:
            lane.truncate(self.journal.length[self.rows])

    def stopped(self, drafts: Drafts, count: Tensor) -> Tensor:
        """Rows whose last draft is a stop token, as far as that is known before the round's copy."""
        none = torch.zeros_like(count, dtype=torch.bool)
        return self.journal.ends(drafts.tokens, count) if drafts.width and self.asks else none

    def ask(self, what: str, where: Tensor, step: int = 0) -> Chance:
        """The source of chance, told what it decides next, and for which rows that counts."""
        self.chance.about(self.rows, self.length, where, what, step)
        return self.chance

    # -- rows: the lanes hold those that are still running, the journal all of them -------------------------------

    @property
    def rows(self) -> Tensor:
        return self.base.rows

    @property
    def length(self) -> Tensor:
        """How many tokens of each row's continuation there are."""
        length = self.journal.length[self.rows]
        return length if self.settled is None else length + self.ahead

    @property
    def running(self) -> Tensor:
        """The rows that have not ended, as far as that is known."""
        running = ~self.journal.done[self.rows]
        return running if self.settled is None else running & (self.length < self.journal.limit)

    def compact(self) -> None:
        """Drop finished rows from the lanes once they are half of what is computed.

        Not with processors that read the ids: they must see the full batch throughout. Nor where a lane cannot.
        """
        index = self.running.nonzero().squeeze(-1)
        fixed = self.sampling.reads_prefix or any(lane.fixed_rows for lane in self.lanes)
        if fixed or not 0 < 2 * len(index) <= len(self.rows):
            return
        self.owed = self.owed.select(index) if self.owed is not None else None
        for part in (*self.lanes, self.law):
            part.select(index)
        self.ahead = torch.zeros_like(index)

    def write(self, token: Tensor, at: Tensor, where: Tensor) -> None:
        """Put a token at continuation place ``at`` of the rows ``where``, and tell the lanes."""
        if self.journal.live:
            self.journal.write(self.rows, at, token, where)
        for lane in self.lanes:
            lane.append(token, where)
