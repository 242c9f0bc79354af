"""What vLLM's second model runner, the one that GPUs use, keeps of requests for kad's model. Imported by vLLM alone."""

from __future__ import annotations

from typing import Any

import torch
from vllm.v1.worker.gpu.model_states.default import DefaultModelState

from .requests import REST, heat_of, name_of


class KadState(DefaultModelState):
    """Every request's settings by its slot, and from them those of every token of a step.

    The layout of a step is read on the device: where drafts are verified adaptively the host knows only a bound of it. ``rows`` stays
    where it is, for CUDA graphs read it there.
    """

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.names: list[str | None] = [None] * self.max_num_reqs
        self.slots = torch.tensor([REST]).repeat(self.max_num_reqs, 1)
        self.table = self.slots.to(self.device)
        self.rows = torch.tensor([REST], device=self.device).repeat(self.max_num_tokens, 1)
        self.count = torch.arange(self.max_num_tokens, device=self.device)
        self.stale = False

    def add_request(self, req_index: int, new_req_data: Any) -> None:
        super().add_request(req_index, new_req_data)
        params = new_req_data.sampling_params
        self.names[req_index], self.slots[req_index, 0], self.stale = name_of(params), heat_of(params), True

    def prepare_inputs(self, input_batch: Any, req_states: Any) -> dict[str, Any]:
        made = super().prepare_inputs(input_batch, req_states)
        tokens, requests = input_batch.num_tokens_after_padding, input_batch.num_reqs
        self.settle(input_batch.idx_mapping_np[:requests].tolist())
        ends = input_batch.query_start_loc[1 : requests + 1]
        of = torch.searchsorted(ends, self.count[:tokens].to(ends.dtype), right=True).clamp_max(requests - 1)
        self.rows[:tokens] = self.table[input_batch.idx_mapping[:requests].long()[of]]
        return {**made, "settings": self.rows[:tokens]}

    def settle(self, slots: list[int]) -> None:
        """Number the targets of these slots, and hand the table to the device where it has changed."""
        numbers = torch.tensor(self.model.choose([self.names[slot] for slot in slots]), dtype=torch.float32)
        if not torch.equal(self.slots[slots, 1], numbers):
            self.slots[slots, 1], self.stale = numbers, True
        if self.stale:
            self.table.copy_(self.slots)
            self.stale = False

    def prepare_dummy_inputs(self, num_reqs: int, num_tokens: int) -> dict[str, Any]:
        return {**super().prepare_dummy_inputs(num_reqs, num_tokens), "settings": self.rows[:num_tokens]}
