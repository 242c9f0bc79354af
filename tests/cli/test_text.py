"""The text of ``kad generate``: into a pipe byte for byte, on a terminal harmless, and streamed the same."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import pty
import re
import threading
from functools import cache

import pytest
import torch
from rich.text import Text
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

import kad
from kad import checkpoints
from kad.cli import generate as command
from kad.cli.main import main
from kad.decoding.colour import ColourStreamer, Pieces, coloured
from kad.terminal import Console, generated

from ..forks import Forks
from ..models import chain

# What the models say after "a", token by token; every byte and word stands once.
TEXT = [
    "b",
    "\t",
    "\x1b",
    "[31m",
    "<|mark|>",
    "\r",
    " x ",
    "\n",
    "\n\t",
    "é",
    "\x07",
    "🙂",
    "  ",
    "\u2028",
    "終",
    "<|mark2|>",
    " z ",
    " ",
]
WORDS = ["[31m", " x ", "\n\t", "  ", " z "]
SPECIAL = ["<pad>", "<|mark|>", "<|mark2|>"]


def byte_level() -> PreTrainedTokenizerFast:
    """Every byte is a token, and some words are."""
    table = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    words = [table.pre_tokenize_str(word)[0][0] for word in WORDS]
    entries = [SPECIAL[0], *sorted(pre_tokenizers.ByteLevel.alphabet()), *words]
    backend = Tokenizer(models.BPE({entry: i for i, entry in enumerate(entries)}, []))
    backend.pre_tokenizer, backend.decoder = table, decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL[1:]])
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>")


def ids_of(tokenizer: PreTrainedTokenizerFast, piece: str) -> list[int]:
    """One token if it is one, else its bytes, of which those that were met before are not taken again."""
    if piece in SPECIAL:
        return [tokenizer.convert_tokens_to_ids(piece)]
    written = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(piece)[0][0]
    whole = tokenizer.convert_tokens_to_ids(written)
    return [whole] if whole is not None else [tokenizer.convert_tokens_to_ids(c) for c in written]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return byte_level()


@pytest.fixture(scope="module")
def script(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    found: list[int] = []
    for piece in TEXT:
        ids = ids_of(tokenizer, piece)
        if not set(ids) & set(found):  # a chain says every token once
            found += ids
    return found


@pytest.fixture(scope="module")
def pair(tokenizer: PreTrainedTokenizerFast, script: list[int], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    start = tokenizer("a")["input_ids"][0]
    model = chain(dict(zip([start, *script[:-1]], script, strict=True)), len(tokenizer))
    folders = []
    for role in ("base", "proxy"):
        folder = tmp_path_factory.mktemp("pair") / role
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        folders += [f"--{role}", str(folder)]
    return [*folders, "--greedy", "--dtype", "float32", "--device", "cpu"]


def cuts(tokenizer: PreTrainedTokenizerFast, script: list[int]) -> list[int]:
    """Lengths at which a character is cut, and those after spaces, special tokens and everything."""
    unfinished = [n for n in range(1, len(script)) if tokenizer.decode(script[:n]).endswith("\ufffd")]
    assert len(unfinished) >= 4
    return [2, 3, 5, 6, 7, *unfinished, len(script)]


def test_the_script_is_worth_it(tokenizer: PreTrainedTokenizerFast, script: list[int]) -> None:
    text = tokenizer.decode(script, skip_special_tokens=True)
    assert {"\t", "\x1b", "\r", "\x07", "é", "🙂"} <= set(text)
    assert text.endswith(" ")
    assert "<|mark|>" in tokenizer.decode(script)


@pytest.mark.parametrize("window", ["0", "3", "7"])
def test_streamed_or_not_the_text_is_the_same(capsys, monkeypatch, pair, tokenizer, script, window: str) -> None:
    once = cache(lambda places, dtype, device: checkpoints.load_checkpoints(dict(places), dtype, device))
    monkeypatch.setattr(
        command, "load_checkpoints", lambda places, dtype, device: once(tuple(places.items()), dtype, device)
    )
    for n in cuts(tokenizer, script):
        want = tokenizer.decode(script[:n], skip_special_tokens=True)
        arguments = ["generate", "a", *pair, "--max-new-tokens", str(n), "--window", window]
        for way in ([], ["--stream"]):
            assert main([*arguments, *way]) == 0, capsys.readouterr().err
            assert capsys.readouterr().out == want + "\n", (n, way)
        assert main([*arguments, "--json"]) == 0
        out = capsys.readouterr().out
        found = json.loads(out)
        assert not set("\x1b\r\x07\u2028") & set(out)
        assert found["text"] == want
        assert [t["id"] for t in found["tokens"]] == script[:n]
        special = {t["text"] for t in found["tokens"] if t["id"] in tokenizer.get_added_vocab().values()}
        assert special <= set(SPECIAL)
        assert "".join(t["text"] for t in found["tokens"] if t["text"] not in special) == want


def test_real_processes_into_pipes(pair, tokenizer, script, forks: Forks) -> None:
    """Also with a stop string that is a special token."""
    n = next(n for n in cuts(tokenizer, script)[5:] if n < len(script))
    arguments = ["generate", "a", *pair]
    for way in ([], ["--stream"]):
        done = forks.run([*arguments, *way, "--max-new-tokens", str(n)])
        assert done.stdout == (tokenizer.decode(script[:n], skip_special_tokens=True) + "\n").encode()
    done = forks.run([*arguments, "--stream", "--stop", "<|mark|>"])
    assert done.stdout == b"b\t\x1b[31m\n"


def test_an_output_that_lacks_the_character() -> None:
    console = Console(file=io.TextIOWrapper(io.BytesIO(), encoding="ascii"), force_terminal=False)
    with pytest.raises(
        ValueError, match=r"the output is ascii, which cannot write '\\xe9'; set PYTHONIOENCODING=utf-8\.$"
    ):
        generated(console, Text("né"), "né")


def on_a_terminal(forks: Forks, arguments: list[str]) -> str:
    """What a terminal of 80 columns gets to see, without the colours."""
    leader, follower = pty.openpty()
    environment = {"TERM": "xterm-256color", "COLUMNS": "80"}
    seen = b""

    def watch() -> None:
        nonlocal seen
        with contextlib.suppress(OSError):  # the other side is closed
            while part := os.read(leader, 4096):
                seen += part

    watching = threading.Thread(target=watch)
    watching.start()
    done = forks.run(arguments, terminal=os.ttyname(follower), environment=environment)
    os.close(follower)
    watching.join()
    os.close(leader)
    assert done.returncode == 0, done.stderr.decode()
    return re.sub(r"\x1b\[[0-9;]*m", "", seen.decode().replace("\r\n", "\n"))


def test_real_processes_on_a_terminal(pair, tokenizer, script, forks: Forks) -> None:
    n = next(n for n in cuts(tokenizer, script)[5:] if n < len(script))
    arguments = ["generate", "a", *pair, "--max-new-tokens", str(n)]
    want = tokenizer.decode(script[:n], skip_special_tokens=True)
    for character in "\x1b\r\x07":
        want = want.replace(character, repr(character)[1:-1])
    for way in ([], ["--stream"]):
        assert on_a_terminal(forks, [*arguments, *way]) == want + "\n"


def word_piece(clean: bool) -> PreTrainedTokenizerFast:
    entries = ["<pad>", "do", "n't", "##t", ".", ",", "it", "'", "s", "dogs", "tails", "!", "'s"]
    backend = Tokenizer(models.WordPiece({entry: i for i, entry in enumerate(entries)}, unk_token="<pad>"))
    backend.decoder = decoders.WordPiece(cleanup=False)
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", clean_up_tokenization_spaces=clean)


@pytest.mark.parametrize("clean", [True, False])
def test_decoders_that_take_back_a_space(capsys, clean: bool) -> None:
    """What is printed is never wrong, and the pieces join to the text after every token."""
    tokenizer = word_piece(clean)
    words = ["do", "n't", ".", "dogs", "'", "tails", ",", "it", "'", "s", "!", "it", "'s", "do", "##t", "."]
    ids = tokenizer.convert_tokens_to_ids(words)
    found = Pieces(tokenizer)
    for i, token in enumerate(ids):
        found.add(token)
        assert "".join(found.parts) == found.text == tokenizer.decode(ids[: i + 1])
    out, printed = io.StringIO(), [""]
    streamer = ColourStreamer(tokenizer, Console(file=out, force_terminal=False))
    streamer.put(torch.tensor([[1, 2]]))
    for token in ids:
        streamer.put_origin(torch.tensor([token % 2]))
        streamer.put(torch.tensor([token]))
        printed.append(out.getvalue())
    streamer.end()
    assert out.getvalue() == tokenizer.decode(ids) + "\n"
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(printed))
    assert len(printed[-1]) > len(out.getvalue()) - 8  # no more than a word is held back


def test_several_rows_are_not_streamed_as_one(tokenizer, script) -> None:
    model = chain(dict(zip([3, *script[:-1]], script, strict=True)), len(tokenizer))
    with pytest.raises(ValueError, match="one row only"):
        kad.generate(
            model,
            model,
            [[3], [3]],
            target=kad.dual(0.4),
            max_new_tokens=3,
            streamer=ColourStreamer(tokenizer, Console()),
        )
    out = kad.generate(model, model, [[3], [3, 3]], target=kad.dual(0.4), max_new_tokens=len(script) - 1)
    for row in range(2):
        text = tokenizer.decode(out.trace.ids[row], skip_special_tokens=True)
        assert text == tokenizer.decode(script[:-1], skip_special_tokens=True)
        shown = coloured(out.trace, tokenizer, row).plain
        assert shown == "".join(repr(c)[1:-1] if c in "\x1b\r\x07\u2028" else c for c in text)
