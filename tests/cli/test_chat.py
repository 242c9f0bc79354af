"""`kad chat`: the tokens of `kad.generate`, a history, colours, what is typed with a slash, and Ctrl-C."""

from __future__ import annotations

import io
import re

import pytest

import kad
from kad.checkpoints import load_checkpoints
from kad.cli.chat import Talk
from kad.cli.main import main
from kad.decoding.colour import ColourStreamer
from kad.terminal import Console

FIRST = "tom has 6 apples . he loses 2 . he finds 9 more . how many apples does tom have now ?"
SECOND = "mia has 6 pens . she buys 8 more . she loses 3 . how many pens does mia have now ?"


def chat(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, lines: list[str], *options: str) -> str:
    """What it prints when these lines are typed."""
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(line + "\n" for line in lines)))
    assert main(["chat", *options]) == 0, capsys.readouterr().err
    return capsys.readouterr().out


@pytest.fixture(scope="module")
def pair() -> kad.Pair:
    return kad.demo.load()


@pytest.fixture
def talk() -> Talk:
    """A conversation with the embedded pair on a terminal."""
    console = Console(file=io.StringIO(), force_terminal=True, width=100, color_system="256")
    return Talk(console, load_checkpoints({}), kad.dual(0.4), 3, {"max_new_tokens": 40}, 5, embedded=True)


def printed(talk: Talk, *lines: str) -> str:
    """What these lines make it print, without the colours."""
    file = talk.console.file
    assert isinstance(file, io.StringIO)
    at = file.tell()
    for line in lines:
        assert talk.hear(line)
    return re.sub(r"\x1b\[[\d;]*m", "", file.getvalue()[at:])


def test_a_conversation_is_what_generate_writes_turn_by_turn(capsys, monkeypatch, pair: kad.Pair) -> None:
    lines = [
        FIRST,
        "/method primal:0.6",
        "/window 2",
        "/placement draws",
        SECOND,
        "/reset",
        "/system worksheet .",
        SECOND,
    ]
    given = ("--seed", "11", "--temperature", "0.9", "--max-new-tokens", "30")
    out = chat(capsys, monkeypatch, lines, *given)
    said = list[dict[str, str]]()

    def answer(question: str, target: kad.Target, window: int, seed: int) -> str:
        said.append({"role": "user", "content": question})
        found = kad.generate(
            pair.base, pair.proxy, said, target=target, tokenizer=pair.tokenizer, window=window, seed=seed,
            do_sample=True, temperature=0.9, max_new_tokens=30,
        )  # fmt: skip
        text = pair.tokenizer.decode(found.trace.emitted[0], skip_special_tokens=True)
        said.append({"role": "assistant", "content": text})
        return text

    want = [answer(FIRST, kad.dual(0.4), 3, 11), answer(SECOND, kad.primal(0.6, "draws"), 2, 12)]
    said[:] = [{"role": "system", "content": "worksheet ."}]
    want.append(answer(SECOND, kad.primal(0.6, "draws"), 2, 13))
    assert len(set(want)) == 3
    shown = out.splitlines()
    assert [shown[i - 1] for i, line in enumerate(shown) if line.startswith("[tokens:")] == want
    assert [line[-9:] for line in shown if line.startswith("[tokens:")] == [f" seed {n}]" for n in (11, 12, 13)]


def test_colours_and_their_legend(talk: Talk) -> None:
    file = talk.console.file
    assert isinstance(file, io.StringIO)
    talk.hear(FIRST)
    coloured = file.getvalue()
    run = talk.last[1]
    assert {token.origin for token in run.loop.trace().tokens()} == {"base", "proxy"}
    assert "\x1b[4;38;5;208mfirst" in coloured
    assert "\x1b[38;5;33m" in coloured
    assert "kept from the base" in printed(talk, "/legend")


