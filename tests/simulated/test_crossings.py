"""What must not cross the bus: whole vocabularies of numbers, and constants twice."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import kad
from kad.engines.full_pass import full_pass

from .device import Simulated
from .guard import missing
from .rounds import near, peaked, prompts

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))
VOCABULARY = 5_000


class Spelling:
    """As much of a tokenizer as a full pass asks."""

    def get_vocab(self) -> dict[str, int]:
        return {str(token): token for token in range(VOCABULARY)}


@pytest.fixture(scope="module")
def pair() -> tuple[Simulated, Any, Any]:
    gpu, base = Simulated(), peaked(VOCABULARY)
    proxy = near(base, 0.3)
    return gpu, gpu.adopt(base), gpu.adopt(proxy)


def test_a_text_that_is_read_again_is_decided_where_the_models_are(pair: tuple[Simulated, Any, Any]) -> None:
    gpu, base, proxy = pair
    ids = torch.randint(1, VOCABULARY, (1, 40), generator=torch.Generator().manual_seed(0))
    with gpu:
        gpu.ledger.clear()
        _, _, pi = full_pass({"base": base, "proxy": proxy}, kad.dual(0.2), ids, Spelling())
        assert pi.device.type == "cuda"
        assert gpu.ledger.down <= 64, gpu.ledger.waits


def test_a_map_of_vocabularies_goes_up_once(pair: tuple[Simulated, Any, Any]) -> None:
    gpu = pair[0]
    found = kad.VocabularyMap(torch.arange(VOCABULARY).flip(0), 7, [3, 4], {}, [7], 1.0)
    with gpu:
        logits = torch.zeros(2, VOCABULARY, device="cuda")
        found.to_base(logits)
        gpu.ledger.clear()
        mapped = found.to_base(logits)
        assert gpu.ledger.up == 0
        assert mapped.tolist() == found.to_base(logits.cpu()).tolist()


def test_the_compilers_own_options(pair: tuple[Simulated, Any, Any]) -> None:
    """On a GPU kad chooses a mode, unless there are options, beside which torch takes none."""
    gpu, base, proxy = pair
    ids, mask = prompts(1, VOCABULARY)
    with gpu:
        kad.generate(
            base, proxy, input_ids=ids, attention_mask=mask, target=kad.dual(0.2), window=2, max_new_tokens=4,
            compile={"options": {"triton.cudagraphs": False}},
        )  # fmt: skip
