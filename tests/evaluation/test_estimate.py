"""What a plan takes: the table of the guide, the sum that a dry run prints, and the shapes of models that have little."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from transformers import MambaConfig

import kad
from kad.bench.pairs import configs
from kad.cli.main import main
from kad.evaluation import footprint
from kad.evaluation.estimate import PEAK_UNITS, PEAK_UNITS_OF_OTHERS, Needs, size_of
from kad.evaluation.methods import Method
from kad.evaluation.plan import Block, Plan

GUIDE = Path(__file__).parent.parent.parent / "docs" / "guides" / "fast.md"
GIB = 2**30
NAMES = {"olmo2": "OLMo 2, 13B and 1B", "qwen3": "Qwen 3, 14B and 1.7B"}


@pytest.fixture(scope="module")
def pairs() -> dict[str, dict]:
    return {name: dict(zip(("base", "proxy"), configs(name), strict=True)) for name in NAMES}


def test_the_table_of_the_guide(pairs: dict[str, dict]) -> None:
    rows = []
    for name, two in pairs.items():
        for batch in (1, 16):
            short, wide = (footprint(two, batch, n, window=7) for n in (1024, 4096))
            assert wide.total == wide.weights + wide.cache + wide.decision
            numbers = [f"{n / GIB:.2f}" for n in (short.cache, wide.cache, wide.decision)]
            first = (NAMES[name], f"{wide.weights / GIB:.2f}") if batch == 1 else ("", "")
            rows.append([*first, str(batch), *numbers, f"{wide.total / GIB:.1f}"])
    section = GUIDE.read_text().split("{ #memory }")[1].split("\n## ")[0]
    found = [[cell.strip() for cell in line.strip("|").split("|")] for line in re.findall(r"^\|.+\|$", section, re.M)]
    assert found[2:] == rows


def test_by_hand(pairs: dict[str, dict]) -> None:
    """OLMo 2: 40 layers of 40 heads of 128, and 16 of 16 of 128; 100,352 tokens."""
    found = footprint(pairs["olmo2"], rows=2, tokens=10, window=3)
    assert found.cache == 2 * 2 * 10 * 2 * (40 * 40 * 128 + 16 * 16 * 128)
    assert found.decision == 2 * 4 * (round(4 * PEAK_UNITS * 100_352) + 2 * 2 * 100_352)
    assert footprint(pairs["olmo2"], 2, 10, 3, units=PEAK_UNITS_OF_OTHERS).decision > found.decision
    half = footprint(pairs["olmo2"], 2, 10, 3, bytes_each=1)
    assert (half.weights * 2, half.cache * 2) == (found.weights, found.cache)


def test_a_model_that_keeps_no_tokens() -> None:
    size = size_of(MambaConfig(vocab_size=64, hidden_size=16, num_hidden_layers=2))
    assert (size.cached, size.vocabulary) == (0, 64)
    assert size.parameters > 0


def test_bad_counts_are_one_sentence() -> None:
    pair = kad.demo.load()
    two = {"base": pair.base.config, "proxy": pair.proxy.config}
    for named, words in (
        ({"rows": 0, "tokens": 8}, "the number of rows must be ≥ 1"), ({"rows": 1, "tokens": 0}, "the number of tokens must be ≥ 1"),
        ({"rows": 1, "tokens": 8, "window": -1}, "the window must be ≥ 0"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            footprint(two, **named)
    with pytest.raises(ValueError, match="needs the base's configuration, got proxy"):
        footprint({"proxy": two["proxy"]}, 1, 8)


def test_a_configuration_takes_its_own_models(pairs: dict[str, dict]) -> None:
    """Weights are of every model that is loaded, keys and values of those that a method runs."""
    small = {role: size_of(config) for role, config in pairs["qwen3"].items()}
    found = Needs({**small, "reference": small["proxy"], "aligned": small["base"]})
    methods = (Method("dual", 0.4), Method("q*"), Method("implicit-reward", 1.0), Method("p*"), Method("ensemble", 0.5))
    plan = Plan(("embedded",), (Block(methods, windows=(3,)),))
    takes = {c.method: found.footprint(c, 4, 100, 2) for c in plan.configurations("embedded", 64)}
    weights = 2 * sum(size.parameters for size in found.sizes.values())
    assert {x.weights for x in takes.values()} == {weights}
    assert takes["dual"].cache == takes["p*"].cache == footprint(pairs["qwen3"], 4, 100).cache
    assert takes["dual"].decision == footprint(pairs["qwen3"], 4, 100, 3).decision
    assert takes["q*"].cache == 2 * 4 * 100 * small["proxy"].cached
    assert takes["implicit-reward"].cache == takes["dual"].cache + takes["q*"].cache
    assert takes["ensemble"].decision > takes["dual"].decision
    found.sizes["reference"] = None
    assert found.footprint(next(plan.configurations("embedded", 64)), 4, 100, 2) is not None
    found.sizes["base"] = None
    assert found.footprint(next(plan.configurations("embedded", 64)), 4, 100, 2) is None


@pytest.mark.parametrize(("more", "slots"), [([], 300 + 212), (["--compile"], 512 + 1)])
def test_a_dry_run_says_the_sum(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, pairs: dict[str, dict], more: list[str], slots: int
) -> None:
    where = ["--base", str(tmp_path / "base"), "--proxy", str(tmp_path / "proxy"), "--dtype", "float32"]
    for role, config in pairs["olmo2"].items():
        config.architectures = ["Olmo2ForCausalLM"]
        config.save_pretrained(tmp_path / role)
    command = ["eval", "--dry-run", "--task", "embedded", *where, "--method", "q*", "--method", "dual"]
    command += ["--window", "3", "--batch", "8"]
    assert main([*command, "--new-tokens", "212", *more]) == 0
    shown = capsys.readouterr().out
    want = footprint(pairs["olmo2"], 8, slots, 3, bytes_each=4)
    parts = [f"{n / GIB:.2f} GiB" for n in (want.weights, want.cache, want.decision, want.total)]
    weights, cache, decision, total = parts
    said = f"weights {weights}, keys and values {cache} and a round's decision {decision}: {total}, for 8 rows of 300 + 212 tokens"
    assert f"memory: {said} under dual λ=0.4, γ = 3; what a pass takes for itself comes on top." in shown
