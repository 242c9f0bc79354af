"""A proxy with another tokenizer: its vocabulary is mapped to the base's, token by token, by the bytes they stand for.

q* over the base's tokens is the proxy's distribution on the tokens that both have, renormalised; q*_v = 0 elsewhere.
If the mapped tokens hold the mass m of q*, renormalising moves it by D_TV = 1 − m, and the sampled π, under a
rule that looks at p alone, by α (1 − m) (theory S8). A token of the base that the proxy lacks can still come from p; the proxy then reads the
pieces that it would write it with.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .vocabulary import covering, id_bound

COVERAGE = 0.9  # with less, a token in ten of the proxy's would be lost: see `VocabularyMap.coverage`


@dataclass(frozen=True, eq=False)
class VocabularyMap:
    """Which of the proxy's tokens each of the base's tokens is.

    Attributes:
        proxy_of: ``(V,)``, the proxy's id of each of the base's tokens, −1 where it has none.
        stop: the base's id that stands for all stop tokens of the proxy that the base lacks; None if there are none.
        stops: these tokens' ids, the proxy's.
        pieces: ids of the proxy to read instead of a token that it lacks; by the base's id.
        stop_tokens: the proxy's stop tokens, as ids of the base.
        coverage: the share of the proxy's tokens of two bytes or more that is mapped, each weighted as Zipf's law
            weighs its rank: tokenizers that merge number their tokens in the order of frequency.

    >>> import kad
    >>> tokenizer = kad.demo.load().tokenizer
    >>> kad.VocabularyMap.between(tokenizer, tokenizer).coverage
    1.0
    """

    proxy_of: Tensor
    stop: int | None
    stops: list[int]
    pieces: dict[int, list[int]]
    stop_tokens: list[int]
    coverage: float
    brought: dict[torch.device, tuple[Tensor, ...]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @staticmethod
    def between(
        base: Any, proxy: Any, proxy_stops: set[int] | None = None, *, outputs: int | None = None,
        proxy_outputs: int | None = None, base_stops: Iterable[int] = (),
    ) -> VocabularyMap:  # fmt: skip
        """The map of two Hugging Face tokenizers.

        Args:
            base: the base's tokenizer.
            proxy: the proxy's.
            proxy_stops: the aligned model's stop tokens; by default its tokenizer's end of sequence.
            outputs: how many the base has; tokens beyond are left out, which no model can say.
            proxy_outputs: the same of the proxy.
            base_stops: the base's stop tokens; the map covers them, also where its tokenizer does not.

        Raises:
            ValueError: they have too little in common.
        """
        size = id_bound(base) if outputs is None else covering(min(id_bound(base), outputs), base_stops, outputs)
        own = math.inf if proxy_outputs is None else proxy_outputs
        ours = {i: surface for i, surface in surfaces(base).items() if i < size}
        theirs = {i: surface for i, surface in surfaces(proxy).items() if i < own}
        id_of = {surface: i for i, surface in sorted(theirs.items(), reverse=True)}  # of equals the first
        taken = dict[int, int]()  # the base's id of each of the proxy's that it has
        for i, surface in sorted(ours.items()):
            if surface in id_of:
                taken.setdefault(id_of[surface], i)
        proxy_of = torch.full((size,), -1)
        proxy_of[list(taken.values())] = torch.tensor(list(taken), dtype=torch.long)
        ends = {proxy.eos_token_id} - {None} if proxy_stops is None else proxy_stops
        stops = {i for i in ends if i < own}
        lost = sorted(stops - taken.keys())
        stop = base.eos_token_id if lost else None
        if lost and (stop is None or stop >= size):
            raise ValueError("the base's tokenizer has no end of sequence for the proxy's stop tokens to become.")
        if stop is not None:
            if int(proxy_of[stop]) >= 0:
                lost.append(int(proxy_of[stop]))
            proxy_of[stop] = -1
        coverage = share_mapped(theirs, taken)
        lacking = {i: surface for i, surface in ours.items() if int(proxy_of[i]) < 0 and i != stop}
        pieces = spellings(lacking, id_of, proxy.unk_token_id if proxy.unk_token_id in theirs else None)
        known = sorted({taken[s] for s in stops if s in taken} | ({stop} if stop is not None else set()))
        return VocabularyMap(proxy_of, stop, lost, pieces, known, coverage)

    def to_base(self, logits: Tensor) -> Tensor:
        """The proxy's logits ``(*batch, V*)`` over the base's tokens ``(*batch, V)``; −inf where it has none."""
        at, lacking, stops = self.on(logits.device)
        out = logits[..., at].masked_fill_(lacking, -torch.inf)
        if self.stop is not None:
            out[..., self.stop] = torch.logsumexp(logits[..., stops].float(), -1).to(out.dtype)
        return out

    def on(self, device: torch.device) -> tuple[Tensor, ...]:
        """Which of the proxy's tokens each of the base's is, which are none, and its stop tokens; brought to a device once."""
        if device not in self.brought:
            constants = self.proxy_of.clamp_min(0), self.proxy_of < 0, torch.tensor(self.stops, dtype=torch.long)
            self.brought[device] = tuple(x.to(device) for x in constants)
        return self.brought[device]

    def mapped_mass(self, logits: Tensor, mapped: Tensor | None = None) -> Tensor:
        """How much of q* the base can say, ``(*batch,)``: exp of the difference of two log-sums.

        ``mapped`` is `to_base` of the logits, if it is already known.
        """
        mapped = self.to_base(logits) if mapped is None else mapped
        return (torch.logsumexp(mapped.float(), -1) - torch.logsumexp(logits.float(), -1)).exp()

    def read(self, token: int) -> list[int]:
        """What the proxy reads for one of the base's tokens."""
        own = int(self.proxy_of[token]) if token < len(self.proxy_of) else -1
        return [own] if own >= 0 else self.pieces.get(token, self.stops[:1])


