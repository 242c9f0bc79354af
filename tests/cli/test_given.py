"""On the shell too: what a checkpoint or a class of one's own brings is honoured or refused in one sentence."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import transformers

import kad
from kad.cli.main import main
from kad.demo import MODELS

QUESTION = "q : tom has 6 apples . he loses 2 . he finds 9 more . how many apples does tom have now ? a :"
WINDOWS = ["0", "1", "3", "7"]


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Saves the embedded base (or another model in its place) with other settings; the options that name the pair."""
    made = dict[str, list[str]]()

    def make(name: str, model: Any = None, **settings: Any) -> list[str]:
        if name not in made:
            folder, pair = tmp_path_factory.mktemp("pair") / name, kad.demo.load()
            base = copy.deepcopy(pair.base) if model is None else model
            base.generation_config.update(**settings)
            base.save_pretrained(folder)
            pair.tokenizer.save_pretrained(folder)
            made[name] = ["--base", str(folder), "--proxy", str(MODELS / "proxy"), "--greedy", "--json"]
        return made[name]

    return make


def text_of(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> str:
    assert main(arguments) == 0, capsys.readouterr().err
    return str(json.loads(capsys.readouterr().out)["text"])


@pytest.mark.parametrize("window", WINDOWS)
def test_the_bases_settings_have_no_say(capsys, changed, window: str) -> None:
    plain = ["generate", QUESTION, "--window", window, "--max-new-tokens", "24"]
    want = text_of(capsys, [*plain, *changed("plain")])
    leaky = changed(
        "leaky", repetition_penalty=1.9, no_repeat_ngram_size=1, min_new_tokens=20, suppress_tokens=[7, 8, 9, 10]
    )
    assert text_of(capsys, [*plain, *leaky]) == want


@pytest.mark.parametrize("window", WINDOWS)
def test_positions_that_depend_on_the_length(capsys, changed, window: str) -> None:
    config = copy.deepcopy(kad.demo.load().base.config)
    config.max_position_embeddings = 32
    config.rope_parameters = {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 10000.0}
    options = changed("dynamic", transformers.AutoModelForCausalLM.from_config(config))
    arguments = ["generate", QUESTION, *options, "--window", window, "--max-new-tokens"]
    assert main([*arguments, "4"]) == 0, capsys.readouterr().err
    capsys.readouterr()
    assert main([*arguments, "24"]) == 1
    err = capsys.readouterr().err
    assert "the base has dynamic rotary positions" in err
    assert err.count("\n") == 1


BROKEN = """
from dataclasses import dataclass
import kad

@dataclass(frozen=True)
class Nan(kad.Target):
    def __call__(self, p, q, r=None):
        return p * float("nan")

@dataclass(frozen=True)
class Half(kad.Target):
    def __call__(self, p, q, r=None):
        return (p + q) / 4

@dataclass(frozen=True)
class Wide(kad.Target):
    reads_proxy = False
    def __call__(self, p, q, r=None):
        return q
    def defer(self, p, q=None):
        return p * 0 + 2
"""


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize(("name", "words"), [("Nan", "NaN"), ("Half", "sum to 1"), ("Wide", "lie in [0, 1]")])
def test_targets_that_are_none(capsys, monkeypatch, tmp_path: Path, name: str, words: str, window: str) -> None:
    (tmp_path / "broken_targets.py").write_text(BROKEN)
    monkeypatch.chdir(tmp_path)
    assert (
        main(["generate", QUESTION, "--target", f"broken_targets.{name}", "--window", window, "--max-new-tokens", "4"])
        == 1
    )
    err = capsys.readouterr().err
    assert name in err
    assert words in err
    assert f"kad.testing.check_target({name}())" in err
    assert err.count("\n") == 1
