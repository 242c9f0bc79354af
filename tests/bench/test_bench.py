"""kad bench: everybody emits the same number of tokens, counts are counts, and the report says what is synthetic."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

import kad
from kad.bench import pairs
from kad.bench.contenders import Race, Synthetic, contenders
from kad.bench.measure import measure
from kad.cli import bench as command
from kad.cli.main import main
from kad.decoding.packed import PackedLinear

from ..models import tiny

NEW, PROMPT = 12, 5


@pytest.fixture(scope="module")
def models() -> pairs.Models:
    base, proxy = tiny("llama", 1), tiny("llama", 2)
    for model in (base, proxy):
        model.generation_config.eos_token_id = None
    return pairs.Models("tiny", base, proxy)


def job(models: pairs.Models, rows: int, **more) -> Race:
    prompts = torch.randint(3, 32, (rows, PROMPT), generator=torch.Generator().manual_seed(0))
    return Race(models, prompts, NEW, **{"sample": True, "target": kad.dual(0.4), **more})


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("sample", [True, False])
def test_all_emit_as_much_and_feed_what_they_must(models: pairs.Models, rows: int, sample: bool) -> None:
    who = contenders([0, 2, "auto"])
    results = measure(job(models, rows, sample=sample), who, 2, 1e9, lambda text: None)
    names = [(r.name, r.window) for r in results]
    assert (("HF assisted", 2) in names) == (rows == 1)  # Hugging Face refuses larger batches
    assert {r.tokens for r in results} == {rows * NEW}
    by = dict(zip(names, results, strict=True))
    assert by["HF generate", None].base_passes == NEW
    assert by["HF generate", None].proxy_passes == 0
    for model in ("base", "proxy"):
        assert getattr(by["two-model loop", None], f"{model}_fed") == rows * (PROMPT + NEW - 1)
    assert by["kad", 0].base_fed == rows * (PROMPT + NEW - 1)
    assert by["kad", 0].proxy_passes <= NEW
    for r in results:  # tokens are no padding; places are, where rows have parted
        for model in ("base", "proxy"):
            fed, places = getattr(r, f"{model}_fed"), getattr(r, f"{model}_places")
            assert fed <= places
            assert fed == places or (r.name.startswith("kad") and rows > 1)
            assert set(dataclasses.asdict(r)) >= {f"{model}_passes", f"{model}_fed", f"{model}_places"}
    for r in results:
        assert len(r.seconds) == 2
        assert 0 < r.outside < 1
        assert r.tokens_per_second > 0
        assert r.floor > 0
    assert command.times_as_fast(results[0], results[0]) == [1.0, 1.0]


def test_synthetic_verdicts_come_at_their_rate_on_both_sides(models: pairs.Models) -> None:
    chance = Synthetic(0.78, 0.2)
    torch.manual_seed(0)
    leading = chance.leading(torch.full((20_000, 3), 0.1)).float().mean()
    assert float(leading) == pytest.approx(0.78 + 0.78**2 + 0.78**3, abs=0.03)
    assert chance.leading(torch.zeros(5, 3)).tolist() == [0] * 5  # places without a draft
    assert float(chance.coin(torch.ones(20_000)).float().mean()) == pytest.approx(0.8, abs=0.02)
    long = Race(models, torch.tensor([[3, 4, 5]]), 400, True, kad.dual(0.4), 0.78, 0.2)
    results = measure(long, [c for c in contenders([3]) if c.window == 3], 1, 1e9, lambda text: None)
    expected = 400 / (1 + 0.78 + 0.78**2 + 0.78**3)
    for r in results:
        assert r.base_passes == pytest.approx(expected, rel=0.12)


def test_compiled_passes_are_counted_too(models: pairs.Models) -> None:
    one = job(models, 1, compile={"backend": "eager"})
    plain = job(models, 1)
    who = [c for c in contenders([0]) if c.name == "kad"]
    torch.manual_seed(0)
    fast = measure(one, who, 1, 1e9, lambda text: None)[0]
    torch._dynamo.reset()
    slow = measure(plain, who, 1, 1e9, lambda text: None)[0]
    assert fast.base_fed == slow.base_fed == slow.base_places == PROMPT + NEW - 1
    assert fast.base_places == 8 + NEW - 1  # the prompt's pass is one of the compiled widths
    assert fast.base_passes == slow.base_passes
    assert 0 < fast.outside < 1


def test_the_command_writes_what_it_shows(tmp_path: Path, monkeypatch, capsys, models: pairs.Models) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(command, "build", lambda *arguments: models)
    monkeypatch.setattr(command, "bandwidth", lambda *arguments: 1e9)
    folder = tmp_path / "speed"
    arguments = [
        "--batch",
        "1",
        "--batch",
        "2",
        "--gamma",
        "0",
        "--gamma",
        "auto",
        "--rounds",
        "1",
        "--new-tokens",
        "8",
    ]
    assert main(["bench", *arguments, "--output", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "SYNTHETIC acceptance 0.78" in shown
    report = json.loads((folder / "results.json").read_text())
    assert report["synthetic_acceptance"] == 0.78
    assert {(r["name"], r["batch"]) for r in report["results"]} >= {("kad", 1), ("kad", 2), ("HF generate", 2)}
    assert (folder / "speed.png").stat().st_size > 10_000
    assert main(["bench", *arguments, "--output", str(folder)]) == 1
    assert "holds results already" in capsys.readouterr().err


@pytest.mark.parametrize("compile", [False, True])
def test_compile_reaches_the_contenders(monkeypatch, models: pairs.Models, compile: bool) -> None:
    jobs = []
    monkeypatch.setattr(command, "build", lambda *arguments: models)
    monkeypatch.setattr(command, "bandwidth", lambda *arguments: 1e9)
    monkeypatch.setattr(command, "measure", lambda job, *rest: jobs.append(job) or [])
    assert main(["bench", "--batch", "1", "--batch", "2", *(["--compile"] if compile else [])]) == 0
    assert [(len(job.prompts), job.compile) for job in jobs] == [(1, compile), (2, compile)]


def test_packed_weights_are_everybodys(monkeypatch, capsys, models: pairs.Models) -> None:
    jobs, own = [], pairs.Models("tiny", *(copy.deepcopy(m) for m in (models.base, models.proxy)))
    monkeypatch.setattr(command, "build", lambda *arguments: own)
    monkeypatch.setattr(command, "bandwidth", lambda *arguments: 1e9)
    monkeypatch.setattr(command, "measure", lambda job, *rest: jobs.append(job) or [])
    assert main(["bench", "--batch", "1", "--pack"]) == 0
    assert "packed weights" in " ".join(capsys.readouterr().out.split())
    assert all(isinstance(m.lm_head, PackedLinear) for m in (jobs[0].models.base, jobs[0].models.proxy))
    assert pairs.weight_bytes(own.base) == pairs.weight_bytes(models.base)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--pair", "gpt5"], "the pair must be small, olmo2 or qwen3"),
        (["--base", "x"], "give both --base and --proxy"),
        (["--batch", "0"], "--batch must be ≥ 1"),
        (["--new-tokens", "1"], "--new-tokens must be ≥ 2"),
        (["--gamma", "-1"], "--gamma must be ≥ 0 or auto"),
        (["--acceptance", "1.5"], "--acceptance must lie in [0, 1]"),
        (["--output", __file__], "is a file"),
    ],
)
def test_bad_options_are_one_sentence(capsys, monkeypatch, arguments: list[str], words: str) -> None:
    monkeypatch.setattr(command, "bandwidth", lambda *arguments: 1e9)
    assert main(["bench", *arguments]) == 1
    assert words in capsys.readouterr().err


def test_shapes_are_those_of_the_checkpoints() -> None:
    """Parameters as published, to the nearest tenth of a billion: 13.7 and 1.5, 14.8 and 1.7."""
    for name, billions in (("olmo2", (13.7, 1.5)), ("qwen3", (14.8, 1.7)), ("small", (0.1, 0.0))):
        for config, size in zip(pairs.configs(name), billions, strict=True):
            with torch.device("meta"):
                model = AutoModelForCausalLM.from_config(config)
            count = sum(p.numel() for p in model.parameters()) / 1e9
            assert count == pytest.approx(size, abs=0.06)
            assert pairs.weight_bytes(model) <= 4e9 * count
