"""Prompts in whatever form they come: what a tokenizer returns, arrays, lists, and padding that nobody has marked."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BatchEncoding

import kad

from ..models import ragged, tiny
from .reference import by_full_passes, continuation

TARGET, WINDOWS = kad.dual(0.3), (0, 1, 3, 7)
IDS, MASK = ragged(4, seed=4)
ROWS = [row[m.bool()].tolist() for row, m in zip(IDS, MASK, strict=True)]
WORDS = ["tom has 6 apples . how many ?", "he loses 2 . he finds 9 more . how many apples does tom have now ?"]


@pytest.fixture(scope="module")
def pair() -> tuple[Any, Any]:
    return tiny("llama", 1, torch.float64), tiny("qwen3", 2, torch.float64)


@pytest.fixture(scope="module")
def want(pair) -> list[list[int]]:
    return [by_full_passes(*pair, TARGET, row, 8)[0] for row in ROWS]


def forms() -> dict[str, dict[str, Any]]:
    encoding = {"input_ids": IDS, "attention_mask": MASK}
    return {
        "encoding": {"prompt": BatchEncoding(encoding)},
        "dict": {"prompt": encoding},
        "encoding as input_ids": {"input_ids": BatchEncoding(encoding)},
        "encoding with types": {"prompt": BatchEncoding({**encoding, "token_type_ids": torch.zeros_like(IDS)})},
        "encoding with its own positions": {"prompt": {**encoding, "position_ids": (MASK.cumsum(-1) - 1).clamp(min=0)}},
        "encoding in lists": {
            "prompt": BatchEncoding({"input_ids": ROWS, "attention_mask": [[1] * len(r) for r in ROWS]})
        },
        "encodings": {"prompt": [BatchEncoding({"input_ids": row, "attention_mask": [1] * len(row)}) for row in ROWS]},
        "encodings of tensors": {"prompt": [{"input_ids": torch.tensor([row])} for row in ROWS]},
        "encoding in arrays": {"prompt": {"input_ids": IDS.numpy(), "attention_mask": MASK.numpy()}},
        "lists": {"prompt": ROWS},
        "tuples": {"prompt": tuple(map(tuple, ROWS))},
        "tensors": {"prompt": [torch.tensor(row) for row in ROWS]},
        "lists of scalars": {"prompt": [[torch.tensor(i) for i in row] for row in ROWS]},
        "tensor": {"prompt": IDS},
        "array": {"prompt": IDS.numpy()},
        "unsigned array": {"input_ids": IDS.numpy().astype(np.uint32)},
        "ids": {"input_ids": IDS},
        "lists as input_ids": {"input_ids": IDS.tolist()},
        "ragged lists as input_ids": {"input_ids": ROWS},
        "array as input_ids": {"input_ids": IDS.numpy(), "attention_mask": MASK.numpy().astype(bool)},
        "mask in lists": {"input_ids": IDS, "attention_mask": MASK.tolist()},
        "mask in numbers": {"input_ids": IDS, "attention_mask": MASK.float()},
    }


@pytest.mark.parametrize("form", forms())
def test_one_text_in_many_forms(pair, want, form: str) -> None:
    """Where padding is no stop token, padding that nobody has marked is padding, as in Hugging Face's generate."""
    for window in (0, 3):
        out = kad.generate(*pair, **forms()[form], target=TARGET, window=window, max_new_tokens=8)
        assert continuation(out) == want


@pytest.mark.parametrize("window", WINDOWS)
def test_padding_that_nobody_has_marked(pair, want, window: int) -> None:
    base, proxy = pair
    options = {"target": TARGET, "window": window}
    theirs = base.generate(IDS, custom_generate=kad.decoder(proxy, **options), max_new_tokens=8)
    both = kad.generate(base, proxy, input_ids=IDS, proxy_input_ids=IDS, max_new_tokens=8, **options)
    assert continuation(both) == want
    assert torch.equal(theirs, both.sequences)
    for proxy_ids in (IDS, IDS.numpy(), BatchEncoding({"input_ids": IDS, "attention_mask": MASK}), ROWS):
        again = base.generate(
            IDS, custom_generate=kad.decoder(proxy, **options, proxy_input_ids=proxy_ids), max_new_tokens=8
        )
        assert torch.equal(theirs, again)
    single = kad.generate(base, proxy, input_ids=IDS[1:2], max_new_tokens=8, **options)
    assert continuation(single) == want[1:2]


def test_a_padding_that_ends_texts_is_text(pair, caplog) -> None:
    """As in Hugging Face's generate; two of them in front are worth a word."""
    base, proxy = (copy.deepcopy(model) for model in pair)
    for model in (base, proxy):
        model.generation_config.pad_token_id = 2
    ids = torch.tensor([[2, 2, 5, 6]])
    for window in WINDOWS:
        out = kad.generate(base, proxy, input_ids=ids, target=TARGET, window=window, max_new_tokens=8)
        assert continuation(out) == [by_full_passes(base, proxy, TARGET, ids[0].tolist(), 8)[0]]
        marked = kad.generate(
            base, proxy, input_ids=ids, attention_mask=[[0, 0, 1, 1]], target=TARGET, window=window, max_new_tokens=8
        )
        assert continuation(marked) == [by_full_passes(base, proxy, TARGET, [5, 6], 8)[0]]
    assert "begins with the token 2 twice" in caplog.text


