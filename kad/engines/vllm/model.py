"""The model that vLLM runs: base, proxy and, where there is one, reference, side by side over one paged cache."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ...decisions import Reading, decide, pi_of
from ...loading import config_at
from ...target import Target
from ...vocabulary import shared_vocabulary
from ..spelling import unspelled
from .arguments import HELD, STAGES
from .requests import REST, shipped


class KadForCausalLM(nn.Module):
    """Logits are T log π, which vLLM's division by a request's T makes log π; under "mixture" that division is the placement itself.

    With every token's hidden states go its request's settings, the temperature and which target is asked for: the bits of two
    float32 numbers in columns of the models' dtype, with which nothing computes. So they are with their rows whatever vLLM picks
    of them, in prefill, chunks, drafts and bonus tokens.

    Attributes:
        target: what is sampled where a request names no other.
        live: the targets of the current step, by the number in the settings.
    """

    def __init__(self, *, vllm_config: Any, prefix: str = "") -> None:
        super().__init__()
        from vllm.model_executor.model_loader.default_loader import DefaultModelLoader
        from vllm.model_executor.models.utils import maybe_prefix

        if vllm_config.parallel_config.pipeline_parallel_size > 1:
            raise ValueError(STAGES)
        outer = vllm_config.model_config.hf_config
        self.places: dict[str, str] = {role: outer.kad[role] for role in HELD if role in outer.kad}
        self.use(outer.kad["target"])
        configs = {role: config_at(place) for role, place in self.places.items()}
        self.models = nn.ModuleDict(
            {
                role: one_of(vllm_config, config, maybe_prefix(prefix, f"models.{role}"))
                for role, config in configs.items()
            }
        )
        self.widths = [config.hidden_size for config in configs.values()]
        sizes = {role: config.vocab_size for role, config in configs.items()}
        self.size, bound = shared_vocabulary(sizes, outer.kad["tokens"], outer.kad["stops"])
        self.usable, self.outputs = self.size if bound is None else min(bound, self.size), outer.vocab_size
        others = [role for role in self.places if role != "base"]
        self.secondary_weights = tuple(DefaultModelLoader.Source(self.places[r], None, prefix=f"{r}/") for r in others)

    def use(self, plain: Any) -> None:
        """Sample another target, as `kad.engines.spelling` writes it, from the next step on."""
        self.target: Target = unspelled(plain, self.places.get("reference"))
        self.live: list[Target] = [self.target]

    def choose(self, names: Sequence[str | None]) -> list[int]:
        """Take the targets that the requests of a step name, None for the engine's own; a number for every request."""
        numbers = dict[str | None, int]()
        found = [numbers.setdefault(name, len(numbers)) for name in names]
        reference = self.places.get("reference")
        self.live = [self.target if n is None else shipped(n, self.target.placement, reference) for n in numbers] or [
            self.target
        ]
        return found

    def embed_input_ids(self, input_ids: Tensor) -> Any:
        return self.models["base"].embed_input_ids(input_ids)  # type: ignore[operator]

    def forward(
        self, input_ids: Tensor, positions: Tensor, intermediate_tensors: Any = None, inputs_embeds: Any = None,
        settings: Tensor | None = None, **rest: Any,
    ) -> Tensor:  # fmt: skip
        """Every token's hidden states of all models, ``(n, widths + 2 float32)``, with ``settings (n, 2)``."""
        states = [model(input_ids, positions) for model in self.models.values()]
        if settings is None:  # a warm-up
            settings = torch.tensor([REST], device=input_ids.device).expand(len(states[0]), 2)
            self.live = [self.target]
        return torch.cat([*states, settings.contiguous().view(states[0].dtype)], dim=-1)

    def compute_logits(self, hidden: Tensor) -> Tensor | None:
        """T log π of every row, ``(n, V)``; None on a rank of tensor parallelism that does not sample."""
        *states, settings = hidden.split([*self.widths, hidden.shape[-1] - sum(self.widths)], dim=-1)  # type: ignore[no-untyped-call]
        heat, number = settings.contiguous().view(torch.float32).split(1, dim=-1)
        logits = [model.compute_logits(h.contiguous()) for model, h in zip(self.models.values(), states, strict=True)]  # type: ignore[operator]
        if any(found is None for found in logits):
            return None
        readings = [self.reading(found, heat) for found in logits]
        out = self.scores(self.live[0], readings, heat)
        for other, target in enumerate(self.live[1:], 1):
            out = torch.where(number == other, self.scores(target, readings, heat), out)
        return out

    def reading(self, logits: Tensor, heat: Tensor) -> Reading:
        """One model's distributions, at its rows' temperatures ``heat (n, 1)`` where a live target reads them so.

        ``logits`` is overwritten: memory of the vocabulary's size is what costs here.
        """
        logits = logits[:, : self.size].float()
        logits[:, self.usable :] = -torch.inf
        placed = {target.placement for target in self.live}
        plain = torch.softmax(logits, dim=-1) if placed != {"models"} else None
        tempered = torch.softmax(logits.div_(heat), dim=-1) if placed != {"mixture"} else None
        one = tempered if plain is None else plain
        assert one is not None
        return Reading(one, one if tempered is None else tempered)

    def scores(self, target: Target, readings: list[Reading], heat: Tensor) -> Tensor:
        base, proxy, *reference = readings
        third = reference[0] if reference and target.reference is not None else None
        pi = pi_of(target, base, proxy, third, 1.0, decide(target, base, proxy))
        # A grammar or a list of allowed tokens may leave only tokens of mass 0; vLLM then needs something to choose among.
        found = pi[:, : self.usable].clamp_min(torch.finfo(pi.dtype).tiny).log_()
        if target.placement != "mixture":
            found.mul_(heat)
        lacking = self.outputs - self.usable
        return nn.functional.pad(found, (0, lacking), value=-torch.inf) if lacking else found

    def load_weights(self, weights: Iterable[tuple[str, Tensor]]) -> set[str]:
        from vllm.model_executor.models.utils import AutoWeightsLoader

        def placed() -> Iterator[tuple[str, Tensor]]:
            for name, weight in weights:
                role, slash, rest = name.partition("/")
                yield (f"models.{role}.{rest}" if slash and role in self.places else f"models.base.{name}"), weight

        return AutoWeightsLoader(self).load_weights(placed())  # type: ignore[no-any-return]

    @staticmethod
    def get_model_state_cls() -> type:
        """What vLLM's second model runner keeps of requests for this model."""
        from .state import KadState

        return KadState


def one_of(vllm_config: Any, config: Any, prefix: str) -> nn.Module:
    """One of the models inside, by its own configuration.

    ``with_hf_config`` keeps the outer model's text configuration, from which the models that vLLM runs through transformers (OLMo 2,
    SmolLM 3, GPT-NeoX, ...) take their numbers of heads.
    """
    from vllm.model_executor.model_loader.utils import initialize_model

    inner = vllm_config.with_hf_config(config, architectures=config.architectures)
    inner.model_config.hf_text_config = inner.model_config.hf_config.get_text_config()
    inner.model_config.model_arch_config = inner.model_config.get_model_arch_config()
    return initialize_model(vllm_config=inner, prefix=prefix)  # type: ignore[no-any-return]
