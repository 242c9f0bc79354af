"""Who answers for `kad eval`: what cannot be is refused in a sentence, before a model is loaded or a folder made."""

from __future__ import annotations

from pathlib import Path

import pytest

from kad.cli.main import main


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--vllm-option", "seed=3"], "--vllm-option needs --engine vllm"),
        (["--engine", "vllm", "--vllm-option", "seed"], "--vllm-option takes NAME=VALUE"),
        (["--engine", "vllm", "--compile"], "--compile, --pack and --device are for kad's own engine"),
        (["--engine", "vllm", "--pack"], "--compile, --pack and --device are for kad's own engine"),
        (["--engine", "vllm", "--device", "cpu"], "--compile, --pack and --device are for kad's own engine"),
        (["--engine", "vllm", "--window", "0", "--window", "3"], "one window as long as it runs, got 0, 3: run once for each"),
        (["--engine", "vllm", "--base", "b", "--proxy", "q", "--aligned", "p", "--task", "gsm8k"], "leave --aligned out"),
        (["--engine", "vllm", "--base", "/nowhere", "--proxy", "/nowhere", "--task", "gsm8k"], "there is no folder /nowhere"),
        (["--engine", "torch"], "--engine"),
        (["--workers", "0"], "--workers must be ≥ 1, got 0"),
        (["--ray", "auto"], "--ray says where workers run; say how many with --workers"),
    ],
)  # fmt: skip
def test_what_cannot_answer(
    words: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("kad.cli.crew.need_vllm", lambda what: None)
    folder = tmp_path / "results"
    assert main(["eval", *words, "--n", "2", "--no-report", "--output", str(folder)]) != 0
    assert sentence in capsys.readouterr().err
    assert not folder.exists()


def test_workers_are_for_kads_own_engine(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("kad.cli.crew.need", lambda *what: None)
    assert main(["eval", "--engine", "vllm", "--workers", "2", "--no-report"]) == 2
    assert "vLLM spreads a pair itself" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "library"),
    [(["--engine", "vllm"], "'kad-align[vllm]'"), (["--workers", "2"], "pip install 'kad-align[ray]'")],
)
def test_what_is_missing_is_said(
    words: list[str], library: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("kad.engines.vllm.launch.find_spec", lambda name: None)
    monkeypatch.setattr("kad.extras.find_spec", lambda name: None)
    assert main(["eval", "--no-report", "--n", "2", *words]) == 1
    assert library in capsys.readouterr().err
