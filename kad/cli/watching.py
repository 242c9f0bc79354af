"""What the commands can be told that let people watch: `kad chat` and `kad play`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..defaults import NEW_TOKENS, WINDOW
from .groups import VARIABLE, Chosen, Drawn, Fast, TwoModels, Window, option


@dataclass(frozen=True, kw_only=True)
class Chat(Fast, Chosen, TwoModels, Drawn):
    """Talk with a pair in the terminal; every answer is coloured by where its tokens came from.

    /help, typed in the conversation, says what can be changed on the way. Without models it uses the embedded pair.
    """

    runs: ClassVar[str] = "kad.cli.chat:converse"
    reference: str | None = option("The small base model q, for implicit reward.")
    system: str | None = option("A system prompt.")
    template_option: tuple[str, ...] = option(VARIABLE, ())
    window: Window = option("Speculative drafts a round; 0 is plain decoding; auto chooses while running.", WINDOW)


@dataclass(frozen=True, kw_only=True)
class Play(TwoModels):
    """Watch methods side by side on a local web page: every token with its origin, its rivals and what the optimum would defer.

    It needs the extra kad-align[play]. Without models it uses the embedded pair.
    """

    runs: ClassVar[str] = "kad.cli.play:play"
    reference: str | None = option("The small base model q, for implicit reward.")
    aligned: str | None = option("The large aligned model, for p*.")
    host: str = option("Where to listen; 0.0.0.0 lets other machines in.", "127.0.0.1")
    port: int = option("Where to listen; 0 takes any that is free.", 8765)
    max_new_tokens: int = option("The longest answer that a visitor may ask for.", NEW_TOKENS)
