"""The front doors: what a Hugging Face user expects to work, works; what cannot, is refused in one sentence."""

from __future__ import annotations

import logging

import pytest
import torch
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    MinNewTokensLengthLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    StoppingCriteria,
)

import kad
from kad.vocabulary import shared_vocabulary

from ..models import ragged, tiny, tiny_mamba

TARGET = kad.dual(0.3)


@pytest.fixture(scope="module")
def models():
    return tiny("llama", 1), tiny("llama", 2)


def new_tokens(out, row: int = 0) -> list[int]:
    return [t.id for t in out.trace.tokens(row)]


@pytest.mark.parametrize("window", [0, 3])
def test_custom_generate_is_the_same_as_generate(models, window: int) -> None:
    base, proxy = models
    ids, mask = ragged(4, seed=3)
    ours = kad.generate(
        base, proxy, input_ids=ids, attention_mask=mask, target=TARGET, window=window, max_new_tokens=12
    )
    theirs = base.generate(
        ids, attention_mask=mask, custom_generate=kad.decoder(proxy, TARGET, window=window), max_new_tokens=12
    )
    assert torch.equal(ours.sequences, theirs)
    both = base.generate(
        ids, attention_mask=mask, custom_generate=kad.decoder(proxy, TARGET, window=window), max_new_tokens=12,
        return_dict_in_generate=True,
    )  # fmt: skip
    assert torch.equal(both.sequences, theirs)
    assert both.trace.base_passes > 0


def test_a_tokenizers_output_can_be_passed_on(models) -> None:
    ids = torch.tensor([[3, 4, 5]])
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}
    out = kad.generate(*models, **inputs, target=TARGET, max_new_tokens=3)
    assert out.sequences.shape == (1, 6)


def test_class_level_top_k_is_dropped_unless_somebody_asked(models, caplog) -> None:
    base, proxy = models
    ids = torch.tensor([[3, 4, 5]])
    wide = {"do_sample": True, "max_new_tokens": 3, "return_dict_in_generate": True}
    with caplog.at_level(logging.INFO):
        out = base.generate(ids, custom_generate=kad.decoder(proxy, TARGET), **wide)
    assert not any("TopK" in p for p in out.trace.settings["processors"])
    assert "top_k=50" in caplog.text
    out = base.generate(ids, custom_generate=kad.decoder(proxy, TARGET, keep_top_k=True), **wide)
    assert any("TopK" in p for p in out.trace.settings["processors"])
    out = base.generate(ids, custom_generate=kad.decoder(proxy, TARGET), top_k=7, **wide)
    assert "TopKLogitsWarper(top_k=7" in out.trace.settings["processors"][0]
    out = kad.generate(base, proxy, input_ids=ids, target=TARGET, do_sample=True, max_new_tokens=3)
    assert out.trace.settings["processors"] == []


def test_defaults_come_from_the_aligned_model_and_stops_from_both() -> None:
    base, proxy = tiny("llama", 1), tiny("llama", 2)
    base.generation_config.eos_token_id = 2
    base.generation_config.temperature = 0.1
    base.generation_config.do_sample = True
    proxy.generation_config.eos_token_id = [5, 7]
    proxy.generation_config.do_sample = True
    proxy.generation_config.top_p = 0.9
    proxy.generation_config.max_new_tokens = 9
    out = kad.generate(base, proxy, [[3, 4]], target=TARGET, seed=1)
    settings = out.trace.settings
    assert settings["stop_tokens"] == [2, 5, 7]
    assert settings["do_sample"] is True
    assert settings["temperature"] == 1.0
    assert settings["max_new_tokens"] == 9
    assert [p.split("(")[0] for p in settings["processors"]] == ["TopPLogitsWarper"]
    assert proxy.generation_config.eos_token_id == [5, 7], "the models' own configs must stay as they are"


def test_max_length_of_the_caller_wins() -> None:
    base, proxy = tiny("llama", 1), tiny("llama", 2)
    base.generation_config.eos_token_id = proxy.generation_config.eos_token_id = None
    proxy.generation_config.max_new_tokens = 3
    options = {"target": TARGET}
    assert kad.generate(base, proxy, [[3, 4]], max_length=9, **options).sequences.shape[1] == 9
    assert kad.generate(base, proxy, [[3, 4]], **options).sequences.shape[1] == 5


