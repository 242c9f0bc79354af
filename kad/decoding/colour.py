"""Text coloured by where each token came from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.text import Text

from ..errors import visible
from ..terminal import KEPT, Console
from .trace import ORIGINS, Trace

# Blue and orange keep apart for colour-blind readers; the underline keeps apart without any colour.
STYLES = {"base": "dodger_blue1", "proxy": "dark_orange underline", "target": "green"}
LEGEND = Text.assemble(
    ("kept from the base", STYLES["base"]), "   ", ("from the proxy", STYLES["proxy"]),
)  # fmt: skip


def pieces(tokenizer: Any, ids: Sequence[int], start: str = "") -> list[str]:
    """One string per token; joined they are the decoded text.

    A token that leaves a character unfinished (bytes of a longer one) adds nothing, and the token that completes it
    adds all of it. Special tokens add nothing.
    """
    out, shown = [], start
    for i in range(1, len(ids) + 1):
        text = tokenizer.decode(list(ids[:i]), skip_special_tokens=True)
        if text.endswith("\ufffd") and i < len(ids):
            out.append("")
            continue
        out.append(text[len(shown) :] if text.startswith(shown) else "")
        shown = text
    return out


def coloured(trace: Trace, tokenizer: Any, row: int = 0) -> Text:
    """One row of a trace as rich text."""
    tokens = trace.tokens(row)
    text = Text()
    for token, piece in zip(tokens, pieces(tokenizer, [t.id for t in tokens]), strict=True):
        text.append(styled(piece, token.origin))
    return text


def styled(piece: str, origin: str) -> Text:
    """A token's text in its origin's style; the white space before it stays plain, and control characters are shown."""
    piece = visible(piece, KEPT)
    spaces = len(piece) - len(piece.lstrip())
    return Text(piece[:spaces]).append(piece[spaces:], STYLES[origin])


class ColourStreamer:
    """Prints tokens as they are decided, coloured by origin. One row."""

    def __init__(self, tokenizer: Any, console: Console) -> None:
        self.tokenizer, self.console = tokenizer, console
        self.ids: list[int] = []
        self.shown, self.prompt, self.origin = "", True, 0

    def put_origin(self, codes: Any) -> None:
        """Called before ``put`` with the origins of the column."""
        self.origin = int(codes[0])

    def put(self, value: Any) -> None:
        if self.prompt:  # the first call carries the prompt
            self.prompt = False
            return
        self.ids.append(int(value.flatten()[0]))
        text = self.tokenizer.decode(self.ids, skip_special_tokens=True)
        if text.endswith("\ufffd"):
            return
        new = text[len(self.shown) :]
        self.console.generated(styled(new, ORIGINS[self.origin]), new, end="")
        self.shown = text

    def end(self) -> None:
        self.console.generated(Text(), "")
