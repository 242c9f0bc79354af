"""Stop strings with real tokenizers: the row ends at the token that completes one, whatever is drafted."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LogitsProcessor, PreTrainedTokenizerFast

import kad
from kad.decoding.columns import StopStrings, cut
from kad.vocabulary_map import byte_alphabet

from ..models import tiny
from .reference import continuation

SPECIAL = ["<pad>", "<s>", "</s>", "<|im_end|>", "<|im_start|>"]
WORDS = [
    "User",
    ":",
    "Stop",
    "now",
    " Stop",
    " now",
    " .",
    ".",
    " ",
    "\n",
    "a",
    "St",
    "op",
    " the",
    " é",
    "ness",
    " User",
    "\n\n",
]


def finished(backend: Tokenizer, **options: Any) -> PreTrainedTokenizerFast:
    """With special tokens, two of which transformers knows by name and two by their mark alone."""
    backend.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL[3:]])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", bos_token="<s>", eos_token="</s>", **options
    )


def byte_level(**options: Any) -> PreTrainedTokenizerFast:
    """Every byte is a token, and some words are."""
    table = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words = ["".join(piece for piece, _ in table.pre_tokenize_str(word)) for word in WORDS]
    entries = dict.fromkeys([*SPECIAL[:3], *sorted(pre_tokenizers.ByteLevel.alphabet()), *words])
    backend = Tokenizer(models.BPE({entry: i for i, entry in enumerate(entries)}, []))
    backend.pre_tokenizer, backend.decoder = table, decoders.ByteLevel()
    return finished(backend, **options)


def metaspace(**options: Any) -> PreTrainedTokenizerFast:
    """A Unigram vocabulary as SentencePiece makes them: ▁ for spaces, bytes for what it lacks, and no first space."""
    entries = [
        *SPECIAL[:3],
        *(f"<0x{byte:02X}>" for byte in range(256)),
        "▁",
        *(w.replace(" ", "▁") for w in WORDS if w != " "),
    ]
    backend = Tokenizer(models.Unigram([(entry, -1.0) for entry in entries], unk_id=1, byte_fallback=True))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    strip = decoders.Strip(content=" ", left=1, right=0)
    backend.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), strip])
    return finished(backend, **options)


def word_level(**options: Any) -> PreTrainedTokenizerFast:
    """Words that a decoder joins with spaces, and cleans up."""
    entries = [*SPECIAL[:3], *(word.strip() for word in WORDS if word.strip())]
    backend = Tokenizer(
        models.WordPiece({entry: i for i, entry in enumerate(dict.fromkeys(entries))}, unk_token="</s>")
    )
    backend.decoder = decoders.WordPiece(cleanup=False)
    return finished(backend, **options)


KINDS = {"byte level": byte_level, "metaspace": metaspace, "words": word_level}
CLEAN = {"clean_up_tokenization_spaces": True}


class Script(LogitsProcessor):
    """Both models say these tokens, row by row."""

    def __init__(self, rows: list[list[int]], width: int) -> None:
        self.rows, self.width = rows, width

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        out, at = torch.full_like(scores, -torch.inf), input_ids.shape[1] - self.width
        for row, tokens in enumerate(self.rows):
            out[row, tokens[at]] = 0.0
        return out


def said(
    tokenizer: PreTrainedTokenizerFast, prompts: list[list[int]], rows: list[list[int]], stops: list[str], window: int
) -> list[list[int]]:
    """The continuations that the decoder lets through."""
    size = len(tokenizer)
    base, proxy = tiny("llama", 1, vocabulary=size), tiny("qwen3", 2, vocabulary=size)
    for model in (base, proxy):
        model.generation_config.eos_token_id = None
    out = kad.generate(
        base, proxy, prompts, target=kad.dual(0.4), window=window, tokenizer=tokenizer, stop_strings=stops,
        logits_processor=[Script(rows, max(map(len, prompts)))], max_new_tokens=len(rows[0]),
    )  # fmt: skip
    return continuation(out)


def wanted(tokenizer: PreTrainedTokenizerFast, prompt: list[int], tokens: list[int], stops: list[str]) -> list[int]:
    """By decoding everything, prompt included, after every token."""
    special = set(tokenizer.all_special_ids) | set(tokenizer.get_added_vocab().values())
    front = [i for i in prompt if i not in special]
    for n in range(1, len(tokens) + 1):
        for skip in (True, False):
            for clean in (True, False) if tokenizer.clean_up_tokenization_spaces else (False,):
                options = {"skip_special_tokens": skip, "clean_up_tokenization_spaces": clean and skip}
                whole = tokenizer.decode(front + tokens[:n], **options)
                text = whole[len(tokenizer.decode(front, **options)) :]
                if any(stop in text for stop in stops):
                    return tokens[:n]
    return tokens


@pytest.mark.parametrize("window", [0, 3, 7])
@pytest.mark.parametrize(
    ("kind", "options"),  # transformers never cleans up after byte-level vocabularies
    [("byte level", {}), ("metaspace", {}), ("metaspace", CLEAN), ("words", {}), ("words", CLEAN)],
)
def test_random_texts_end_where_their_text_says(kind: str, options: dict[str, bool], window: int) -> None:
    """Stop strings are pieces of the texts themselves, so they begin and end anywhere; some rows never stop."""
    tokenizer, chance = KINDS[kind](**options), random.Random(window)
    ids = [i for i in range(len(tokenizer)) if i not in (0, 1, 2)]
    common = [i for i in ids if not tokenizer.convert_ids_to_tokens(i).startswith("<0x")][-len(WORDS) - 2 :]
    stopped = 0
    for _ in range(6):
        prompts = [[1, *chance.choices(common[:-2], k=n)] for n in (2, 5, 3)]
        rows = [chance.choices(common, k=24) for _ in prompts]
        stops = []
        for skip in (True, False):
            text = tokenizer.decode(chance.choice(rows), skip_special_tokens=skip)
            at = chance.randrange(len(text) - 6)
            stops.append(text[at : at + chance.randint(4, 6)])
        want = [wanted(tokenizer, prompt, row, stops) for prompt, row in zip(prompts, rows, strict=True)]
        assert said(tokenizer, prompts, rows, stops, window) == want
        stopped += sum(len(row) < 24 for row in want)
    assert stopped > 3


@pytest.mark.parametrize("window", [0, 3, 7])
@pytest.mark.parametrize("kind", ["byte level", "metaspace"])
def test_special_tokens_and_what_stands_between_them(kind: str, window: int) -> None:
    tokenizer = KINDS[kind]()
    names = {name: tokenizer.convert_tokens_to_ids(name) for name in SPECIAL}
    space = "Ġ" if kind == "byte level" else "▁"
    stop, now, the = (tokenizer.convert_tokens_to_ids(name) for name in ("Stop", f"{space}now", f"{space}the"))
    end, start, filler = names["<|im_end|>"], names["<|im_start|>"], [the] * 12
    cases = {
        "<|im_end|>": [the, end],
        "Stop<|im_end|>": [stop, the, stop, end],
        "Stop now": [stop, end, start, *([end] * 60), now],  # what is shown has no tokens between
        "<|im_end|><|im_start|>": [end, end, start],
    }
    for string, row in cases.items():
        assert said(tokenizer, [[1, the]], [row + filler], [string], window) == [row], string
    assert said(tokenizer, [[1, the]], [[the, end, the]], ["im_end|> Stop"], window) == [[the, end, the]]


@pytest.mark.parametrize("window", [0, 3, 7])
@pytest.mark.parametrize("kind", KINDS)
def test_the_first_space_and_the_prompts_end(kind: str, window: int) -> None:
    """A first word has its space, also where the prompt ends with a special token; the prompt's own text is no match."""
    tokenizer = KINDS[kind]()
    space = {"byte level": "Ġ", "metaspace": "▁", "words": ""}[kind]
    stop, now, the = (tokenizer.convert_tokens_to_ids(f"{space}{name}") for name in ("Stop", "now", "the"))
    filler = [the] * 9
    prompts = [[1, the], [now, the, 1], [now, 1, 2]]
    assert said(tokenizer, prompts, [[stop, *filler]] * 3, [" Stop"], window) == [[stop]] * 3
    assert (
        said(tokenizer, [[1, the, stop], [stop]], [[now, *filler]] * 2, ["Stop now", "Stop"], window)
        == [[now, *filler]] * 2
    )
    assert (
        said(tokenizer, [[1, the, stop], [stop]], [[now, stop, now, the]] * 2, ["Stop now"], window)
        == [[now, stop, now]] * 2
    )
    assert (
        said(tokenizer, [[1], [2, 1]], [[the, stop, the]] * 2, ["Stop"], window) == [[the, stop]] * 2
    )  # nothing in front


