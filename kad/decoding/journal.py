"""What has been emitted, for every row of the original batch, and places in it; at the end it becomes the trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..target import Target
from ..transfers import upload
from .trace import Trace, Verdicts


class Journal:
    """The emitted text and its annotations, on the CPU; beside them the text where the base is, if it is read as it grows.

    Args:
        text: ``(B, L)``, the base's prompts as Hugging Face lays them out, left-padded.
        limit: tokens to emit per row at most.
        stops: token ids that end a row.
        pad: what finished rows are filled with.
        keep_scores: collect log π of every emitted token's position.
        live: whether somebody reads the text before it is done.

    Attributes:
        text: ``(B, L)``, the prompts; with ``live`` ``(B, L + limit)``, with the continuation, and beyond ``length`` whatever was drafted.
        width: L.
        ids: ``(B, limit)``, the tokens emitted.
        length, done: ``(B,)``, tokens emitted, and whether the row has ended.
        origins, alphas, accepts: ``(B, limit)``, see `Trace`.
        scores: per row, one ``(V,)`` per emitted token; None unless they are kept.
        rounds: the verification rounds.
    """

    def __init__(
        self, text: Tensor, limit: int, stops: Sequence[int], pad: int, keep_scores: bool = False, live: bool = False
    ) -> None:
        (rows, self.width), self.live = text.shape, live
        self.ids = torch.full((rows, limit), pad)
        self.text = torch.cat([text, text.new_full((rows, limit), pad)], 1) if live else text
        self.limit, self.stops, self.pad = limit, torch.tensor(sorted(stops), dtype=torch.long), pad
        self.length = torch.zeros(rows, dtype=torch.long)
        self.done = torch.full((rows,), limit == 0)
        self.origins = torch.zeros(rows, limit, dtype=torch.int8)
        self.alphas = torch.full((rows, limit), torch.nan)
        self.accepts = torch.full((rows, limit), -1, dtype=torch.int8)
        self.scores: list[list[Tensor]] | None = [[] for _ in range(rows)] if keep_scores else None
        self.rounds: list[Verdicts] = []

    @property
    def finished(self) -> bool:
        return bool(self.done.all())

    def is_stop(self, token: Tensor) -> Tensor:
        """Which tokens end a row, on the CPU."""
        return torch.isin(token.cpu(), self.stops)

    def ends(self, tokens: Tensor, count: Tensor) -> Tensor:
        """Rows whose last of ``count (B,)`` tokens ``(B, n)`` is a stop token, on the CPU."""
        last = tokens.cpu().gather(1, (count - 1).clamp_min(0).unsqueeze(-1)).squeeze(-1)
        return (count > 0) & self.is_stop(last)

    def write(self, rows: Tensor, at: Tensor, token: Tensor, where: Tensor) -> None:
        """Put tokens at continuation places ``at`` of ``rows[where]``; they do not count before they are emitted."""
        device = self.text.device
        here, column = upload(torch.stack([rows, self.width + at])[:, where], device)
        told = token.to(device)
        self.text[here, column] = told if bool(where.all()) else told[upload(where.nonzero().squeeze(-1), device)]

    def emit(
        self, rows: Tensor, tokens: Tensor, count: Tensor, origins: Tensor, alphas: Tensor, accepts: Tensor
    ) -> None:
        """Count the first ``count (R,)`` of some tokens of ``rows (R,)``; a stop token or the limit ends a row.

        Tokens and what is noted about them are ``(R, k)`` and more, on the CPU.
        """
        real = torch.arange(tokens.shape[1]) < count.unsqueeze(-1)
        if not bool(real.any()):
            return
        row, column = real.nonzero(as_tuple=True)
        at = self.length[rows][row] + column
        self.ids[rows[row], at] = tokens[row, column]
        self.origins[rows[row], at], self.accepts[rows[row], at] = origins[row, column], accepts[row, column]
        self.alphas[rows[row], at] = alphas[row, column].float()
        self.length[rows] += count
        self.done[rows] |= (self.is_stop(tokens) & real).any(-1) | (self.length[rows] >= self.limit)

    def emit_one(
        self, rows: Tensor, token: Tensor, where: Tensor, origin: Tensor, alpha: Tensor, accepted: Tensor
    ) -> None:
        """Count the token that stands next in ``rows[where]``; all ``(R,)``."""
        columns = (x.unsqueeze(-1) for x in (token, origin, alpha, accepted))
        token, origin, alpha, accepted = columns
        self.emit(rows, token, where.long(), origin, alpha, accepted)

    def score(self, rows: Tensor, pi: Tensor | None, where: Tensor) -> None:
        """Keep log π ``(len(rows), V)`` of the next token of ``rows[where]``, if scores are kept."""
        if self.scores is not None and pi is not None:
            for i in where.nonzero().flatten().tolist():
                self.scores[int(rows[i])].append(pi[i].log())

    def record(self, rows: Tensor, drafted: Tensor, accepted: Tensor, probability: Tensor) -> None:
        """Note a round in which ``rows`` took part."""
        everyone = len(self.length)
        d, a = torch.full((everyone,), -1), torch.zeros(everyone, dtype=torch.long)
        odds = torch.zeros(everyone, probability.shape[1])
        d[rows], a[rows], odds[rows] = drafted, accepted, probability.float()
        self.rounds.append(Verdicts(d, a, odds))

    def cut(self, lengths: Tensor) -> None:
        """End every row that is not shorter than its new length, at that length."""
        self.done |= lengths <= self.length
        self.length = torch.minimum(self.length, lengths)
        if self.scores is not None:
            for row, length in enumerate(self.length.tolist()):
                del self.scores[row][length:]

    def trace(self, target: Target) -> Trace:
        """The trace of what was sampled, without the lanes' totals; what lies behind a row's end becomes padding."""
        outside = torch.arange(self.limit) >= self.length.unsqueeze(-1)
        longest, path = int(self.length.max()), target.stateful and target.stateful.path
        return Trace(
            ids=self.ids.masked_fill(outside, self.pad)[:, :longest],
            origins=self.origins[:, :longest],
            alphas=self.alphas.masked_fill(outside, torch.nan)[:, :longest],
            accepts=self.accepts.masked_fill(outside, -1)[:, :longest],
            lengths=self.length,
            rounds=self.rounds,
            states=None if path is None else path(self.alphas[:, :longest], self.ids[:, :longest]),
        )


@dataclass(frozen=True)
class Places:
    """Places of some rows of a journal.

    Attributes:
        journal: where the texts are.
        rows: ``(B,)``, numbers of the rows in the original batch.
        lengths: ``(B, n)``, the length of the text before each place, as Hugging Face lays it out.
        needed: ``(B, n)``, the places that count: not those of rows that are done or wait, nor after a drafted stop token.
    """

    journal: Journal
    rows: Tensor
    lengths: Tensor
    needed: Tensor

    def text(self, length: int) -> Tensor:
        """The first ids of every row, ``(B, length)``; a row that is not that long yet is shown as if it had ended."""
        journal, device = self.journal, self.journal.text.device
        assert journal.live, "a text that is read before it is done"
        ids = journal.text[self.rows.to(device), :length]
        emitted = journal.width + journal.length[self.rows]
        real = torch.where(self.needed, self.lengths, emitted.unsqueeze(-1)).amax(-1)
        if bool((real >= length).all()):
            return ids
        column, real = torch.arange(length, device=device), real.to(device).unsqueeze(-1)
        ids.masked_fill_(column >= real, journal.pad)
        if len(journal.stops):
            goes_on = ~journal.done[self.rows].to(device).unsqueeze(-1)
            ids.masked_fill_((column == real) & goes_on, int(journal.stops[0]))
        return ids

    def groups(self) -> list[tuple[int, Tensor, Tensor]]:
        """Per distinct length of what counts: the length, and the rows and columns of these places."""
        row, column = self.needed.nonzero(as_tuple=True)
        found, lengths = [], self.lengths[row, column]
        for length in sorted(set(lengths.tolist())):
            here = lengths == length
            found.append((length, row[here], column[here]))
        return found


def stack_scores(scores: list[list[Tensor]] | None) -> tuple[Tensor, ...] | None:
    """One ``(B, V)`` tensor per column; rows that had ended hold zeros."""
    if scores is None or not any(scores):
        return None if scores is None else ()
    blank = torch.zeros_like(next(row for row in scores if row)[0])
    width = max(len(row) for row in scores)
    return tuple(torch.stack([row[i] if i < len(row) else blank for row in scores]) for i in range(width))
