"""``kad chat``: a conversation in the terminal, with what can be typed beside questions."""

from __future__ import annotations

import random
import sys
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from ..checkpoints import Checkpoints, load_checkpoints
from ..decoding.colour import ColourStreamer
from ..decoding.decoder import Run
from ..decoding.packed import pack_weights
from ..decoding.pair import Pair
from ..demo.problems import draw_from
from ..errors import said, visible
from ..evaluation.methods import methods_of
from ..mixture import Placement, Target, check_placement
from ..play.stage import EMBEDDED_TOKENS
from ..terminal import Console, loading
from .chat_tables import COLOURS_OF_CHAT, place_table, summed_up, why_table
from .generate import check_run, choose_target, drawing_of
from .variables import variables
from .watching import Chat

WORDS_OF_HELP = """\
/method dual:0.3   another method, as for kad eval: primal:0.9, nudging:0.4, Squared*primal:0.5, p, q*, ...
/window 5          drafts a round; 0 is plain decoding, auto chooses while running
/temperature 0.7   of sampling; 0 is greedy.  /placement draws  where it enters: models, draws or mixture
/why               the last answer, token by token: α, p, q*, π, rivals.  /why 3  more about its third token
/again             the last question once more, as things are set now
/example           a question that the embedded pair was made for
/system TEXT       another system prompt; without a text none
/reset             forget the conversation
/settings          how things are set.  /legend  the colours.  /help  this.  /quit  ends, as Ctrl-D does
Ctrl-C stops an answer. A question that begins with / is typed with //."""


@dataclass
class Talk:
    """A conversation: what was said, and how the next answer is made. What is typed as ``/name`` is ``do_name``.

    Attributes:
        loaded: the models.
        target: what is sampled.
        window: γ.
        options: further ones of `kad.generate`.
        seed: of the next answer.
        role: the model that stands in the base's place.
        placement: where the temperature enters, for the next method too.
        turns: the messages so far, without the system prompt.
        last: the last answer's pair and run.
    """

    console: Console
    loaded: Checkpoints
    target: Target
    window: Any
    options: dict[str, Any]
    seed: int
    system: str | None = None
    placement: Placement = "models"
    embedded: bool = False
    compile: bool = False
    role: str = "base"
    turns: list[dict[str, str]] = field(default_factory=list)
    last: tuple[Pair, Run] | None = None
    examples: int = 0

    def hear(self, line: str) -> bool:
        """Do what a line says; whether the conversation goes on. What cannot be done is said, and changes nothing."""
        name, _, words = line.strip().partition(" ")
        try:
            if not name.startswith("/") or name.startswith("//"):
                if line.strip():
                    self.answer(line.strip().removeprefix("/") if name.startswith("//") else line.strip())
            elif name == "/quit":
                return False
            elif (do := getattr(self, f"do_{name[1:]}", None)) is not None:
                do(words.strip())
            else:
                raise ValueError(f"there is no {name}; /help says what there is.")
        except KeyboardInterrupt:
            self.console.print("stopped.")
        except BrokenPipeError:
            raise
        except Exception as error:
            self.console.print(f"kad: {visible(said(error))}", soft_wrap=True)
        return True

    def answer(self, question: str) -> None:
        """Write the answer while it is made; where Ctrl-C stops it, what is there stays part of the conversation."""
        head = [{"role": "system", "content": self.system}] if self.system else []
        turn = {"role": "user", "content": question}
        models, tokenizer, own = self.loaded.models, self.loaded.tokenizer_of(self.role), self.loaded.proxy_tokenizer
        proxys = None if own is tokenizer else own
        pair = Pair(models[self.role], models["proxy"], tokenizer, proxys, compile=self.compile)
        streamer, stopped = ColourStreamer(tokenizer, self.console), ""
        run = pair.begin(
            [*head, *self.turns, turn], self.target, window=self.window, seed=self.seed, streamer=streamer, **self.options
        )  # fmt: skip
        try:
            run.output()
        except KeyboardInterrupt:
            stopped = "stopped; "
            streamer.end()
        text = tokenizer.decode(run.loop.trace().emitted[0], skip_special_tokens=True)
        self.turns += [turn, {"role": "assistant", "content": text}]
        self.last = pair, run
        self.console.print(summed_up(run, stopped, self.seed), soft_wrap=True)
        self.seed += 1

    def do_method(self, words: str) -> None:
        found = methods_of(words) if words else []
        if len(found) != 1:
            raise ValueError(f"/method takes one method, such as dual:0.3, got {words!r}.")
        method, kind = found[0], found[0].known
        for role in (kind.base, kind.needs):
            if role is not None and role not in self.loaded.models:
                raise ValueError(f"{method.name} needs the model {role!r}, which is not here.")
        self.target = method.target(self.placement, self.loaded.models.get("reference"))
        self.role = kind.base
        self.console.print(f"from now on {method.label}.")

    def do_placement(self, words: str) -> None:
        check_placement(words)
        self.placement = words  # type: ignore[assignment]
        if "placement" in getattr(self.target, "__dataclass_fields__", {}):
            self.target = replace(self.target, placement=self.placement)  # type: ignore[type-var]
        self.console.print(f"from now on the temperature enters at: {words}.")

    def do_window(self, words: str) -> None:
        if words != "auto" and not (words.isdecimal() and len(words) < 4):
            raise ValueError(f"/window takes a number of drafts ≥ 0 or auto, got {words!r}.")
        self.window = words if words == "auto" else int(words)
        self.console.print("from now on " + (f"{words} drafts a round." if self.window else "without drafts."))

    def do_temperature(self, words: str) -> None:
        try:
            value = float(words)
        except ValueError:
            value = -1.0
        if not 0 <= value < float("inf"):
            raise ValueError(f"/temperature takes a number ≥ 0, got {words!r}.")
        kept = {name: x for name, x in self.options.items() if name not in ("temperature", "do_sample")}
        self.options = kept | ({"do_sample": True, "temperature": value} if value else {"do_sample": False})
        self.console.print(f"from now on sampled at {value:g}." if value else "from now on greedy.")

    def do_system(self, words: str) -> None:
        self.system = words or None
        self.console.print("from now on " + ("with this system prompt." if words else "without a system prompt."))

    def do_reset(self, words: str) -> None:
        self.turns, self.last = [], None
        self.console.print("the conversation begins anew.")

    def do_again(self, words: str) -> None:
        if not self.turns:
            raise ValueError("there is no question yet.")
        before, self.turns = self.turns, self.turns[:-2]
        try:
            self.answer(before[-2]["content"])
        except BaseException:
            self.turns = before
            raise

    def do_example(self, words: str) -> None:
        if not self.embedded:
            raise ValueError("/example is for the embedded pair.")
        self.examples += 1
        question = draw_from(random.Random(f"chat-{self.examples}"), "dev").text
        self.console.print(question, soft_wrap=True)
        self.answer(question)

    def do_why(self, words: str) -> None:
        if self.last is None:
            raise ValueError("there is no answer yet.")
        if words and not (words.isdecimal() and len(words) < 7):
            raise ValueError(f"/why takes the number of a token, got {words!r}.")
        for shown in place_table(*self.last, int(words)) if words else why_table(*self.last):
            self.console.print(shown)

    def do_settings(self, words: str) -> None:
        drawn = ", ".join(f"{name}={value}" for name, value in self.options.items()) or "as the aligned model says"
        model = "" if self.role == "base" else f", {self.role} in the base's place"
        self.console.print(
            f"{self.target!r}{model}; window {self.window}; {drawn}; next seed {self.seed}; ", soft_wrap=True
        )
        self.console.print(
            f"system prompt: {self.system or 'none'}; questions so far: {len(self.turns) // 2}.", soft_wrap=True
        )

    def do_legend(self, words: str) -> None:
        self.console.print(COLOURS_OF_CHAT)

    def do_help(self, words: str) -> None:
        self.console.print(WORDS_OF_HELP, soft_wrap=True)