@pytest.mark.parametrize("window", [0, 4])
def test_stops_inside_a_window_and_never_overshoots(models, window: int) -> None:
    base, proxy = models
    for seed in range(12):
        out = kad.generate(
            base, proxy, [[3, 4, 5]], target=TARGET, window=window, seed=seed, do_sample=True, max_new_tokens=7
        )
        tokens = new_tokens(out)
        assert len(tokens) <= 7
        assert 2 not in tokens[:-1], "nothing follows a stop token"
        assert len(tokens) == 7 or tokens[-1] == 2
        assert out.sequences.shape[1] == 3 + len(tokens)
    for limit in (1, 2):
        out = kad.generate(
            base, proxy, [[3, 4, 5]], target=TARGET, window=window, seed=0, do_sample=True, max_new_tokens=limit
        )
        assert len(new_tokens(out)) <= limit


def test_finished_rows_are_padded(models) -> None:
    base, proxy = models
    ids, mask = ragged(8, seed=1)
    out = kad.generate(
        base, proxy, input_ids=ids, attention_mask=mask, target=TARGET, seed=3, do_sample=True, max_new_tokens=20
    )
    lengths = out.trace.lengths
    assert len(set(lengths.tolist())) > 1
    for row, n in zip(out.sequences[:, ids.shape[1] :], lengths.tolist(), strict=True):
        assert bool((row[n:] == 0).all())
        assert bool((row[: n - 1] != 2).all())


class Recorder:
    def __init__(self) -> None:
        self.columns: list[list[int]] = []
        self.ended = False

    def put(self, value: torch.Tensor) -> None:
        self.columns.append(value.flatten().tolist())

    def end(self) -> None:
        self.ended = True


@pytest.mark.parametrize("window", [0, 3])
def test_streamer_sees_prompt_then_every_column_in_order(models, window: int) -> None:
    base, proxy = models
    for rows in (1, 3):
        ids, mask = ragged(rows, seed=2)
        recorder = Recorder()
        out = kad.generate(
            base,
            proxy,
            input_ids=ids,
            attention_mask=mask,
            target=TARGET,
            window=window,
            streamer=recorder,
            max_new_tokens=9,
        )
        assert recorder.columns[0] == ids.flatten().tolist()
        assert torch.equal(torch.tensor(recorder.columns[1:]).T, out.sequences[:, ids.shape[1] :])
        assert recorder.ended


class StopAfterSum(StoppingCriteria):
    """Stateful on purpose: it breaks unless every row shows every column once, in order, with the full batch."""

    def __init__(self, rows: int, width: int) -> None:
        self.sums, self.width = torch.zeros(rows), width

    def __call__(self, input_ids, scores, **kwargs):
        assert input_ids.shape[0] == len(self.sums)
        self.width += 1
        assert input_ids.shape[1] == self.width
        self.sums += input_ids[:, -1]
        return self.sums > 60


def test_stateful_stopping_criteria(models) -> None:
    base, proxy = models
    ids, mask = ragged(5, seed=8)
    common = {"input_ids": ids, "attention_mask": mask, "target": TARGET, "max_new_tokens": 15}
    free = kad.generate(base, proxy, **common)
    for window in (0, 1, 3):
        out = kad.generate(base, proxy, window=window, stopping_criteria=[StopAfterSum(5, ids.shape[1])], **common)
        for row in range(5):
            want, total = [], 0
            for token in new_tokens(free, row):
                want.append(token)
                total += token
                if total > 60:
                    break
            assert new_tokens(out, row) == want
            assert len(out.trace.tokens(row)) == len(want)


def test_stop_strings_and_text_prompts() -> None:
    pair = kad.demo.load()
    text = "q : tom has 6 apples . he loses 2 . he finds 9 more . how many apples does tom have now ? a :"
    options = {"target": kad.dual(0.4), "tokenizer": pair.tokenizer, "max_new_tokens": 40}
    for window in (0, 4):
        out = kad.generate(pair.base, pair.proxy, text, window=window, stop_strings="then", **options)
        assert pair.tokenizer.decode(out.trace.ids[0]) == "first 6 - 2 = 4 . then"
    chat = [{"role": "user", "content": text.removeprefix("q : ").removesuffix(" a :")}]
    assert torch.equal(
        kad.generate(pair.base, pair.proxy, chat, **options).trace.ids,
        kad.generate(pair.base, pair.proxy, text, **options).trace.ids,
    )
    batch = kad.generate(pair.base, pair.proxy, [text, "count 4 5 6"], **options)
    alone = kad.generate(pair.base, pair.proxy, "count 4 5 6", **options)
    assert new_tokens(batch, 1) == new_tokens(alone)


