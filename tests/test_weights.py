"""No weight is invented: a checkpoint that is not whole is refused by the loader and by every command."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM, GPT2Config, OPTConfig

from kad.cli.main import main
from kad.demo import FOLDERS, MODELS, check_sums
from kad.loading import model_at

from .models import VOCABULARY, tiny, tiny_mamba

FAMILIES = ("llama", "qwen3", "gpt2", "opt", "mamba", "tied")


def model_of(family: str) -> torch.nn.Module:
    if family == "mamba":
        return tiny_mamba(0)
    if family == "gpt2":  # its output layer is tied to the embedding
        config = GPT2Config(vocab_size=VOCABULARY, n_embd=16, n_layer=1, n_head=2, n_positions=32)
        return AutoModelForCausalLM.from_config(config)
    if family == "opt":
        shape = {"hidden_size": 16, "ffn_dim": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
        return AutoModelForCausalLM.from_config(OPTConfig(vocab_size=VOCABULARY, word_embed_proj_dim=16, **shape))
    model = tiny("llama" if family == "tied" else family, 0)
    if family == "tied":
        model.config.tie_word_embeddings = True
        model.tie_weights()
    return model


def rewrite(folder: Path, weights: dict[str, Tensor]) -> None:
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.fixture(scope="module", params=FAMILIES)
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Tensor]]:
    folder = tmp_path_factory.mktemp(request.param)
    model_of(request.param).save_pretrained(folder)
    return folder, load_file(folder / "model.safetensors")


def test_any_tensor_deleted_or_renamed(saved: tuple[Path, dict[str, Tensor]]) -> None:
    """Every tensor of every family, deleted, renamed at its end and at its beginning."""
    folder, weights = saved
    rewrite(folder, weights)
    model_at(folder, "auto")
    for name in weights:
        rest = {other: tensor for other, tensor in weights.items() if other != name}
        for further in ({}, {name + "_": weights[name]}, {"module." + name: weights[name]}):
            rewrite(folder, rest | further)
            with pytest.raises(ValueError, match=r"lacks \d of \d+ tensors: .*\b" + name.replace(".", r"\.") + r"\b"):
                model_at(folder, "auto")


def test_whole_files_of_the_wrong_kind(saved: tuple[Path, dict[str, Tensor]]) -> None:
    folder, weights = saved
    for other in ({"module." + name: tensor for name, tensor in weights.items()}, {}):
        rewrite(folder, other)
        with pytest.raises(ValueError, match="the checkpoint lacks"):
            model_at(folder, "auto")
    name = next(iter(weights))
    rewrite(folder, weights | {name: torch.ones(*weights[name].shape, 2)})
    with pytest.raises(ValueError, match=f"other shapes than its config: {name}"):
        model_at(folder, "auto")


def test_what_the_config_does_not_mention(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A layer too many is another model; a value head beside the language model is none of its parts."""
    tiny("llama", 0).save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    for name in ("model.layers.7.mlp.up_proj.weight", "model.layers.0.self_attn.q_proj.bias", "lm_head.bias"):
        rewrite(tmp_path, weights | {name: torch.ones(2)})
        with pytest.raises(ValueError, match=f"that its config has no place for: {name}"):
            model_at(tmp_path, "auto")
    rewrite(tmp_path, weights | {"v_head.summary.weight": torch.ones(2), "model.visual.proj.weight": torch.ones(2)})
    with caplog.at_level("WARNING"):
        model_at(tmp_path, "auto")
    assert "are left out: model.visual.proj.weight, v_head.summary.weight" in caplog.text


@pytest.fixture(scope="module")
def lacking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded pair with a norm less in every model."""
    folder = tmp_path_factory.mktemp("lacking")
    shutil.copytree(MODELS, folder, dirs_exist_ok=True)
    for kind in FOLDERS:
        weights = load_file(folder / kind / "model.safetensors")
        del weights["model.norm.weight"]
        rewrite(folder / kind, weights)
    return folder


COMMANDS: dict[str, tuple[list[str], str]] = {  # and the models that each reads
    "generate": (["hi"], "base proxy reference"),
    "solve": (["hi"], "base proxy"),
    "gaps": (["hi"], "base proxy"),
    "bench": (["--batch", "1", "--gamma", "0"], "base proxy"),
    "eval": (["--task", "embedded"], "base proxy reference aligned"),
    "sweep": (["plan.yaml"], "base proxy reference aligned"),
    "tune": (["--task", "embedded"], "base proxy reference aligned"),
}


def places(lacking: Path, role: str) -> dict[str, Path]:
    """A whole pair, but for one model."""
    bad = lacking / {"reference": "proxy-base", "aligned": "base-aligned"}.get(role, role)
    return {"base": MODELS / "base", "proxy": MODELS / "proxy"} | {role: bad}


@pytest.mark.parametrize(
    ("command", "role"), [(name, role) for name, (_, roles) in COMMANDS.items() for role in roles.split()]
)
def test_every_command_refuses(capsys, monkeypatch, tmp_path: Path, lacking: Path, command: str, role: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("plan.yaml").write_text("tasks: embedded\nruns: [{methods: p}]\n")
    given = places(lacking, role)
    options = [part for name, place in given.items() for part in (f"--{name}", str(place))]
    assert main([command, *COMMANDS[command][0], *options]) == 1
    out, err = capsys.readouterr()
    assert f"cannot load the {role} from {given[role]}: the checkpoint lacks 1 of" in err
    assert "model.norm.weight" in err
    assert not out


@pytest.mark.parametrize("role", ["base", "proxy", "reference", "aligned"])
def test_the_harness_refuses(lacking: Path, role: str) -> None:
    from kad.evaluation.harness import KadLM

    with pytest.raises(ValueError, match=f"cannot load the {role} .* lacks 1 of .*model.norm.weight"):
        KadLM(**{name: str(place) for name, place in places(lacking, role).items()})


def test_the_demo_refuses(capsys, tmp_path: Path, lacking: Path) -> None:
    assert main(["demo", "--quick", "--models", str(lacking), "--output", str(tmp_path / "d")]) == 1
    assert "lacks 1 of" in capsys.readouterr().err
    assert not (tmp_path / "d").exists()


def test_what_ships_is_what_was_released(tmp_path: Path) -> None:
    """Every file of the embedded pair has its SHA-256 sum, and one that is changed, missing or added is named."""
    assert check_sums() == len(list(MODELS.glob("*/*"))) == 24
    other = tmp_path / "models"
    shutil.copytree(MODELS, other)
    weights = other / "proxy" / "model.safetensors"
    whole = bytearray(weights.read_bytes())
    whole[-1] ^= 1  # a single bit
    weights.write_bytes(whole)
    with pytest.raises(ValueError, match=r"released: proxy/model.safetensors differs from SHA256SUMS\.$"):
        check_sums(other)
    (other / "base" / "config.json").unlink()
    (other / "base" / "more.bin").write_bytes(b"")
    with pytest.raises(ValueError, match=r"base/config\.json, base/more\.bin, proxy/model\.safetensors differ from"):
        check_sums(other)
    (other / "SHA256SUMS").unlink()
    with pytest.raises(ValueError, match="holds no SHA256SUMS"):
        check_sums(other)
