"""A proxy with another tokenizer: the map, the law of what is emitted, and real models whose ids are shuffled."""

from __future__ import annotations

import copy
import itertools
import json
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast, TemperatureLogitsWarper

import kad
from kad.decoding.journal import Journal
from kad.decoding.lanes import Lane, MappedLane
from kad.decoding.loop import Decoder
from kad.decoding.sampling import Sampling
from kad.vocabulary_map import byte_alphabet, plain_bytes, segments

from ..models import ragged, tiny
from .enumeration import TOGETHER, TableModel, emitted_law, tables
from .test_law import targets


def byte_level(tokens: list[str]) -> PreTrainedTokenizerFast:
    """A byte-level vocabulary; tokens are given as they read."""
    alphabet = {b: c for c, b in byte_alphabet().items()}
    written = ["<eos>", *["".join(alphabet[b] for b in t.encode()) for t in tokens]]
    backend = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(written)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<eos>")


def sentence_piece(tokens: list[str]) -> PreTrainedTokenizerFast:
    """A vocabulary that marks spaces as ▁ and bytes as <0xNN>."""
    written = ["</s>", "<unk>", "<0x0A>", *[t.replace(" ", "▁") for t in tokens]]
    backend = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(written)}, merges=[], unk_token="<unk>"))
    backend.decoder = decoders.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>", unk_token="<unk>")


def test_tokens_are_told_by_their_bytes() -> None:
    assert plain_bytes("Ġthe", byte_level=True) == b" the"
    assert plain_bytes("Ċ", byte_level=True) == b"\n"
    assert plain_bytes("Ã©", byte_level=True) == "é".encode()
    assert plain_bytes("▁the", byte_level=False) == b" the"
    assert plain_bytes("<0x0A>", byte_level=False) == b"\n"
    assert plain_bytes("é", byte_level=False) == "é".encode()
    assert len(byte_alphabet()) == 256
    assert sorted(byte_alphabet().values()) == list(range(256))


def test_the_map_of_two_kinds_of_tokenizers() -> None:
    base = byte_level([" the", "the", "\n", "é", " cat", "cats", "s"])
    proxy = sentence_piece(["s", "é", " cat", "the", " the", "zebra", "c", "a", "t"])
    found = kad.VocabularyMap.between(base, proxy)
    names = base.convert_ids_to_tokens(range(len(base)))
    proxy_names = proxy.convert_ids_to_tokens(range(len(proxy)))
    pairs = {names[i]: proxy_names[j] if j >= 0 else None for i, j in enumerate(found.proxy_of.tolist())}
    assert pairs == {
        "<eos>": None, "Ġthe": "▁the", "the": "the", "Ċ": "<0x0A>", "Ã©": "é", "Ġcat": "▁cat", "cats": None, "s": "s",
    }  # fmt: skip
    assert found.stop == 0
    assert found.stops == [0]
    assert found.stop_tokens == [0]
    assert [proxy_names[i] for i in found.pieces[names.index("cats")]] == ["c", "a", "t", "s"]
    # Of two bytes or more: é, " cat", "the", " the" and, the only one that is lost, "zebra".
    assert found.coverage == pytest.approx(1 - (1 / 5) / sum(1 / (i + 1) for i in range(5)), abs=1e-12)


def test_pieces_take_the_longest_token_and_the_unknown_one() -> None:
    ids = {b"a": 1, b"ab": 2, b"c": 3}
    assert segments(b"abca", ids, 2, None) == [2, 3, 1]
    assert segments(b"axxc", ids, 2, 9) == [1, 9, 3]
    assert segments(b"xc", ids, 2, None) == [3]


