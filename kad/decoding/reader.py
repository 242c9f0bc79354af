"""From a lane's logits to distributions that have been looked at."""

from __future__ import annotations

import torch
from torch import Tensor

from ..decisions import Reading
from ..laws.drafting import Drafting
from ..transfers import ordinals, upload
from .journal import Places
from .lanes import Lane, MappedLane
from .outcome import Read
from .sampling import Sampling


class Reader:
    """Reads what lanes say, where decisions are computed.

    Attributes:
        sampling: temperature and processors.
        device: where the readings are.
        asks: whether a reading is checked at once.
        unchecked: otherwise, those that have not been checked yet; the round's copy tells.
    """

    def __init__(self, sampling: Sampling, device: torch.device, asks: bool) -> None:
        self.sampling, self.device, self.asks = sampling, device, asks
        self.unchecked: list[Read] = []

    def check(self, name: str, reading: Reading, places: Places, goes: bool = False) -> None:
        """Look for a NaN in a model's reading ``(B, n, V)``; later, where the device should not be asked now.

        ``goes``: the reading is let go of before that, so what is looked at is a copy.

        Raises:
            ValueError: there is one.
        """
        first = reading.tempered[..., 0]
        read = Read(name, first.clone() if goes else first, places.needed)
        if self.asks:
            read.check(read.first.cpu(), places.rows)
        else:
            self.unchecked.append(read)

    def at_step(self, lane: Lane | MappedLane, where: Tensor, places: Places, draft: Drafting) -> Reading:
        """The reading of a draft's next step, ``(B, V)``, of the rows ``where``."""
        logits = lane.logits(where, 1).to(self.device)
        q = draft.keep(self.sampling.read(logits, places, room=draft.room).at((slice(None), 0)))
        self.check(lane.name, q.at((slice(None), None)), places, draft.late is not None)
        return q

    def at_drafts(self, lane: Lane, running: Tensor, count: Tensor, places: Places, filtered: bool = True) -> Reading:
        """The lane's reading at places 0..n of every row's drafts, ``(B, n + 1, V)``."""
        many = places.lengths.shape[1]
        logits = lane.logits(running, many)
        if bool((count != many - 1).any()):  # the lane aligns rows at the right: move place 0 to column 0
            column = (logits.shape[1] - 1 - count.unsqueeze(-1) + torch.arange(many)).clamp(0, logits.shape[1] - 1)
            every = ordinals(len(count), logits.device).unsqueeze(-1)
            logits = logits[every, upload(column, logits.device)]
        found = self.sampling.read(logits.to(self.device), places, filtered)
        self.check(lane.name, found, places)
        return found
