"""Tokenizers that leave ids out, or have tokens that the models lack: ids are bounded by the largest, not by the length."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from transformers import PreTrainedModel, PreTrainedTokenizerFast

import kad
from kad.cli.main import main
from kad.cli.options import Solve
from kad.cli.solve import of_model
from kad.decoding.lanes import map_of
from kad.engines.full_pass import full_pass
from kad.vocabulary import id_bound, output_size, shared_vocabulary, usable_ids

from ..models import chain, ragged, tiny
from .reference import continuation

WINDOWS = [0, 1, 3, 7]


def words(ids: dict[str, int], added: tuple[str, ...] = (), eos: str | None = None) -> PreTrainedTokenizerFast:
    """A word-level tokenizer with these ids, and more tokens after its largest."""
    backend = Tokenizer(models.WordLevel({"<unk>": 0, **ids}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if added:
        backend.add_special_tokens([AddedToken(token, special=True) for token in added])
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", **({"eos_token": eos} if eos else {}))


def gaps() -> PreTrainedTokenizerFast:
    """34 entries, of which the largest id is 41; the stop token is 40."""
    ids = {f"w{i}": i for i in range(1, 32)} | {"<end>": 40, "last": 41}
    return words(ids, eos="<end>")


def stopping(model: PreTrainedModel, stop: int | None) -> PreTrainedModel:
    model.generation_config.eos_token_id, model.generation_config.pad_token_id = stop, 0
    return model


def by_hugging_face(model: PreTrainedModel, rows: list[list[int]], count: int, **options: Any) -> list[list[int]]:
    """One row at a time, greedily, with the stop token at the end."""
    return [
        model.generate(torch.tensor([row]), do_sample=False, max_new_tokens=count, **options)[0, len(row) :].tolist()
        for row in rows
    ]


ROWS = [[3], [7, 5, 4], [9, 3, 12, 6, 5]]
FOLLOWS = {3: 4, 4: 5, 5: 6, 6: 40, 40: 8, 41: 7}


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("rows", [ROWS[:1], ROWS], ids=["one", "ragged"])
def test_a_stop_token_beyond_the_length_stops(window: int, rows: list[list[int]]) -> None:
    tokenizer = gaps()
    assert len(tokenizer) == 34
    assert id_bound(tokenizer) == 42
    base, proxy = (stopping(chain(FOLLOWS, 42, more), 40) for more in (6, 2))
    for model in (base, proxy):
        with torch.no_grad():  # outputs beyond the tokenizer that would win
            model.lm_head.weight[42:] = model.lm_head.weight[[4] * (len(model.lm_head.weight) - 42)] * 2
    want = by_hugging_face(base, rows, 12, suppress_tokens=list(range(42, 48)))
    assert all(row[-1] == 40 and len(row) < 6 for row in want)
    out = kad.generate(base, proxy, rows, target=kad.dual(0.4), window=window, tokenizer=tokenizer, max_new_tokens=12)
    assert continuation(out) == want


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("way", ["generate", "option", "decoder"])
def test_a_stop_token_is_never_masked(window: int, way: str) -> None:
    """Where the vocabulary is given as a number that is too small for it."""
    base, proxy = (chain(FOLLOWS, 42, more) for more in (6, 2))
    if way != "option":
        for model in (base, proxy):
            stopping(model, 40)
    ids = torch.tensor([ROWS[1]])
    want = by_hugging_face(base, [ROWS[1]], 12, eos_token_id=40)
    assert want == [[5, 6, 40]]
    common = {"window": window, "vocabulary": 34}
    if way == "decoder":
        decode = kad.decoder(proxy, kad.dual(0.4), **common)
        got = [base.generate(ids, custom_generate=decode, do_sample=False, max_new_tokens=12)[0, 3:].tolist()]
    else:
        more = {"eos_token_id": 40} if way == "option" else {}
        got = continuation(kad.generate(base, proxy, ids, target=kad.dual(0.4), max_new_tokens=12, **common, **more))
    assert got == want


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("count", [1, 3])
def test_added_tokens_that_the_models_lack(window: int, count: int) -> None:
    """As Gemma 3's token for images: the same text as without it, and prompts that hold it are refused one by one."""
    own = {f"w{i}": i for i in range(1, 32)}
    plain, more = words(own), words(own, ("<image>", "<sound>"))
    assert id_bound(more) == 34
    base, proxy = tiny("llama", 1), tiny("qwen3", 2, vocabulary=36)
    ids, mask = ragged(count, seed=5)
    options = {"target": kad.dual(0.3), "window": window, "max_new_tokens": 10}
    want = kad.generate(base, proxy, input_ids=ids, attention_mask=mask, tokenizer=plain, **options)
    got = kad.generate(base, proxy, input_ids=ids, attention_mask=mask, tokenizer=more, **options)
    assert continuation(got) == continuation(want)
    with pytest.raises(ValueError, match="the prompt has token id 32, but the models share only 32 ids"):
        kad.generate(base, proxy, "w4 <image> w5", tokenizer=more, **options)
    with pytest.raises(ValueError, match="the tokenizer has tokens up to id 32 but the base model only 32 outputs"):
        kad.generate(base, proxy, "w4", tokenizer=words(own | {"w32": 32}), **options)


