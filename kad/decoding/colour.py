"""Text coloured by where each token came from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.text import Text

from ..errors import visible
from ..origins import ORIGINS
from ..terminal import KEPT, Console, generated
from .columns import in_common
from .trace import Trace

# Blue and orange keep apart for colour-blind readers; the underline keeps apart without any colour.
STYLES = {"base": "dodger_blue1", "proxy": "dark_orange underline", "target": "green"}
LEGENDS = {
    "base": Text("kept from the base", STYLES["base"]), "proxy": Text("from the proxy", STYLES["proxy"]),
    "target": Text("from the mixture, which does not tell", STYLES["target"]),
}  # fmt: skip
LEGEND = Text("   ").join([LEGENDS["base"], LEGENDS["proxy"]])


class Pieces:
    """One string per token; joined they are the decoded text, after every token.

    A token that leaves a character unfinished (bytes of a longer one) adds nothing, and the token that completes it
    adds all of it. Special tokens add nothing. Where a decoder takes back what it had said (a space before a full
    stop), so do the tokens that had said it.

    Attributes:
        text: what is settled so far.
        parts: of every token.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer, self.ids, self.parts, self.text = tokenizer, list[int](), list[str](), ""

    def add(self, token: int) -> None:
        self.ids.append(token)
        self.parts.append("")
        self.settle(self.tokenizer.decode(self.ids, skip_special_tokens=True).rstrip("\ufffd"))

    def finish(self) -> None:
        """There are no more tokens: what is unfinished is shown as such."""
        if self.ids:
            self.settle(self.tokenizer.decode(self.ids, skip_special_tokens=True))

    def settle(self, text: str) -> None:
        if not text.startswith(self.text):
            same = in_common(text, self.text)
            surplus, at = len(self.text) - same, len(self.parts) - 1
            while surplus:
                taken = min(surplus, len(self.parts[at]))
                self.parts[at] = self.parts[at][: len(self.parts[at]) - taken]
                surplus, at = surplus - taken, at - 1
            self.text = self.text[:same]
        self.parts[-1] += text[len(self.text) :]
        self.text = text


def pieces(tokenizer: Any, ids: Sequence[int]) -> list[str]:
    """One string per token; joined they are the decoded text (`Pieces`)."""
    found = Pieces(tokenizer)
    for token in ids:
        found.add(token)
    found.finish()
    return found.parts


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
    """Prints tokens as they are decided, coloured by origin; in the end it has printed the decoded text. One row.

    What a later token may change is held back: an unfinished character, and the last word where the tokenizer cleans up
    spaces.

    Raises:
        ValueError: a batch of several rows.
    """

    def __init__(self, tokenizer: Any, console: Console) -> None:
        self.console, self.pieces = console, Pieces(tokenizer)
        self.cleans = bool(getattr(tokenizer, "clean_up_tokenization_spaces", False))
        self.origins, self.origin, self.prompt = list[int](), 0, True
        self.shown = 0  # characters that are printed

    def put_origin(self, codes: Any) -> None:
        """Called before ``put`` with the origins of the column."""
        self.origin = int(codes[0])

    def put(self, value: Any) -> None:
        if self.prompt:  # the first call carries the prompt
            if value.ndim > 1 and len(value) > 1:
                raise ValueError("the text can be streamed of one row only; give one prompt, or drop the streamer.")
            self.prompt = False
            return
        self.pieces.add(int(value.flatten()[0]))
        self.origins.append(self.origin)
        text = self.pieces.text
        self.show(max(text.rfind(" "), 0) if self.cleans else len(text))

    def show(self, end: int) -> None:
        at = 0
        for part, origin in zip(self.pieces.parts, self.origins, strict=True):
            new = part[max(self.shown - at, 0) : max(end - at, 0)]
            at += len(part)
            if new:
                generated(self.console, styled(new, ORIGINS[origin]), new, end="")
        self.shown = max(self.shown, end)

    def end(self) -> None:
        self.pieces.finish()
        self.show(len(self.pieces.text))
        generated(self.console, Text(), "")
