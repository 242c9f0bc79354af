"""What vLLM has no hook for, as functions put around its own. Each concerns kad's model alone, but for the last, which mends."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch

from .arguments import NAME
from .requests import REST, check_request, heat_of, name_of


def around(place: Any, name: str) -> Callable[[Callable[..., Any]], None]:
    """Put a function, which is handed the one that was there, in its place; once."""

    def put(new: Callable[..., Any]) -> None:
        before = getattr(place, name)
        if getattr(before, "kad", None) is None:
            done = functools.wraps(before)(lambda *given, **named: new(before, *given, **named))
            done.kad = before  # type: ignore[attr-defined]
            setattr(place, name, done)

    return put


def admission() -> None:
    """Refuse a request that cannot be carried out where it comes in: the server answers 400, and no worker ever sees it."""
    from vllm.exceptions import VLLMValidationError
    from vllm.sampling_params import SamplingParams
    from vllm.v1.engine.input_processor import InputProcessor

    @around(InputProcessor, "_validate_params")
    def validate(before: Callable[..., Any], self: Any, params: Any, *rest: Any, **named: Any) -> Any:
        found, kad = before(self, params, *rest, **named), getattr(self.model_config.hf_config, "kad", None)
        if kad is not None and isinstance(params, SamplingParams):
            try:
                check_request(params, kad, kad["target"]["init_args"].get("placement", "models"))
            except ValueError as error:
                raise VLLMValidationError(str(error)) from error
        return found


def first_runner() -> None:
    """Let the first model runner (CPUs, and GPUs without Triton) hand the model every token's settings."""
    from vllm.v1.worker.gpu_model_runner import GPUModelRunner

    @around(GPUModelRunner, "_model_forward")
    def forward(before: Callable[..., Any], self: Any, input_ids: Any = None, *rest: Any, **named: Any) -> Any:
        if self.model_config.architectures == [NAME]:
            model, params = self.get_model(), [self.requests[r].sampling_params for r in self.input_batch.req_ids]
            of_requests = torch.tensor(
                [[heat_of(p) for p in params], model.choose([name_of(p) for p in params])]
            ).T.reshape(-1, 2)
            starts = torch.from_numpy(self.query_start_loc.np[: len(params) + 1]).long()
            if not hasattr(self, "kad_settings"):  # it stays where it is, for CUDA graphs read it there
                self.kad_settings = torch.tensor([REST], device=self.device).repeat(self.max_num_tokens, 1)
            rows = of_requests.repeat_interleave(starts.diff(), 0)
            self.kad_settings[: len(rows)] = rows.to(self.device)
            named["settings"] = self.kad_settings[: len(input_ids)]
        return before(self, input_ids, *rest, **named)


def drafts_judged() -> None:
    """Mend two faults of vLLM's first runner where there are drafts, whatever the model.

    Its CPU kernel writes a batch's temperatures into a copy, so that another law is sampled (vLLM's issue 55005). And a step without any
    draft, such as a prefill, fails in a maximum over nothing if a request has a top-k, which ends the engine.
    """
    import vllm.v1.sample.rejection_sampler as sampler

    @around(sampler, "expand_batch_to_tokens")
    def expand(
        before: Callable[..., Any],
        x: torch.Tensor,
        ends: torch.Tensor,
        count: int,
        replace_from: int = 0,
        replace_to: int = 0,
    ) -> Any:
        if x.device.type != "cpu":
            return before(x, ends, count, replace_from, replace_to)
        lengths = torch.diff(ends.long(), prepend=torch.zeros(1, dtype=torch.long))
        replaced = torch.where(x == replace_from, torch.full_like(x, replace_to), x)
        return replaced.repeat_interleave(lengths, output_size=count)

    @around(sampler, "apply_top_k_top_p")
    def filtered(before: Callable[..., Any], logits: torch.Tensor, *rest: Any, **named: Any) -> Any:
        return before(logits, *rest, **named) if len(logits) else logits