@pytest.mark.parametrize("window", [0, 1, 3])
def test_processors_act_on_both_models_with_the_right_prefix(models, window: int) -> None:
    """Against the definition: process each model's logits with its prefix, then the rule."""
    base, proxy = models
    ids, mask = ragged(4, seed=7)
    processors = [RepetitionPenaltyLogitsProcessor(1.7), MinNewTokensLengthLogitsProcessor(ids.shape[1], 6, [2])]
    out = kad.generate(
        base, proxy, input_ids=ids, attention_mask=mask, target=TARGET, window=window, max_new_tokens=10,
        logits_processor=LogitsProcessorList(processors),
    )  # fmt: skip
    for row in range(4):
        padded, tokens = ids[row].tolist(), []
        prompt = ids[row][mask[row].bool()].tolist()
        while len(tokens) < 10 and (not tokens or tokens[-1] != 2):
            readings = []
            for model in (base, proxy):
                with torch.no_grad():
                    logits = model(torch.tensor([prompt + tokens])).logits[:, -1]
                for processor in processors:
                    logits = processor(torch.tensor([padded + tokens]), logits)
                readings.append(torch.softmax(logits[0], -1))
            tokens.append(int(TARGET(*readings).argmax()))
        assert new_tokens(out, row) == tokens


class Counting(LogitsProcessor):
    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, input_ids, scores):
        assert len(input_ids) == len(scores)
        self.shapes.append(tuple(input_ids.shape))
        return scores


def test_processors_see_the_full_batch(models) -> None:
    base, proxy = models
    ids, mask = ragged(5, seed=7)
    counting = Counting()
    kad.generate(
        base, proxy, input_ids=ids, attention_mask=mask, target=TARGET, max_new_tokens=4, logits_processor=[counting],
        generation_config=None, eos_token_id=31,
    )  # fmt: skip
    assert {rows for rows, _ in counting.shapes} == {5}


@pytest.mark.parametrize("window", [0, 2])
def test_scores_are_log_pi(models, window: int) -> None:
    base, proxy = models
    out = kad.generate(
        base, proxy, [[3, 4, 5], [3, 4, 5]], target=TARGET, window=window, do_sample=True, temperature=0.8, seed=4,
        max_new_tokens=8, output_scores=True,
    )  # fmt: skip
    assert len(out.scores) == out.trace.ids.shape[1]
    for row in range(2):
        tokens = [3, 4, 5]
        for i, token in enumerate(new_tokens(out, row)):
            with torch.no_grad():
                p, q = (torch.softmax(m(torch.tensor([tokens])).logits[0, -1] / 0.8, -1) for m in (base, proxy))
            torch.testing.assert_close(out.scores[i][row].exp(), TARGET(p, q), atol=1e-5, rtol=0)
            tokens.append(token)


@pytest.mark.parametrize("window", [0, 3])
def test_different_prompts_for_base_and_proxy(models, window: int) -> None:
    base, proxy = models
    theirs = [[9, 8, 7, 6, 3, 4], [8, 5]]
    out = kad.generate(base, proxy, [[3, 4], [5]], proxy_prompt=theirs, target=TARGET, window=window, max_new_tokens=10)
    for row, (mine, other) in enumerate(zip([[3, 4], [5]], theirs, strict=True)):
        tokens: list[int] = []
        while len(tokens) < 10 and (not tokens or tokens[-1] != 2):
            with torch.no_grad():
                p = torch.softmax(base(torch.tensor([mine + tokens])).logits[0, -1], -1)
                q = torch.softmax(proxy(torch.tensor([other + tokens])).logits[0, -1], -1)
            tokens.append(int(TARGET(p, q).argmax()))
        assert new_tokens(out, row) == tokens
    several = kad.generate(
        base, proxy, [[3, 4], [5]], proxy_prompt=theirs, target=TARGET, window=window, max_new_tokens=4, do_sample=True,
        num_return_sequences=3, seed=0,
    )  # fmt: skip
    assert several.sequences.shape[0] == 6


