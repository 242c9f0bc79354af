"""The text of single tokens, also where a character takes several of them."""

from __future__ import annotations

import io

import pytest
import torch
from rich.console import Console
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from kad.decoding.colour import ColourStreamer, pieces


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE without merges: every byte is a token."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE({c: i for i, c in enumerate(alphabet)}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<eos>")


@pytest.mark.parametrize("text", ["plain text", "naïve Σ π_v", "a 🙂 b", "終", ""])
def test_pieces_join_to_the_text(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    ids = tokenizer(text)["input_ids"]
    assert len(ids) == len(text.encode())
    parts = pieces(tokenizer, ids)
    assert len(parts) == len(ids)
    assert "".join(parts) == text
    assert not any("\ufffd" in part for part in parts)


def test_an_unfinished_character_at_the_end_is_shown_as_such(tokenizer: PreTrainedTokenizerFast) -> None:
    ids = tokenizer("a🙂")["input_ids"][:-1]
    assert "".join(pieces(tokenizer, ids)) == "a\ufffd"


def test_the_stream_prints_the_text(tokenizer: PreTrainedTokenizerFast) -> None:
    out = io.StringIO()
    streamer = ColourStreamer(tokenizer, Console(file=out, force_terminal=False))
    streamer.put(torch.tensor([[1, 2, 3]]))  # the prompt, which is not shown
    for i in tokenizer("naïve 🙂!")["input_ids"]:
        streamer.put_origin(torch.tensor([i % 2]))
        streamer.put(torch.tensor([i]))
    streamer.end()
    assert out.getvalue() == "naïve 🙂!\n"
