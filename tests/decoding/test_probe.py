"""What pack_weights may replace: layers that a model calls, not those whose weights it reads by itself."""

from __future__ import annotations

import copy
import weakref
from typing import Any

import pytest
import torch
import transformers
from torch import nn

import kad
from kad.decoding import packed
from kad.decoding.agreement import alike, short_pass
from kad.decoding.packed import PackedLinear, place

from ..models import ragged, tiny, tiny_mamba
from .reference import continuation

SHAPE = {
    "vocab_size": 32,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
HEADS = {"intermediate_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2}
# By name: the configuration, and the ends of the names of the layers that stay plain.
FAMILIES: dict[str, tuple[Any, set[str]]] = {
    "mamba": (transformers.MambaConfig(**SHAPE, state_size=4), {"dt_proj"}),
    "falcon mamba": (transformers.FalconMambaConfig(**SHAPE, state_size=4), {"dt_proj"}),
    "mamba 2": (transformers.Mamba2Config(**SHAPE, state_size=4, num_heads=8, head_dim=8, n_groups=1), set()),
    "jamba": (
        transformers.JambaConfig(
            **SHAPE, **HEADS, mamba_d_state=4, mamba_dt_rank=4, num_experts=2, attn_layer_period=2, attn_layer_offset=1
        ),
        {"dt_proj"},
    ),
    "llama": (transformers.LlamaConfig(**SHAPE, **HEADS), set()),
    "gpt2": (transformers.GPT2Config(vocab_size=32, n_embd=32, n_layer=2, n_head=4, eos_token_id=2), set()),
    "mixtral": (transformers.MixtralConfig(**SHAPE, **HEADS, num_local_experts=8, num_experts_per_tok=1), set()),
    "deepseek 3": (
        transformers.DeepseekV3Config(
            **SHAPE, **{**HEADS, "num_key_value_heads": 4}, n_routed_experts=4, num_experts_per_tok=2, n_group=1,
            topk_group=1, moe_intermediate_size=16, q_lora_rank=8, kv_lora_rank=8, qk_rope_head_dim=8, v_head_dim=8,
            qk_nope_head_dim=8, first_k_dense_replace=1,
        ),
        set(),
    ),
}  # fmt: skip


def built(family: str) -> Any:
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(FAMILIES[family][0]).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:  # so that every layer has a say in the text
                nn.init.normal_(parameter, std=0.3 if "embed" not in name else 1.0)
    return model


def plain_layers(model: nn.Module) -> set[str]:
    return {name for name, module in model.named_modules() if type(module) is nn.Linear}


@pytest.mark.parametrize("family", FAMILIES)
def test_packed_says_what_plain_says(family: str) -> None:
    """By Hugging Face's own generate, and what is left plain is what the family reads by itself."""
    plain, fast = built(family), built(family)
    kad.pack_weights(fast)
    assert {name.rpartition(".")[2] for name in plain_layers(fast)} == FAMILIES[family][1]
    assert any(isinstance(module, PackedLinear) for module in fast.modules())
    options = {"max_new_tokens": 16, "do_sample": False, "output_logits": True, "return_dict_in_generate": True}
    ids = torch.tensor([[3, 9, 4, 20, 7]])
    want, got = plain.generate(ids, **options), fast.generate(ids, **options)
    assert got.sequences.tolist() == want.sequences.tolist()
    torch.testing.assert_close(torch.stack(got.logits), torch.stack(want.logits), atol=1e-3, rtol=1e-3)


def test_mamba_through_the_decoder() -> None:
    base, proxy = tiny_mamba(1), tiny("llama", 2)
    fast = kad.pack_weights(copy.deepcopy(base))
    ids, mask = ragged(3, seed=3)
    options = {"input_ids": ids, "attention_mask": mask, "target": kad.dual(0.5), "window": 0, "max_new_tokens": 12}
    assert continuation(kad.generate(fast, proxy, **options)) == continuation(kad.generate(base, proxy, **options))


class Adapter(nn.Module):
    """As adapters do that add to the weight itself; the base layer is never called."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base = base
        self.low = nn.Parameter(torch.randn(base.out_features, 1) * 0.3)
        self.high = nn.Parameter(torch.randn(1, base.in_features) * 0.3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(x, self.base.weight + self.low @ self.high, self.base.bias)


class Called(Adapter):
    """As other adapters do: beside the base layer, of whose weight only shape and type are asked."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert self.base.weight.shape[0] == self.base.out_features
        return self.base(x.to(self.base.weight.dtype)) + x @ self.high.T @ self.low.T


class Sometimes(Adapter):
    """Reads the weight for a single token alone, and calls the layer for several (an absorbed projection)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.base.weight.T if x.shape[1] == 1 else self.base(x)


class InOne(Adapter):
    """Fused: the weights of two layers put together."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(x, torch.cat([self.base.weight, self.base.weight]))[..., : self.base.out_features]


@pytest.mark.parametrize("kind", [Adapter, Called, Sometimes, InOne])
def test_wrapped_layers(kind: type[Adapter]) -> None:
    torch.manual_seed(4)
    model = tiny("llama", 1)
    for layer in model.model.layers:
        layer.self_attn.q_proj = kind(layer.self_attn.q_proj)
    fast = kad.pack_weights(copy.deepcopy(model))
    wanted = set() if kind is Called else {f"model.layers.{i}.self_attn.q_proj.base" for i in range(2)}
    assert plain_layers(fast) == wanted
    ids = torch.tensor([[3, 9, 4, 20, 7]])
    options = {"max_new_tokens": 12, "do_sample": False}
    assert fast.generate(ids, **options).tolist() == model.generate(ids, **options).tolist()


class Experts(nn.Module):
    """One of many layers, chosen by the first number of the first token: most are never called."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.experts = nn.ModuleList(nn.ModuleDict({"up": nn.Linear(size, size)}) for _ in range(9))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.experts[int(x[0, 0, 0].abs() * 100) % 9]["up"](x)


def test_an_expert_that_no_token_reached_is_as_its_siblings() -> None:
    model = tiny("llama", 1)
    for layer in model.model.layers:
        layer.mlp = Experts(32)
    assert place(model, "model.layers.0.mlp.experts.3.up") == place(model, "model.layers.1.mlp.experts.8.up")
    assert place(model, "model.layers.0.mlp.experts.3.up") != place(model, "model.layers.0.self_attn.q_proj")
    assert plain_layers(kad.pack_weights(model)) == set()


def test_what_is_never_called_stays_and_nothing_called_is_refused() -> None:
    model = tiny("llama", 1)
    model.extra = nn.Linear(4, 4)
    assert plain_layers(kad.pack_weights(model)) == {"extra"}
    with pytest.raises(ValueError, match="calls none of its linear layers"):
        kad.pack_weights(model)


def test_layers_with_hooks_stay() -> None:
    """A packed layer would lose them (weights that come and go, tensor parallelism, a user's own)."""
    model = tiny("llama", 1)
    model.model.layers[0].mlp.up_proj.register_forward_hook(lambda module, given, result: result * 2)
    own = model.model.layers[1].mlp.up_proj
    own.forward = lambda x: nn.functional.linear(x, own.weight * 3)
    ids = torch.tensor([[3, 9, 4]])
    want = model(ids).logits.detach()
    assert plain_layers(kad.pack_weights(model)) == {f"model.layers.{i}.mlp.up_proj" for i in range(2)}
    torch.testing.assert_close(model(ids).logits.detach(), want, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("training", [True, False])
def test_modes_randomness_and_hooks_are_as_before(training: bool) -> None:
    torch.manual_seed(0)
    config = transformers.GPT2Config(vocab_size=32, n_embd=32, n_layer=2, n_head=4, resid_pdrop=0.9, embd_pdrop=0.9)
    model = transformers.AutoModelForCausalLM.from_config(config).train(training)
    model.transformer.h[0].eval()
    modes = [module.training for module in model.modules()]
    state = torch.get_rng_state()
    kad.pack_weights(model)
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("wrong", ["silent", "raises", "halfway"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_model_that_says_something_else_is_as_it_was(monkeypatch, wrong: str, dtype: torch.dtype) -> None:
    if dtype == torch.bfloat16 and not packed.packs_bfloat16():
        pytest.skip("oneDNN has no bfloat16 kernels for this processor")
    real = packed.PackedLinear

    class Broken(real):
        def __init__(self, plain: nn.Linear, tied: bool) -> None:
            if wrong == "halfway" and plain.out_features == 48:
                raise MemoryError("no room")
            super().__init__(plain, tied)

        def forward(self, input: torch.Tensor) -> torch.Tensor:
            if wrong == "raises":
                raise RuntimeError("two\nlines")
            return super().forward(input) * (self.out_features != 48)  # the MLP's

    packs_bfloat16 = packed.packs_bfloat16()
    monkeypatch.setattr(packed, "packs_bfloat16", lambda: packs_bfloat16)
    monkeypatch.setattr(packed, "PackedLinear", Broken)
    model = tiny("llama", 1, dtype)
    model.lm_head.weight = model.model.embed_tokens.weight
    model.model.norm.weight.requires_grad_(False)
    model.model.layers[0].mlp.up_proj.weight.requires_grad_(False)
    before = {name: (value.clone(), value.requires_grad) for name, value in model.named_parameters()}
    expected = {"silent": "says something else", "raises": r"cannot be run \(two\)", "halfway": "no room"}[wrong]
    with pytest.raises(MemoryError if wrong == "halfway" else ValueError, match=expected) as caught:
        kad.pack_weights(model)
    assert "\n" not in str(caught.value)
    assert not any(isinstance(module, real) for module in model.modules())
    after = dict(model.named_parameters())
    assert after.keys() == before.keys()
    for name, (value, grad) in before.items():
        assert torch.equal(after[name], value)
        assert after[name].requires_grad == grad
    assert model.lm_head.weight is model.model.embed_tokens.weight
    monkeypatch.undo()
    kad.pack_weights(model)


def test_only_one_layer_is_held_twice(monkeypatch) -> None:
    """When the packed model is tried, every plain weight has been let go."""
    model = tiny("llama", 1)
    weights = [weakref.ref(module.weight) for module in model.modules() if type(module) is nn.Linear]
    left: list[int] = []

    def count(model: Any) -> Any:
        left.append(sum(weight() is not None for weight in weights))
        return short_pass(model)

    monkeypatch.setattr(packed, "short_pass", count)
    kad.pack_weights(model)
    assert left == [len(weights), 0]


def test_a_model_that_cannot_be_run_is_refused() -> None:
    model = tiny("llama", 1)
    model.model.norm = nn.LayerNorm(7)
    with pytest.raises(ValueError, match="cannot pack LlamaForCausalLM: a pass over a few tokens fails") as caught:
        kad.pack_weights(model)
    assert "\n" not in str(caught.value)
    assert len(plain_layers(model)) == 15


def test_alike() -> None:
    one = torch.randn(1, 4, 50, generator=torch.Generator().manual_seed(0))
    holes = one.masked_fill(one > 2, -torch.inf)
    assert alike([one], [one + 1e-4], 0.01)
    assert alike([holes], [holes], 0.01)
    assert not alike([one], [one * 1.1], 0.01)
    assert not alike([one], [holes], 0.01)
    assert not alike([one], [one, one], 0.01)
    assert not alike([one], [torch.full_like(one, torch.nan)], 0.01)