@pytest.mark.parametrize("window", [0, 3])
def test_a_chat_template_s_answer(window: int) -> None:
    """`apply_chat_template` returns an encoding, whose keys are no prompts."""
    demo = kad.demo.load()
    tokenizer = copy.deepcopy(demo.tokenizer)
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }} {% endfor %}a :"
    chats = [[{"role": "user", "content": f"q : {text}"}] for text in WORDS]
    tokenizer.padding_side = "left"
    options = {"target": kad.dual(0.4), "tokenizer": tokenizer, "window": window, "max_new_tokens": 12}
    want = continuation(kad.generate(demo.base, demo.proxy, chats, **options))
    for settings in ({"return_tensors": "pt", "padding": True}, {"return_tensors": "np", "padding": True}, {}):
        answer = tokenizer.apply_chat_template(chats, return_dict=True, **settings)
        assert continuation(kad.generate(demo.base, demo.proxy, answer, **options)) == want
    one = tokenizer.apply_chat_template(chats[0], return_dict=True, return_tensors="pt")
    assert continuation(kad.generate(demo.base, demo.proxy, one, **options)) == want[:1]
    assert continuation(kad.generate(demo.base, demo.proxy, **one, **options)) == want[:1]
    flat = tokenizer.apply_chat_template(chats[0], return_dict=True)
    assert continuation(kad.generate(demo.base, demo.proxy, flat, **options)) == want[:1]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"prompt": {"role": "user", "content": "hi"}}, "a chat is a list of messages"),
        ({"prompt": {"messages": []}}, "a chat is a list of messages"),
        ({"prompt": b"abc"}, "got bytes"),
        ({"prompt": {3, 4}}, "got set"),
        ({"prompt": 7}, "got int"),
        ({"prompt": (i for i in [3, 4])}, "got generator"),
        ({"prompt": [None]}, "prompt 0 must be text, chat messages or token ids, got NoneType"),
        ({"prompt": [[3], b"ab"]}, "prompt 1 must be text"),
        ({"prompt": [[[3, 4]]]}, "a token id must be a whole number"),
        ({"prompt": torch.zeros(1, 2, 3, dtype=torch.long)}, r"shape \(batch, length ≥ 1\), got \(1, 2, 3\)"),
        ({"prompt": [{"input_ids": [[3, 4], [5, 6]]}]}, "prompt 0 holds 2 texts"),
        (
            {"prompt": {"input_ids": IDS, "pixel_values": torch.zeros(1)}},
            "given pixel_values, which kad does not hand on",
        ),
        ({"prompt": {"input_ids": IDS, "token_type_ids": torch.ones_like(IDS)}}, "token_type_ids"),
        ({"prompt": {"input_ids": IDS, "position_ids": IDS}}, "position_ids other than"),
        ({"prompt": [3, 4], "attention_mask": [[1, 1]]}, "an attention mask belongs to ids"),
        ({"input_ids": {"ids": IDS}}, "a mapping without input_ids; it has ids"),
        ({"input_ids": "abc"}, "whole numbers"),
        ({"input_ids": [["a"]]}, "whole number, got 'a'"),
        ({"input_ids": [[3, 4], [5]], "attention_mask": [[1, 1], [1, 1]]}, "rows of other lengths"),
        ({"input_ids": IDS, "attention_mask": MASK * 2}, "zeros (padding) and ones"),
        ({"input_ids": IDS, "attention_mask": MASK[:2]}, "has shape"),
        ({"input_ids": torch.tensor([[3, 0, 4]])}, "the padding token 0 after the beginning of a text"),
        ({"input_ids": torch.tensor([[3, 4, 0]])}, "the padding token 0 after the beginning of a text"),
        ({"input_ids": torch.tensor([[0, 0]])}, "is empty"),
        ({"input_ids": IDS, "proxy_attention_mask": MASK}, "belongs to proxy_input_ids"),
        ({"input_ids": IDS, "proxy_input_ids": IDS, "proxy_prompt": [[3]]}, "either proxy_prompt or proxy_input_ids"),
        ({"input_ids": IDS, "token_type_ids": torch.ones_like(IDS)}, "token_type_ids"),
        ({"input_ids": IDS, "position_ids": IDS}, "position_ids"),
        ({"input_ids": IDS, "pixel_values": torch.zeros(1)}, "pixel_values"),
        ({"input_ids": IDS, "inputs_embeds": torch.zeros(1)}, "inputs_embeds"),
    ],
    ids=[str(i) for i in range(30)],
)
def test_what_is_no_prompt(pair, given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words.replace("(p", r"\(p").replace("g) ", r"g\) ")) as caught:
        kad.generate(*pair, **given, target=TARGET, max_new_tokens=3)
    assert "\n" not in str(caught.value)
