"""A base whose weights two processes share (``tp_plan="auto"``, gloo), with the proxy in both."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import kad
from kad.chances import Agreed, Greedy

from ..models import tiny
from .test_sampling import DRAWS, FALSE_ALARM, VOCABULARY, chi_square, exact_law

IDS, MASK = [[3, 4, 5, 3], [0, 0, 0, 5]], [[1, 1, 1, 1], [0, 0, 0, 1]]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict], tuple]:
    pytest.importorskip("accelerate")  # Hugging Face loads with a tp_plan through it
    folder = tmp_path_factory.mktemp("parallel")
    pair = tiny("llama", 1, vocabulary=VOCABULARY), tiny("qwen3", 2, vocabulary=VOCABULARY)
    for model, name in zip(pair, ("base", "proxy"), strict=True):
        model.save_pretrained(folder / name)
    (folder / "prompts.json").write_text(json.dumps({"ids": IDS, "mask": MASK, "draws": DRAWS}))
    worker, root = Path(__file__).with_name("parallel_worker.py"), Path(kad.__file__).parents[1]
    path = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    run = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", worker, folder],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-3000:]
    return [json.loads((folder / f"rank{rank}.json").read_text()) for rank in range(2)], pair


def test_the_ranks_never_part_ways(results) -> None:
    """They were given different seeds: the first one's draws are everybody's."""
    ranks, _ = results
    assert ranks[0] == ranks[1]


@pytest.mark.parametrize("window", [0, 3, "auto"])
def test_greedy_tokens_and_counts_are_those_of_one_process(results, window) -> None:
    (first, _), (base, proxy) = results
    out = kad.generate(
        base, proxy, input_ids=torch.tensor(IDS), attention_mask=torch.tensor(MASK), target=kad.dual(0.3),
        window=0 if window == "auto" else window, max_new_tokens=14,
    )  # fmt: skip
    rows = [row[:n].tolist() for row, n in zip(out.trace.ids, out.trace.lengths, strict=True)]
    assert first[f"{window} False"]["rows"] == rows
    if window != "auto":
        assert first[f"{window} False"]["fed"] == out.trace.base_fed.tolist()


@pytest.mark.parametrize("window", [0, 3, "auto"])
@pytest.mark.parametrize("row", [0, 1])
def test_sampled_sequences_follow_the_law(results, window, row: int) -> None:
    (first, _), (base, proxy) = results
    drawn = [tuple(r) for r in first[f"{window} True"]["rows"][row * DRAWS : (row + 1) * DRAWS]]
    prompt = [i for i, m in zip(IDS[row], MASK[row], strict=True) if m]
    assert chi_square(drawn, exact_law(base, proxy, kad.dual(0.3), prompt, 0.8)) > FALSE_ALARM


def test_agreement_is_a_broadcast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this process drew, it goes on with the first one's."""

    def broadcast(tensor: torch.Tensor, src: int) -> None:
        assert src == 0
        tensor.fill_(1)

    monkeypatch.setattr(torch.distributed, "broadcast", broadcast)
    chance = Agreed(Greedy())
    assert chance.pick(torch.tensor([[0.9, 0.1], [0.2, 0.8]])).tolist() == [1, 1]
    assert chance.coin(torch.tensor([0.0, 1.0])).tolist() == [True, True]
    assert chance.leading(torch.tensor([[0.0, 0.0]])).tolist() == [1]