def test_why_a_token_is_there(talk: Talk) -> None:
    assert printed(talk, "/why") == "kad: there is no answer yet.\n"
    text = printed(talk, FIRST)
    table = printed(talk, "/why").splitlines()
    rows = [line.split() for line in table if re.match(r" +\d+ ", line)]
    trace = talk.last[1].loop.trace()
    assert len(rows) == int(trace.lengths[0])
    assert rows[0][1:4] == ["first", "draft", "1"]
    assert " ".join(row[1] for row in rows[:-1]) == text.splitlines()[0]
    one = printed(talk, "/why 2")
    assert one.splitlines()[0].split() == ["token", "p", "q*", "π", "deferred", "by", "the", "optimum"]
    assert one.splitlines()[1].split()[0] == "6"
    assert "The exact 0-1 optimum for this mass does no better" in one
    assert printed(talk, "/why 99") == f"kad: the answer has {len(rows)} tokens; there is no token 99.\n"
    assert "optimum" not in printed(talk, "/method p", "/again", "/why 1")  # nothing is decided there
    assert len(printed(talk, "/method paced:0.2", "/again", "/why 3").splitlines()) > 6


def test_again_asks_the_last_question_and_keeps_what_was_before(talk: Talk) -> None:
    assert printed(talk, "/again") == "kad: there is no question yet.\n"
    printed(talk, FIRST, SECOND)
    before = talk.turns[:2]
    assert printed(talk, "/method q*", "/again").startswith("from now on q*.\nfirst")
    assert talk.turns[:2] == before
    assert [turn["content"] for turn in talk.turns if turn["role"] == "user"] == [FIRST, SECOND]
    assert printed(talk, "/temperature 1.5", "/settings").endswith("questions so far: 2.\n")
    assert printed(talk, "/example").count("\n") == 3
    assert not talk.hear("/quit")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("/method", "/method takes one method, such as dual:0.3, got ''."),
        ("/method dual:0.3,0.4", "/method takes one method, such as dual:0.3, got 'dual:0.3,0.4'."),
        ("/method dual:x", "the parameter of dual is a number, got 'dual:x'."),
        ("/method nowhere.Target", "cannot load the target nowhere.Target"),
        ("/window -1", "/window takes a number of drafts ≥ 0 or auto, got '-1'."),
        ("/temperature hot", "/temperature takes a number ≥ 0, got 'hot'."),
        ("/placement here", "placement must be one of models, draws, mixture"),
        ("/why no", "there is no answer yet."),
        ("/hear", "there is no /hear; /help says what there is."),
        ("/\x1b[2J", "there is no /\\x1b[2J; /help says what there is."),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(talk: Talk, line: str, sentence: str) -> None:
    before = (talk.target, talk.window, talk.options, talk.role)
    assert printed(talk, line).replace("\n", " ").startswith(f"kad: {sentence}")
    assert (talk.target, talk.window, talk.options, talk.role) == before


def test_control_c_stops_the_answer_and_not_the_conversation(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    put, count = ColourStreamer.put, [0]

    def interrupted(self: ColourStreamer, value: object) -> None:
        put(self, value)
        count[0] += 1
        if count[0] == 5:  # the prompt, and four tokens
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ColourStreamer, "put", interrupted)
        out = printed(talk, FIRST)
    assert out.startswith("first 6 - 2\n[stopped; tokens: ")
    assert talk.turns[-1]["content"].startswith("first 6 - 2")
    assert printed(talk, SECOND).startswith("first")
    assert len(talk.turns) == 4


def test_control_c_at_the_prompt_says_how_to_end(monkeypatch, capsys) -> None:
    typed = iter([KeyboardInterrupt, "/help", EOFError])

    def next_one(prompt: str) -> str:
        found = next(typed)
        if isinstance(found, str):
            return found
        raise found

    monkeypatch.setattr("builtins.input", next_one)
    assert main(["chat"]) == 0
    out = capsys.readouterr().out
    assert "Ctrl-D or /quit ends." in out
    assert "/method dual:0.3" in out


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--window", "-1"], "--window must be ≥ 0"),
        (["--greedy", "--sample"], "choose one of --greedy and --sample."),
        (["--target", "Base", "--loss", "Squared"], "give either --target or --loss and --solver, not both."),
    ],
)
def test_options_that_do_not_go_together(capsys, options: list[str], sentence: str) -> None:
    assert main(["chat", *options]) in (1, 2)
    assert sentence in capsys.readouterr().err