def converse(o: Chat) -> None:
    """Read lines until there are none."""
    check_run(o)
    with loading(o.places):
        loaded, console = load_checkpoints(o.places, o.dtype, o.device), Console()
    if not loaded.aligned_tokenizer.chat_template:
        raise ValueError(f"{o.proxy} has no chat template, so there is no conversation with it; use kad generate.")
    if o.pack:
        loaded = replace(loaded, models={role: pack_weights(model) for role, model in loaded.models.items()})
    options = drawing_of(o) | ({"stop_strings": list(o.stop)} if o.stop else {})
    options |= {"template": variables(o.template_option)} if o.template_option else {}
    if o.base is None:
        options.setdefault("max_new_tokens", EMBEDDED_TOKENS)
    talk = Talk(
        console, loaded, choose_target(o, loaded.models.get("reference")), o.window, options,
        random.SystemRandom().randrange(2**31) if o.seed is None else o.seed,
        o.system, o.placement, o.base is None, o.compile,
    )  # fmt: skip
    who = (
        "the embedded pair, which does sums in words (/example asks one)"
        if o.base is None
        else f"{o.base} aligned by {o.proxy}"
    )
    console.print(f"kad: {who}. /help says what can be typed; Ctrl-D ends.", soft_wrap=True)
    console.print(COLOURS_OF_CHAT)
    while (line := next_line(console)) is not None and talk.hear(line):
        pass


def next_line(console: Console) -> str | None:
    """What is typed next; None at the end."""
    typed = sys.stdin.isatty()
    if typed:
        with suppress(ImportError):  # it makes input() a line that can be edited and looked up
            import readline  # noqa: F401
    while True:
        try:
            return input("> " if typed else "")
        except EOFError:
            if typed:
                console.print()
            return None
        except KeyboardInterrupt:
            console.print("\nCtrl-D or /quit ends.")
