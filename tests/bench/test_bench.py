"""kad bench: everybody emits the same number of tokens, counts are counts, and the report says what is synthetic."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

import kad
from kad.bench import pairs
from kad.bench.contenders import Contender, Race, contenders
from kad.bench.measure import Result, measure
from kad.bench.verdicts import Prescribed, Synthetic
from kad.cli import bench as command
from kad.cli.main import main
from kad.decoding.packed import PackedLinear
from kad.statistics import ratio

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


def results_of(race: Race, who: list[Contender], rounds: int = 1, **more) -> dict[tuple[str, int | str | None], Result]:
    results = measure(race, who, rounds, 1e9, lambda text: None, **more)
    return {(r.name, r.window): r for r in results}


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("sample", [True, False])
def test_all_emit_as_much_and_feed_what_they_must(models: pairs.Models, rows: int, sample: bool) -> None:
    by = results_of(job(models, rows, sample=sample), contenders([0, 2, "auto"]), 2)
    assert (("HF assisted", 2) in by) == (("HF prompt lookup", 2) in by) == (rows == 1)  # they refuse larger batches
    assert {r.tokens for r in by.values()} == {rows * NEW}
    assert by["HF generate", None].mean("base_passes") == NEW
    assert by["HF generate", None].mean("proxy_passes") == 0
    for model in ("base", "proxy"):
        assert by["two-model loop", None].mean(f"{model}_fed") == rows * (PROMPT + NEW - 1)
    assert by["kad", 0].mean("base_fed") == rows * (PROMPT + NEW - 1)
    assert by["kad", 0].mean("proxy_passes") <= NEW
    for r in by.values():  # tokens are no padding; places are, where rows have parted
        for model in ("base", "proxy"):
            fed, places = r.mean(f"{model}_fed"), r.mean(f"{model}_places")
            assert fed <= places
            assert fed == places or (r.name.startswith("kad") and rows > 1)
        assert len(r.seconds) == len(r.runs) == 2
        assert 0 < r.mean("outside") < 1
        assert r.decoding > r.tokens_per_second > 0
        assert r.milliseconds > 0
        assert r.floor > 0


def test_all_have_the_same_verdicts_in_one_round(models: pairs.Models) -> None:
    """So that whoever does the same makes the same passes, in every round, and the rate is right in the long run."""
    long = dataclasses.replace(job(models, 1), tokens=60)
    by = results_of(long, contenders([3], ["assisted", "kad-base", "kad"]), 12, synthetic=(0.78, 0.2))
    ours, theirs = (
        [(run.base_passes, run.base_fed) for run in by[name, 3].runs] for name in ("kad, π = p", "HF assisted")
    )
    assert ours == theirs
    assert len(set(ours)) > 3  # and other ones in other rounds
    expected = 60 / (1 + 0.78 + 0.78**2 + 0.78**3)
    for r in by.values():
        assert r.mean("base_passes") == pytest.approx(expected, rel=0.1)


def test_verdicts_come_at_their_rate() -> None:
    drawn = Prescribed.drawn(200, 40, 0.78, 0.2, seed=0)
    assert float(drawn.accepted.clamp(max=3).double().mean()) == pytest.approx(0.78 + 0.78**2 + 0.78**3, abs=0.05)
    assert float(drawn.kept.double().mean()) == pytest.approx(0.8, abs=0.02)
    chance = Synthetic(drawn)
    chance.about(torch.tensor([5, 7]), torch.tensor([0, 40]), torch.tensor([True, True]), "accept")
    assert chance.leading(torch.zeros(2, 3)).tolist() == [0, 0]  # places without a draft
    assert chance.leading(torch.ones(2, 40)).tolist() == [int(drawn.accepted[5, 0]), int(drawn.accepted[7, 39])]
    assert chance.coin(torch.zeros(2)).tolist() == [bool(drawn.kept[5, 0]), bool(drawn.kept[7, 39])]


def test_turns_go_forwards_and_backwards(models: pairs.Models) -> None:
    ran = []

    def named(name: str) -> Contender:
        return Contender(name, None, lambda race: ran.append((name, torch.initial_seed())) or 0.5, outside=True)

    by = results_of(job(models, 1), [named("a"), named("b")], 2, turns=4, seed=7)
    assert "".join(name for name, _ in ran[2:]) == 2 * "babaabab"
    assert [seed for _, seed in ran] == 2 * [7] + 8 * [8] + 8 * [9]
    assert by["a", None].seconds == [0.5] * 8
    assert len(by["a", None].runs) == 8
    assert by["a", None].tokens_per_second == by["a", None].tokens / 0.5
    assert by["a", None].floor is by["a", None].decoding is by["a", None].mean("base_passes") is None


def test_whoever_can_compiles_its_passes(models: pairs.Models) -> None:
    eager = {"backend": "eager"}
    who = contenders([0], ["hf", "two-model", "kad"])
    by = results_of(job(models, 1, compile=eager), who)
    torch._dynamo.reset()
    slow = results_of(job(models, 1), who)
    assert by["HF generate", None].mean("base_passes") is None  # hooks would be compiled too
    assert by["two-model loop", None].mean("base_fed") == slow["two-model loop", None].mean("base_fed")
    fast, plain = by["kad", 0], slow["kad", 0]
    assert fast.mean("base_fed") == plain.mean("base_fed") == plain.mean("base_places") == PROMPT + NEW - 1
    assert fast.mean("base_places") == 8 + NEW - 1  # the prompt's pass is one of the compiled widths
    assert fast.mean("base_passes") == plain.mean("base_passes")
    assert 0 < fast.mean("outside") < 1


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, models: pairs.Models) -> pytest.MonkeyPatch:
    """The command with tiny models."""
    monkeypatch.setattr(command, "build", lambda *arguments: models)
    monkeypatch.setattr(command, "bandwidth", lambda *arguments: 1e9)
    monkeypatch.setattr(command, "has_vllm", lambda: False)
    return monkeypatch


def test_the_command_writes_what_it_shows(tmp_path: Path, quick: pytest.MonkeyPatch, capsys) -> None:
    pytest.importorskip("matplotlib")
    folder, llama = tmp_path / "speed", tmp_path / "llama-bench"
    llama.write_text(
        '#!/bin/sh\necho "$@" >> ' + str(tmp_path / "asked") + "\n"
        """echo '[{"n_prompt": 0, "n_gen": 8, "avg_ts": 16.0, "samples_ns": [500000000]}]'\n"""
    )
    llama.chmod(0o755)
    arguments = [
        "bench",
        "--batch",
        "1",
        "--batch",
        "2",
        "--gamma",
        "0",
        "--gamma",
        "auto",
        "--rounds",
        "2",
        "--turns",
        "2",
        "--new-tokens",
        "8",
        "--twice",
    ]
    arguments += ["--llama-bench", str(llama), "--gguf", str(llama)]
    assert main([*arguments, "--output", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "SYNTHETIC acceptance 0.78" in " ".join(shown.split())
    report = json.loads((folder / "results.json").read_text())
    assert report["synthetic_acceptance"] == 0.78
    assert {(r["name"], r["batch"]) for r in report["results"]} >= {("kad", 1), ("kad again", 2), ("HF generate", 2)}
    assert all(len(r["runs"]) == 4 for r in report["results"])
    theirs = [r for r in report["results"] if r["name"].startswith("llama")]
    assert [(r["batch"], r["tokens_per_second"]) for r in theirs] == [(1, 16.0), (1, 16.0)]
    assert "-n 8 -d 32 -r 1 -t" in (tmp_path / "asked").read_text()
    page = (folder / "speed.md").read_text()
    assert "| 1 | llama.cpp |  | 16.0 |  |  |" in page
    assert page.count("\n| 2 | kad again | auto |") == 2
    assert (folder / "speed.png").stat().st_size > 10_000
    assert main([*arguments, "--output", str(folder)]) == 2
    assert "holds results already" in capsys.readouterr().err
    llama.write_text("#!/bin/sh\necho no such model >&2; exit 3\n")
    assert main([*arguments, "--output", str(tmp_path / "other")]) == 1
    assert "llama-bench ended with 3: no such model" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_several_pairs_one_after_the_other(tmp_path: Path, quick: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    arguments = (
        "bench --batch 1 --gamma 1 --rounds 2 --turns 1 --new-tokens 4 --contender kad --pair olmo2 --pair qwen3"
    )
    assert main([*arguments.split(), "--output", str(tmp_path)]) == 0
    for pair in ("olmo2", "qwen3"):
        assert [r["name"] for r in json.loads((tmp_path / pair / "results.json").read_text())["results"]] == ["kad"]


@pytest.mark.parametrize("compile", [False, True])
def test_compile_reaches_the_contenders(quick: pytest.MonkeyPatch, compile: bool) -> None:
    jobs = []
    quick.setattr(command, "measure", lambda job, *rest: jobs.append(job) or [])
    assert main(["bench", "--batch", "1", "--batch", "2", *(["--compile"] if compile else [])]) == 0
    assert [(len(job.prompts), job.compile) for job in jobs] == [(1, compile), (2, compile)]


def test_packed_weights_are_everybodys(quick: pytest.MonkeyPatch, capsys, models: pairs.Models) -> None:
    jobs, own = [], pairs.Models("tiny", *(copy.deepcopy(m) for m in (models.base, models.proxy)))
    quick.setattr(command, "build", lambda *arguments: own)
    quick.setattr(command, "measure", lambda job, *rest: jobs.append(job) or [])
    assert main(["bench", "--batch", "1", "--pack"]) == 0
    assert "packed weights (base and proxy)" in " ".join(capsys.readouterr().out.split())
    assert all(isinstance(m.lm_head, PackedLinear) for m in (jobs[0].models.base, jobs[0].models.proxy))
    assert pairs.weight_bytes(own.base) == pairs.weight_bytes(models.base)


@pytest.mark.parametrize("turns", [1, 4])
def test_the_interval_of_a_ratio_covers_it(turns: int) -> None:
    """With 8 rounds, of whose runs something disturbs one in seven, the 95% interval holds the truth in nine of ten cases and more."""
    drawn = np.random.default_rng(0)
    held = 0
    for _ in range(300):
        noise = drawn.normal(size=(2, 8 * turns)) * np.where(drawn.random((2, 8 * turns)) < 0.15, 0.2, 0.04)
        found = ratio(list(1.2 * np.exp(noise[0])), list(np.exp(noise[1])), turns, resamples=999)
        held += found.low <= 1.2 <= found.high
    assert held / 300 >= 0.93


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--pair", "gpt5"], "the pair must be small, olmo2 or qwen3"),
        (["--pair", "qwen3"], "the pair qwen3 takes 61 GiB in float32, and cpu has 16 GiB; use --pair small"),
        (["--base", "x"], "give both --base and --proxy"),
        (["--batch", "0"], "--batch must be ≥ 1"),
        (["--new-tokens", "1"], "--new-tokens must be ≥ 2"),
        (["--rounds", "0"], "--rounds must be ≥ 1"),
        (["--contender", "gpt5"], "--contender must be one of hf, assisted"),
        (["--gguf", __file__], "with both --llama-bench, its program, and --gguf"),
        (["--gguf", __file__, "--llama-bench", "nowhere"], "--llama-bench nowhere is no file"),
        (["--gamma", "-1"], "--gamma must be ≥ 0 or auto"),
        (["--acceptance", "1.5"], "--acceptance must lie in [0, 1]"),
        (["--output", __file__], "is a file"),
    ],
)
def test_bad_options_are_one_sentence(capsys, monkeypatch, arguments: list[str], words: str) -> None:
    monkeypatch.setattr(command, "bandwidth", lambda *arguments: 1e9)
    monkeypatch.setattr(pairs, "room", lambda device: 2**34)
    assert main(["bench", "--device", "cpu", *arguments]) in (1, 2)
    assert words in capsys.readouterr().err


def test_without_vllm_its_contender_is_a_sentence(capsys, monkeypatch) -> None:
    monkeypatch.setattr("kad.engines.vllm.launch.find_spec", lambda name: None)
    assert main(["bench", "--contender", "vllm"]) == 1
    assert "--contender vllm needs vLLM: pip install 'kad-align[vllm]'" in capsys.readouterr().err


def test_shapes_are_those_of_the_checkpoints() -> None:
    """Parameters as published, to the nearest tenth of a billion: 13.7 and 1.5, 14.8 and 1.7."""
    for name, billions in (("olmo2", (13.7, 1.5)), ("qwen3", (14.8, 1.7)), ("small", (0.1, 0.0))):
        for config, size in zip(pairs.configs(name), billions, strict=True):
            with torch.device("meta"):
                model = AutoModelForCausalLM.from_config(config)
            count = sum(p.numel() for p in model.parameters()) / 1e9
            assert count == pytest.approx(size, abs=0.06)
            assert pairs.weight_bytes(model) <= 4e9 * count