def test_bounds_in_numbers() -> None:
    base, proxy = tiny("llama", 1), tiny("qwen3", 2, vocabulary=36)
    sizes, tokenizer = {"base": output_size(base), "proxy": output_size(proxy)}, words({"a": 9})
    assert usable_ids(tokenizer, sizes) == 10
    assert usable_ids(tokenizer, sizes, [2, 20, 31, 32, 10**9]) == 32
    assert shared_vocabulary({"base": 48, "proxy": 44}, 34, [2, 40, 44, 99]) == (44, 41)
    assert shared_vocabulary({"base": 42, "proxy": 42}, 34, [41]) == (42, None)
    with pytest.raises(ValueError, match=r"do not share it \(if those beyond are added .* pass vocabulary=32\)"):
        kad.generate(base, proxy, [[3]], target=kad.dual(0.4), vocabulary=33)
    for wrong in (0, -1, True, 3.0):
        with pytest.raises(ValueError, match="vocabulary must be"):
            kad.generate(base, proxy, [[3]], target=kad.dual(0.4), vocabulary=wrong)


class Empty:
    def get_vocab(self) -> dict[str, int]:
        return {}


def test_a_tokenizer_without_tokens() -> None:
    with pytest.raises(ValueError, match=r"^the tokenizer has no tokens; [^\n]*\.$"):
        id_bound(Empty())


OURS = {f"w{i}": i for i in range(1, 30)} | {"<end>": 40, "rare": 45}
THEIRS = {f"w{i}": 50 - i for i in range(1, 30)} | {"<stop>": 55, "rare": 57}


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("rows", [ROWS[:1], ROWS], ids=["one", "ragged"])
def test_two_tokenizers_with_gaps(window: int, rows: list[list[int]]) -> None:
    """Against the definition: q* by the words' names, over what both models have outputs for."""
    ours, theirs = words(OURS, eos="<end>"), words(THEIRS, eos="<stop>")
    base, proxy = stopping(tiny("llama", 1, vocabulary=44), 40), stopping(tiny("qwen3", 2, vocabulary=56), 55)
    with torch.no_grad():
        base.lm_head.weight[40] *= 3  # so that some rows stop
    mine, other = ours.get_vocab(), theirs.get_vocab()
    own = [[other[ours.convert_ids_to_tokens(i)] for i in row] for row in rows]
    out = kad.generate(
        base, proxy, rows, proxy_prompt=own, target=kad.dual(0.5), window=window, tokenizer=ours, proxy_tokenizer=theirs,
        max_new_tokens=12,
    )  # fmt: skip
    pairs = [(i, other[word]) for word, i in mine.items() if word in other and i < 44 and other[word] < 56]
    pairs.append((40, 55))
    assert len(pairs) == 31  # the words, <unk>, and the end; not "rare", which neither model can say
    for row, (prompt, theirs_too) in enumerate(zip(rows, own, strict=True)):
        said: list[int] = []
        read = list(theirs_too)
        while len(said) < 12 and 40 not in said:
            with torch.no_grad():
                p = torch.softmax(base(torch.tensor([prompt + said])).logits[0, -1, :44], -1)
                logits = proxy(torch.tensor([read])).logits[0, -1]
            q = torch.full((44,), -torch.inf)
            for i, j in pairs:
                q[i] = logits[j]
            said.append(int(kad.dual(0.5)(p[:41] / p[:41].sum(), torch.softmax(q[:41], -1)).argmax()))
            read += [dict(pairs).get(said[-1], 55)]
        assert continuation(out)[row] == said


