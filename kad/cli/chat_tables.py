"""What `kad chat` says of an answer: its totals, its tokens, and one token with its rivals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.table import Table
from rich.text import Text

from ..decoding.colour import LEGEND, STYLES, styled
from ..decoding.decoder import Run
from ..decoding.pair import Pair
from ..decoding.trace import TokenTrace
from ..play.facts import Contestant, Optimum, facts, left_out

COLOURS_OF_CHAT = Text.assemble(LEGEND, "   ", ("from a π that does not tell", STYLES["target"]))
FEW_RIVALS = 2  # of a row


def summed_up(run: Run, how: str, seed: int) -> Text:
    """One line about an answer."""
    trace = run.loop.trace()
    origins = [token.origin for token in trace.tokens()]
    counts = ", ".join(f"{origins.count(name)} {name}" for name in dict.fromkeys(origins)) or "none"
    drafts = f"; {trace.accepted} of {trace.drafted} drafts stand" if trace.drafted else ""
    deferred = "" if trace.deferral_rate != trace.deferral_rate else f"; {trace.deferral_rate:.0%} of the mass deferred"
    passes = f"; passes: {trace.base_passes} base, {trace.proxy_passes} proxy"
    drawn = f"; seed {seed}" if run.loop.sampling.sample else "; greedy"
    return Text(f"[{how}tokens: {counts}{drafts}{deferred}{passes}{drawn}]", "dim")


def number_text(x: float | None) -> str:
    """A probability of three figures, as far as there is one.

    >>> number_text(0.12345), number_text(1.0), number_text(0.0), number_text(2e-5), number_text(None)
    ('.123', '1', '0', '2e-05', '–')
    """
    if x is None or x != x:
        return "–"
    if 0 < x < 5e-4:
        return f"{x:.0e}"
    return f"{x:.3f}".rstrip("0").rstrip(".").removeprefix("0") or "0"


def whether(d: float | None) -> str:
    """A decision in words."""
    return {None: "–", 0.0: "no", 1.0: "yes"}.get(d) or f"{d:.0%}"


def token_text(token: TokenTrace, text: str) -> Text:
    """The token in its colour."""
    return styled(text.strip() or repr(text), token.origin)


def how_it_came(token: TokenTrace) -> str:
    """In a word or two."""
    if token.accepted is not None:
        return "draft" if token.accepted else "instead"
    return {"base": "kept", "proxy": "deferred", "target": "drawn"}[token.origin]


def why_table(pair: Pair, run: Run) -> Iterator[Any]:
    """Every token of an answer.

    Raises:
        ValueError: it has none.
    """
    tokens = run.loop.trace().tokens()
    if not tokens:
        raise ValueError("the answer has no tokens.")
    table = Table(box=None, padding=(0, 1), header_style="bold")
    for title in ("", "token", "how", "α", "p", "q*", "π"):
        table.add_column(title, justify="left" if title in ("token", "how") else "right", no_wrap=True)
    table.add_column("rivals, with their π")
    for i, (token, fact) in enumerate(zip(tokens, facts(pair, run, seconds=0), strict=True), 1):
        own = fact.token
        rivals = sorted(fact.rivals, key=lambda one: -one.pi)[:FEW_RIVALS]
        told = "  ".join(f"{one.text.strip() or repr(one.text)} {number_text(one.pi)}" for one in rivals)
        cells = (number_text(x) for x in (token.alpha, own.p, own.q, own.pi))
        table.add_row(str(i), token_text(token, own.text), how_it_came(token), *cells, told)
    yield table
    yield Text(
        "draft: of the proxy, and stands. instead: where a draft fell. kept, deferred: the base's own draw.", "dim"
    )
    if without := left_out(run):
        yield Text(f"p, q* and π are shown without {', '.join(without)}.", "dim")


def place_table(pair: Pair, run: Run, number: int) -> Iterator[Any]:
    """One token with its rivals, what is deferred, and what the exact optimum would have deferred.

    Raises:
        ValueError: there is no such token.
    """
    tokens = run.loop.trace().tokens()
    if not 1 <= number <= len(tokens):
        raise ValueError(f"the answer has {len(tokens)} tokens; there is no token {number}.")
    token = tokens[number - 1]
    fact = next(facts(pair, run, only=number - 1))
    table = Table(box=None, padding=(0, 1), header_style="bold")
    titles = ["token", "p", "q*", "π", "deferred", "by the optimum"]
    for title in titles[: 6 if fact.optimum else 5 if fact.token.deferred is not None else 4]:
        table.add_column(title, justify="left" if title == "token" else "right")
    for one in (fact.token, *fact.rivals):
        name = token_text(token, one.text) if one is fact.token else Text(one.text.strip() or repr(one.text))
        table.add_row(name, *cells_of(one)[: len(table.columns) - 1])
    yield table
    if fact.optimum is not None:
        yield Text(in_words_of(fact.optimum))


def in_words_of(best: Optimum) -> str:
    """The rule beside the exact optimum."""
    mass, risk, rule_mass, rule_risk = (f"{x:.3g}" for x in (best.mass, best.risk, best.rule_mass, best.rule_risk))
    if (mass, risk) == (rule_mass, rule_risk):
        return f"The exact 0-1 optimum for this mass does no better: a risk of {risk} is kept."
    proof = "" if best.status == "OPTIMAL" else " (not proved in time)"
    return (
        f"Within a mass of {best.budget:.3g} the exact 0-1 optimum defers {mass} and keeps a risk of {risk}{proof}; "
        f"the rule defers {rule_mass} and keeps {rule_risk}."
    )


def cells_of(one: Contestant) -> list[str]:
    return [*(number_text(x) for x in (one.p, one.q, one.pi)), whether(one.deferred), whether(one.optimal)]
