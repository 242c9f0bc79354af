"""vLLM takes part in `kad bench`: the base alone and kad inside it, as many tokens as everybody, greedily the same."""

from __future__ import annotations

import copy
import gc

import pytest
import torch

import kad
from kad.bench.contenders import Race, contenders
from kad.bench.measure import timed
from kad.bench.outside import vllm_contenders
from kad.bench.pairs import Models

from .running import ENVIRONMENT


@pytest.mark.filterwarnings("ignore:Unclosed context:ResourceWarning")  # vLLM leaves that to the collector
def test_vllm_emits_what_the_others_do(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    pair = kad.demo.load()
    base, proxy = copy.deepcopy(pair.base), copy.deepcopy(pair.proxy)
    for model in (base, proxy):
        model.generation_config.eos_token_id = model.config.eos_token_id = None
    prompts = torch.randint(3, 64, (2, 5), generator=torch.Generator().manual_seed(0))
    race = Race(Models("embedded", base, proxy), prompts, 8, False, kad.dual(0.4))
    by = {c.name: c for c in contenders([0], ["hf", "kad"])}
    with vllm_contenders(race.models, [], rows=2, length=16, compile=False) as (alone, inside):
        assert torch.equal(alone.run(race)[0], by["HF generate"].run(race)[0])
        assert torch.equal(inside.run(race)[0], by["kad"].run(race)[0])
        assert timed(race, inside).base_passes is None
    del alone, inside
    gc.collect()