def test_the_map_keeps_to_the_models_outputs() -> None:
    ours, theirs = words(OURS, ("<image>",), eos="<end>"), words(THEIRS, ("<image>",), eos="<stop>")
    whole = kad.VocabularyMap.between(ours, theirs)
    assert len(whole.proxy_of) == id_bound(ours) == 46
    assert int(whole.proxy_of[45]) == 57
    base, proxy = stopping(tiny("llama", 1, vocabulary=44), 43), stopping(tiny("qwen3", 2, vocabulary=56), 55)
    found = map_of(base, proxy, ours, theirs)
    assert len(found.proxy_of) == 44  # 40, the tokenizer's largest that the base can say, or 43, its stop token
    assert int(found.proxy_of.max()) < 56
    assert found.stops == [55]
    wide = tiny("qwen3", 2, vocabulary=40)
    with pytest.raises(ValueError, match=r"the proxy's token \d+, but the proxy only 40 outputs"):
        base.generate(
            torch.tensor([[3]]), max_new_tokens=2,
            custom_generate=kad.decoder(wide, kad.dual(0.4), vocabulary_map=found, proxy_input_ids=torch.tensor([[3]])),
        )  # fmt: skip


@pytest.mark.parametrize("placement", ["models", "mixture"])
def test_one_pass_over_a_text_masks_what_decoding_masks(placement: Any) -> None:
    """`full_pass` against the scores of the decoder, with a stop token beyond the tokenizer."""
    tokenizer = words({f"w{i}": i for i in range(1, 32)})
    base, proxy = stopping(tiny("llama", 1, vocabulary=48), 40), stopping(tiny("qwen3", 2, vocabulary=44), 40)
    target = kad.dual(0.4, placement)
    out = kad.generate(
        base, proxy, [[3, 4]], target=target, tokenizer=tokenizer, max_new_tokens=6, output_scores=True, eos_token_id=40
    )
    law = full_pass({"base": base, "proxy": proxy}, target, out.sequences[:, :-1], tokenizer, start=1)[2]
    torch.testing.assert_close(law[0], torch.stack([s[0] for s in out.scores]).exp(), atol=1e-5, rtol=1e-4)
    assert float(law[..., 41:].sum()) == 0.0
    assert float(law[..., 32:41].min()) > 0.0


def checkpoints(tokenizer: Any, models: list[Any], folder: Path) -> list[str]:
    found = []
    for role, model in zip(("base", "proxy"), models, strict=True):
        model.save_pretrained(folder / role)
        tokenizer.save_pretrained(folder / role)
        found += [f"--{role}", str(folder / role)]
    return [*found, "--dtype", "float32", "--device", "cpu"]


@pytest.mark.parametrize("window", ["0", "7"])
def test_the_shell(capsys, tmp_path: Path, window: str) -> None:
    pair = checkpoints(gaps(), [stopping(chain(FOLLOWS, 42, more), 40) for more in (6, 2)], tmp_path / "gaps")
    assert main(["generate", "w7 w4", *pair, "--greedy", "--window", window, "--json"]) == 0, capsys.readouterr().err
    assert [t["id"] for t in json.loads(capsys.readouterr().out)["tokens"]] == [5, 6, 40]
    image = words({f"w{i}": i for i in range(1, 42)}, ("<image>",))
    pair = checkpoints(image, [chain({3: 4, 4: 5, 5: 6, 6: 7}, 42) for _ in "ab"], tmp_path / "image")
    command = ["generate", "w7 w3", *pair, "--greedy", "--window", window, "--max-new-tokens", "4"]
    assert main(command) == 0, capsys.readouterr().err
    assert capsys.readouterr().out == "w4 w5 w6 w7\n"
    assert main(["generate", "w7 <image>", *command[2:]]) == 1
    assert capsys.readouterr().err.startswith("kad: the prompt has token id 42, but the models share only 42 ids")


def test_solve_reads_every_id(tmp_path: Path) -> None:
    """The distribution is the model's own over 42 ids, and every one has a name."""
    folders = checkpoints(gaps(), [stopping(chain(FOLLOWS, 42, more), 40) for more in (6, 2)], tmp_path)
    found = of_model(Solve(prompt="w6", base=folders[1], proxy=folders[3], dtype="float32", device="cpu"))
    for p, more in ((found.p, 6), (found.q, 2)):
        with torch.no_grad():
            logits = chain(FOLLOWS, 42, more)(torch.tensor([[6]])).logits[0, -1, :42]
        torch.testing.assert_close(p[0], torch.softmax(logits.double(), -1), atol=1e-6, rtol=1e-5)
        assert int(p[0].argmax()) == 40
    assert found.tokens is not None
    assert (len(found.tokens), found.tokens[40], found.tokens[41]) == (42, "<end>", "last")