def test_logits_are_renormalised_over_what_both_have() -> None:
    found = kad.VocabularyMap(torch.tensor([2, -1, 0, -1]), 3, [1, 4], {1: [0]}, [3], 1.0)
    logits = torch.randn(2, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    p, q = torch.softmax(logits, -1), torch.softmax(found.to_base(logits), -1)
    kept = p[:, [2, 0, 1, 4]].sum(-1)
    want = torch.stack([p[:, 2], torch.zeros(2), p[:, 0], p[:, 1] + p[:, 4]], -1) / kept.unsqueeze(-1)
    torch.testing.assert_close(q, want.double(), atol=1e-7, rtol=0)
    torch.testing.assert_close(found.mapped_mass(logits), kept.float(), atol=1e-6, rtol=0)


def test_too_little_in_common_is_refused() -> None:
    with pytest.raises(ValueError, match=r"share too little: .*% of the proxy's tokens"):
        kad.VocabularyMap.between(byte_level([" a", "b"]), sentence_piece(["x", "y", "z", "b"]))


# Base ids 0, 1, 2; the proxy's 0..3. Base 1 is unknown to the proxy, which reads it as two tokens; the proxy's 1 is
# unknown to the base.
MAP = kad.VocabularyMap(torch.tensor([3, -1, 0]), None, [], {1: [1, 2]}, [], 1.0)


@pytest.mark.parametrize("window", [0, 1, 2, 3, kad.AutoWindow(4, 0.3)], ids=str)
@pytest.mark.parametrize("name", ["dual", "fractional", "confidence bet", "nudging"])
def test_the_law_of_what_is_emitted(name: str, window: int | kad.AutoWindow) -> None:
    """Against the chain of π, with q* from the definition: the proxy's table at the context in its own tokens."""
    target, length, prompt = targets("models")[name], 3, [2, 0]
    base_table, proxy_table = tables(5, 3)[0], tables(6, 4)[0]

    def build(chance):
        ids, own = [torch.tensor(prompt)] * len(chance), [torch.tensor([0, 3])] * len(chance)
        inner = Lane(TableModel("proxy", proxy_table, len(own)), own, 2 * length)
        return Decoder(
            Lane(TableModel("base", base_table, len(ids)), ids, length), MappedLane(inner, MAP, length), target,
            window=window, chance=chance, sampling=Sampling(processors=[TemperatureLogitsWarper(0.7)]),
            journal=Journal(torch.stack(ids), length, [], pad=0),
        )  # fmt: skip

    got = emitted_law(build, together=TOGETHER if isinstance(window, int) else 1)  # rows would share what is learnt
    for sequence in itertools.product(range(3), repeat=length):
        context, own, weight = list(prompt), [0, 3], 1.0
        for token in sequence:
            p = torch.softmax(base_table[tuple(context[-2:])] / 0.7, -1)
            logits = proxy_table[tuple(own[-2:])]
            allowed = torch.stack([logits[3], torch.tensor(-torch.inf, dtype=logits.dtype), logits[0]])
            weight *= float(target(p, torch.softmax(allowed / 0.7, -1))[token])
            context.append(token)
            own += {0: [3], 1: [1, 2], 2: [0]}[token]
        assert got.get(sequence, 0.0) == pytest.approx(weight, abs=1e-10)


def shuffled(model, order: torch.Tensor):
    """The same model with other ids: its new id i is its old id order[i]."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        for one in (other.get_input_embeddings(), other.get_output_embeddings()):
            one.weight.copy_(one.weight[order])
    other.generation_config.eos_token_id = int((order == model.generation_config.eos_token_id).nonzero())
    return other


@pytest.mark.parametrize("window", [0, 3])
@pytest.mark.parametrize("sample", [False, True])
def test_a_proxy_with_shuffled_ids_changes_nothing(window: int, sample: bool) -> None:
    """Text, draws, passes and tokens fed are those of the pair with one vocabulary."""
    base, proxy = tiny("llama", 1), tiny("qwen3", 2)
    order = torch.randperm(32, generator=torch.Generator().manual_seed(0))
    other, back = shuffled(proxy, order), torch.argsort(order)
    mapping = kad.VocabularyMap(back, None, [], {}, [2], 1.0)
    ids, mask = ragged(3, seed=3)
    plain = kad.generate(
        base, proxy, input_ids=ids, attention_mask=mask, target=kad.dual(0.2), window=window, seed=0, do_sample=sample,
        max_new_tokens=12,
    )  # fmt: skip
    mapped = base.generate(
        ids, attention_mask=mask, max_new_tokens=12, do_sample=sample, return_dict_in_generate=True,
        eos_token_id=2, pad_token_id=0, **({"top_k": 0} if sample else {}),
        custom_generate=kad.decoder(
            other, kad.dual(0.2), window=window, generator=torch.Generator().manual_seed(0), vocabulary_map=mapping,
            proxy_input_ids=back[ids] * mask, proxy_attention_mask=mask,
        ),
    )  # fmt: skip
    assert mapped.sequences.tolist() == plain.sequences.tolist()
    for field in ("base_passes", "proxy_passes"):
        assert getattr(mapped.trace, field) == getattr(plain.trace, field)
    assert mapped.trace.proxy_fed.tolist() == plain.trace.proxy_fed.tolist()
    assert mapped.trace.settings["mapped_mass"] == pytest.approx(1.0, abs=1e-5)


def test_from_text_with_two_tokenizers(tmp_path: Path) -> None:
    """The embedded pair with a proxy that has other ids for the same words: the same answer, in the base's ids."""
    pair = kad.demo.load()
    size = len(pair.tokenizer)
    order = torch.randperm(size, generator=torch.Generator().manual_seed(1))
    vocabulary = pair.tokenizer.get_vocab()
    folder = tmp_path / "proxy"
    pair.tokenizer.save_pretrained(folder)
    text = (folder / "tokenizer.json").read_text()
    data = json.loads(text)
    new_id = {int(old): new for new, old in enumerate(order.tolist())}
    data["model"]["vocab"] = {token: new_id[i] for token, i in data["model"]["vocab"].items()}
    for added in data["added_tokens"]:
        added["id"] = new_id[vocabulary[added["content"]]]
    for special in data["post_processor"]["special_tokens"].values():
        special["ids"] = [new_id[i] for i in special["ids"]]
    (folder / "tokenizer.json").write_text(json.dumps(data))
    other = AutoTokenizer.from_pretrained(folder)
    assert other.get_vocab() != vocabulary
    proxy = copy.deepcopy(pair.proxy)
    rows = torch.cat([order, torch.arange(size, proxy.get_input_embeddings().weight.shape[0])])
    with torch.no_grad():
        table, head = proxy.get_input_embeddings(), proxy.get_output_embeddings()
        tied = table.weight is head.weight
        table.weight.copy_(table.weight[rows])
        if not tied:
            head.weight.copy_(head.weight[rows])
    stops = pair.proxy.generation_config.eos_token_id
    proxy.generation_config.eos_token_id = [new_id[i] for i in (stops if isinstance(stops, list) else [stops])]
    prompt = "q : tom has 6 apples . he loses 2 . he finds 9 more . how many apples does tom have now ? a :"
    common = {"target": kad.dual(0.4), "tokenizer": pair.tokenizer, "do_sample": False}
    want = kad.generate(pair.base, pair.proxy, prompt, **common)
    got = kad.generate(pair.base, proxy, prompt, proxy_tokenizer=other, **common)
    assert got.trace.ids.tolist() == want.trace.ids.tolist()
    with pytest.raises(ValueError, match="give the prompt as text"):
        kad.generate(pair.base, proxy, input_ids=torch.tensor([[5, 6]]), proxy_tokenizer=other, **common)
    with pytest.raises(ValueError, match="the base's, beside it"):
        kad.generate(pair.base, proxy, [[5, 6]], target=kad.dual(0.4), proxy_tokenizer=other)