def test_padded_vocabularies_are_masked() -> None:
    base, proxy = tiny("qwen3", 1, vocabulary=40), tiny("qwen3", 2, vocabulary=36)
    with torch.no_grad():
        base.get_output_embeddings().weight[33:] *= 30  # padding rows that would win if anybody looked at them
    with pytest.raises(ValueError, match="differ in size"):
        kad.generate(base, proxy, [[3, 4]], target=TARGET, max_new_tokens=3)
    for window in (0, 3):
        out = kad.generate(
            base, proxy, [[3, 4]], target=TARGET, window=window, vocabulary=33, do_sample=True, seed=1, max_new_tokens=30,
            num_return_sequences=20,
        )  # fmt: skip
        assert int(out.trace.ids.max()) < 33
    assert shared_vocabulary({"base": 40, "proxy": 36}, 33) == (36, 33)
    assert shared_vocabulary({"base": 40, "proxy": 40}) == (40, None)
    with pytest.raises(ValueError, match="do not share"):
        shared_vocabulary({"base": 40, "proxy": 36}, 38)


def test_recurrent_models_decode_plainly_and_refuse_windows() -> None:
    base, proxy = tiny_mamba(1), tiny("llama", 2)
    ids, mask = ragged(3, seed=3)
    want = [base.generate(i[m.bool()].unsqueeze(0), max_new_tokens=8, do_sample=False)[0, int(m.sum()) :].tolist()
            for i, m in zip(ids, mask, strict=True)]  # fmt: skip
    out = kad.generate(
        base, proxy, input_ids=ids, attention_mask=mask, target=kad.primal(0.0), window=0, max_new_tokens=8
    )
    assert [new_tokens(out, row) for row in range(3)] == want
    mixed = kad.generate(
        proxy, base, input_ids=ids, attention_mask=mask, target=kad.dual(0.5), window=0, max_new_tokens=8
    )
    assert mixed.trace.proxy_passes > 0
    for pair in ((base, proxy), (proxy, base)):
        with pytest.raises(ValueError, match="recurrent state and cannot roll back"):
            kad.generate(*pair, [[3]], target=TARGET, window=1)


def test_rows_do_not_depend_on_their_batch(models) -> None:
    base, proxy = models
    ids, mask = ragged(6, seed=12)
    together = kad.generate(base, proxy, input_ids=ids, attention_mask=mask, target=TARGET, max_new_tokens=16)
    for row in range(6):
        alone = kad.generate(base, proxy, [ids[row][mask[row].bool()].tolist()], target=TARGET, max_new_tokens=16)
        assert new_tokens(alone) == new_tokens(together, row)


def test_bfloat16_models_run(models) -> None:
    base, proxy = tiny("llama", 1, torch.bfloat16), tiny("llama", 2, torch.bfloat16)
    out = kad.generate(base, proxy, [[3, 4]], target=TARGET, do_sample=True, seed=1, max_new_tokens=20)
    assert out.trace.drafted > 0