def surfaces(tokenizer: Any) -> dict[int, bytes | str]:
    """What every token stands for: its bytes, or its name if it is a special token."""
    byte_level = "ByteLevel" in tokenizer.backend_tokenizer.to_str() if tokenizer.is_fast else False
    special, found = set(tokenizer.all_special_ids), dict[int, bytes | str]()
    for token, i in tokenizer.get_vocab().items():
        found[i] = token if i in special else plain_bytes(token, byte_level)
    return found


def share_mapped(theirs: dict[int, bytes | str], taken: dict[int, int]) -> float:
    """`VocabularyMap.coverage`; a ValueError where it is too little."""
    words = [i for i, surface in sorted(theirs.items()) if isinstance(surface, bytes) and len(surface) > 1]
    weights = {i: 1 / (rank + 1) for rank, i in enumerate(words)}
    coverage = sum(w for i, w in weights.items() if i in taken) / max(sum(weights.values()), 1e-30)
    if coverage < COVERAGE:
        raise ValueError(
            f"the vocabularies share too little: {coverage:.0%} of the proxy's tokens, weighted by frequency, exist in "
            f"the base's ({COVERAGE:.0%} are needed, or q* would be another model's); choose a proxy whose tokenizer "
            "is closer to the base's."
        )
    return coverage


def plain_bytes(token: str, byte_level: bool) -> bytes:
    """The bytes of one entry: of a byte-level vocabulary, or of one that marks spaces as ▁ and bytes as <0xNN>."""
    if byte_level:
        table = byte_alphabet()
        return b"".join(bytes([table[c]]) if c in table else c.encode() for c in token)
    one = re.fullmatch(r"<0x([0-9A-Fa-f]{2})>", token)
    return bytes([int(one[1], 16)]) if one else token.replace("▁", " ").encode()


def byte_alphabet() -> dict[str, int]:
    """The characters by which byte-level vocabularies write bytes: printable ones as they are, the rest from U+0100."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [b for b in range(256) if b not in printable]
    return {chr(b): b for b in printable} | {chr(0x100 + n): b for n, b in enumerate(rest)}


def spellings(lacking: dict[int, bytes | str], id_of: dict[Any, int], unknown: int | None) -> dict[int, list[int]]:
    """`segments` of all these tokens."""
    longest = max((len(s) for s in id_of), default=0)
    return {i: segments(surface, id_of, longest, unknown) for i, surface in lacking.items()}


def segments(surface: bytes | str, id_of: dict[Any, int], longest: int, unknown: int | None) -> list[int]:
    """The proxy's tokens that spell these bytes, the longest first; what it cannot spell becomes its unknown token."""
    if isinstance(surface, str):
        surface = surface.encode()
    found, at = list[int](), 0
    while at < len(surface):
        size = next((n for n in range(min(longest, len(surface) - at), 0, -1) if surface[at : at + n] in id_of), 0)
        if size:
            found.append(id_of[surface[at : at + size]])
        elif unknown is not None and (not found or found[-1] != unknown):
            found.append(unknown)
        at += size or 1
    return found