@pytest.mark.parametrize("window", [0, 3, 7])
@pytest.mark.parametrize("kind", ["byte level", "metaspace"])
@pytest.mark.parametrize("string", ["é", "🙂", "🙂é🙂", "終わり。"])
def test_characters_in_several_tokens(kind: str, string: str, window: int) -> None:
    """A row ends at the last byte of the last character, not at the first."""
    tokenizer = KINDS[kind]()
    alphabet = {b: c for c, b in byte_alphabet().items()}
    name = (lambda b: alphabet[b]) if kind == "byte level" else (lambda b: f"<0x{b:02X}>")
    tokens = [tokenizer.convert_tokens_to_ids(name(b)) for b in string.encode()]
    a = tokenizer.convert_tokens_to_ids("a")
    assert said(tokenizer, [[1, a]], [[a, *tokens, a, a, a, a]], [string], window) == [[a, *tokens]]
    # A character that the prompt has begun is the prompt's; the next one counts.
    assert said(tokenizer, [[a, *tokens[:1]]], [[*tokens[1:], a, *tokens, a]], [string], window) == [
        [*tokens[1:], a, *tokens]
    ]


@pytest.mark.parametrize("window", [0, 3, 7])
def test_spaces_that_clean_up_would_remove(window: int) -> None:
    for string, options in ((" .", {}), (" .", CLEAN), ("now.", CLEAN)):
        tokenizer = word_level(**options)
        now, dot = tokenizer.convert_tokens_to_ids(["now", "."])
        assert said(tokenizer, [[now]], [[now, dot, now, now]], [string], window) == [[now, dot]]
    tokenizer = word_level()
    assert said(tokenizer, [[now]], [[now, dot, now, now]], ["now."], window) == [[now, dot, now, now]]


def test_it_costs_no_more_as_the_text_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer, longest = byte_level(), 0
    decode = tokenizer.decode

    def measured(ids: list[int], **options: Any) -> Any:
        nonlocal longest
        longest = max(longest, len(ids))
        return decode(ids, **options)

    monkeypatch.setattr(tokenizer, "decode", measured)
    criterion, ids = StopStrings(tokenizer, "zzz"), [tokenizer.convert_tokens_to_ids("a")] * 400
    for n in range(2, 400):
        assert not bool(criterion(torch.tensor([ids[:n]]), None))
    assert longest <= criterion.reach + 1 <= 20


def test_refusals_and_the_cut() -> None:
    tokenizer = byte_level()
    for wrong in ("", [], ["a", ""], ["a", 5], [None]):
        with pytest.raises(ValueError, match="stop_strings must be non-empty strings"):
            StopStrings(tokenizer, wrong)
    assert cut("word by word", "word") == " by word"
    assert cut("é!", "\ufffd") == "!"
    assert cut("aé!", "a\ufffd") == "!"
    assert cut("", "a") == ""