def breaking(value: float):
    def hook(module, inputs, out):
        out.logits[0, -1, 5] = value
        return out

    return hook


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("which", ["base", "proxy"])
def test_nan_and_infinite_logits_are_reported(which: str, value: float) -> None:
    pair = {"base": tiny("llama", 1), "proxy": tiny("llama", 2)}
    pair[which].register_forward_hook(breaking(value))
    with pytest.raises(ValueError, match=f"the {which} model returned NaN or infinite logits for row 0"):
        kad.generate(pair["base"], pair["proxy"], [[3, 4]], target=TARGET, max_new_tokens=5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"window": -1}, "window must be an integer"),
        ({"window": 1.5}, "window must be an integer"),
        ({"num_beams": 2}, "num_beams=1"),
        ({"prompt": ""}, "tokenizer"),
        ({"prompt": []}, "empty"),
        ({"prompt": [[3], []]}, "prompt 1 is empty"),
        ({"prompt": None}, "needs a prompt"),
        ({"input_ids": torch.tensor([[3]])}, "not both"),
        ({"prompt": [[99]]}, "token id 99"),
        ({"prompt": None, "input_ids": torch.zeros(1, 0, dtype=torch.long)}, "shape"),
        ({"prompt": None, "input_ids": torch.tensor([[3, 4], [0, 0]]), "attention_mask": torch.tensor([[1, 1], [0, 0]])},
         "row 1 of input_ids is empty"),
        ({"prompt": None, "input_ids": torch.tensor([[3, 0]]), "attention_mask": torch.tensor([[1, 0]])}, "on the left"),
        ({"prompt": None, "input_ids": torch.tensor([[3, 4]]), "attention_mask": torch.tensor([[1]])}, "shape"),
        ({"proxy_prompt": [[3], [4]]}, "one for one"),
        ({"temperature": 0.0, "do_sample": True}, "temperature"),
        ({"temperature": 0.5}, "do_sample=True"),
        ({"num_return_sequences": 2}, "do_sample=True"),
        ({"seed": 1, "generator": torch.Generator()}, "not both"),
        ({"stop_strings": "x"}, "tokenizer"),
        ({"nonsense": 3}, "nonsense"),
        ({"target": "dual"}, "target must be"),
        ({"output_hidden_states": True}, "hidden states"),
    ],
    ids=lambda v: v if isinstance(v, str) else ",".join(v),
)  # fmt: skip
def test_bad_input_is_one_sentence(models, options, words: str) -> None:
    arguments = {"prompt": [[3, 4]], "target": TARGET, "max_new_tokens": 4} | options
    with pytest.raises(ValueError, match=words) as caught:
        kad.generate(*models, **arguments)
    assert "\n" not in str(caught.value)


def test_beams_are_refused_inside_hugging_face_too(models) -> None:
    base, proxy = models
    with pytest.raises(ValueError, match="num_beams=1"):
        base.generate(torch.tensor([[3, 4]]), custom_generate=kad.decoder(proxy, TARGET), num_beams=2, max_new_tokens=4)


def test_things_that_are_no_models_are_refused(models) -> None:
    with pytest.raises(ValueError, match="the proxy must be a Hugging Face"):
        kad.generate(models[0], "gpt", [[3]], target=TARGET)


@pytest.mark.parametrize("device", ["cpu", *(["cuda"] if torch.cuda.is_available() else [])])
@pytest.mark.parametrize("target", [kad.dual(0.3), kad.confidence_bet(0.1, "mixture")], ids=["dual", "bet"])
def test_everything_at_once_on_every_device(target: kad.Target, device: str) -> None:
    """Ragged rows, processors, scores, criteria, a stream and speculation in one call."""
    base, proxy = tiny("qwen3", 1).to(device), tiny("llama", 2).to(device)
    ids, mask = ragged(6, seed=3)
    recorder = Recorder()
    out = kad.generate(
        base, proxy, input_ids=ids.to(device), attention_mask=mask.to(device), target=target, window=3, do_sample=True,
        temperature=0.8, top_p=0.95, repetition_penalty=1.1, seed=1, max_new_tokens=20, output_scores=True, streamer=recorder,
        stopping_criteria=[StopAfterSum(6, ids.shape[1])] if device == "cpu" else None, num_return_sequences=1,
    )  # fmt: skip
    assert out.sequences.device.type == device
    assert len(recorder.columns) == 1 + out.trace.ids.shape[1] == 1 + len(out.scores)
    for row in range(6):
        tokens = out.trace.tokens(row)
        assert all(torch.isfinite(out.scores[i][row, t.id]) for i, t in enumerate(tokens)), "log π of what was drawn"


def test_a_trace_adds_up(models) -> None:
    base, proxy = models
    out = kad.generate(
        base, proxy, [[3, 4], [5, 6]], target=TARGET, window=3, do_sample=True, seed=2, max_new_tokens=24
    )
    trace = out.trace
    for row in range(2):
        tokens = trace.tokens(row)
        assert all(0 <= t.alpha <= 1 for t in tokens)
        assert all(t.origin == "proxy" for t in tokens if t.accepted)
        assert all(t.origin == "base" for t in tokens if t.accepted is False)
    assert sum(t.accepted is True for row in range(2) for t in trace.tokens(row)) == trace.accepted
    assert 0 < trace.acceptance_rate < 1
    assert len(trace.acceptance_by_position) == 3
    assert trace.summary()["tokens"] == int(trace.lengths.sum())
