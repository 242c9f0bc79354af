"""Models in wrappers: the text and π are those of the plain model, and of full passes through the wrapper itself."""

from __future__ import annotations

import copy
import functools
import warnings
from types import SimpleNamespace
from typing import Any

import accelerate
import peft
import pytest
import torch
from accelerate.hooks import ModelHook, add_hook_to_module
from torch import nn
from transformers import GenerationConfig, GPT2Config, GPT2LMHeadModel

import kad
from kad.decoding.packed import PackedLinear
from kad.decoding.wrappers import IN_LAYERS
from kad.engines.full_pass import full_pass
from kad.vocabulary import output_size

from ..models import ragged, tiny, tiny_mamba
from .reference import continuation

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated")  # asked by peft
LORA = functools.partial(peft.LoraConfig, r=2, task_type="CAUSAL_LM", target_modules=["q_proj", "down_proj"])
IDS = torch.tensor([[3, 9, 4, 20, 7, 11]])


def trained(model: Any, seed: int = 7) -> Any:
    """With adapters that do something."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        if parameter.requires_grad and parameter.is_floating_point():
            parameter.data += torch.randn(parameter.shape, generator=generator).to(parameter.dtype) * 0.3
    return model.eval()


def adapted(model: Any, config: Any) -> Any:
    return trained(peft.get_peft_model(model, config))


def natively(model: Any) -> Any:
    """By Hugging Face's own integration, which puts nothing around the model."""
    model.requires_grad_(False).add_adapter(LORA(), "one")
    return trained(model)


def in_place(model: Any) -> Any:
    model.compile()
    return model


def compiled_forward(model: Any) -> Any:
    model.forward = torch.compile(model.forward, fullgraph=True)
    return model


def hooked(model: Any) -> Any:
    class Twice(ModelHook):
        def post_forward(self, module: nn.Module, output: Any) -> Any:
            return output * 2

    add_hook_to_module(model.lm_head, Twice())
    return add_hook_to_module(model, ModelHook())


def replaced(model: Any) -> Any:
    """As people patch a model, without functools.wraps."""
    forward = model.forward
    model.forward = lambda *args, **kwargs: forward(*args, **kwargs)
    return model


WRAPS: dict[str, Any] = {
    "lora": lambda model: adapted(model, LORA()),
    "dora": lambda model: adapted(model, LORA(use_dora=True)),
    "lora of head and table": lambda model: adapted(model, LORA(target_modules=["lm_head", "embed_tokens", "v_proj"])),
    "saved head and table": lambda model: adapted(model, LORA(modules_to_save=["lm_head", "embed_tokens"])),
    "trained tokens": lambda model: adapted(model, LORA(trainable_token_indices={"embed_tokens": [4, 9]})),
    "two adapters": lambda model: two_adapters(model),
    "hugging face's adapter": natively,
    "compiled": torch.compile,
    "compiled lora": lambda model: torch.compile(adapted(model, LORA())),
    "lora of compiled": lambda model: adapted(torch.compile(model), LORA()),
    "compiled in place": in_place,
    "compiled forward": compiled_forward,
    "replaced forward": replaced,
    "hooks": hooked,
    "offloaded": lambda model: accelerate.cpu_offload(model, torch.device("cpu")),
}


def two_adapters(model: Any) -> Any:
    both = peft.get_peft_model(model, LORA(), adapter_name="one")
    both.add_adapter("two", LORA(target_modules=["up_proj", "q_proj"]))
    both.base_model.set_adapter(["one", "two"])
    return trained(both)


def plain(wrapped: Any) -> Any:
    """The same model without its wrappers, by their own means."""
    inner = getattr(wrapped, "_orig_mod", wrapped)
    if isinstance(inner, peft.PeftModel):
        inner = copy.deepcopy(inner).merge_and_unload()
        return getattr(inner, "_orig_mod", inner)
    return inner


def short(seed: int, dtype: torch.dtype = torch.float32) -> Any:
    """A model of one layer."""
    model = tiny("llama", seed, dtype)
    model.config.num_hidden_layers, model.model.layers = 1, model.model.layers[:1]
    return model


@functools.cache
def models(wrap: str, dtype: torch.dtype) -> tuple[Any, Any, Any, Any, Any]:
    """The wrapped model, the plain one, and three more for the other roles. Nobody changes them."""
    wrapped = WRAPS[wrap](short(1, dtype))
    same = plain(wrapped)
    if same in (wrapped, wrapped._modules.get("_orig_mod")):
        same = short(1, dtype) if wrap not in ("hooks", "hugging face's adapter") else None
    return wrapped, same, short(2, dtype), short(3, dtype), short(4, dtype)


def roles(role: str, one: Any, others: tuple[Any, ...]) -> tuple[Any, Any, Any]:
    base, proxy, _ = others
    if role == "reference":
        return base, proxy, kad.implicit_reward(one)
    return (one, proxy, kad.dual(0.5)) if role == "base" else (base, one, kad.dual(0.5))


def log_pi(base: Any, proxy: Any, target: Any, row: torch.Tensor) -> torch.Tensor:
    """By a full pass through every model as it was given."""
    with torch.no_grad(), torch.compiler.set_stance("force_eager"):
        used = [model for model in (base, proxy, target.reference) if model is not None]
        return target(*(model(input_ids=row.unsqueeze(0)).logits[0].softmax(-1) for model in used)).log()


@pytest.mark.parametrize("role", ["base", "proxy", "reference"])
@pytest.mark.parametrize("wrap", WRAPS)
def test_text_and_law(wrap: str, role: str) -> None:
    wrapped, same, *others = models(wrap, torch.float64)
    base, proxy, target = roles(role, wrapped, tuple(others))
    ids, mask = ragged(3, seed=5)
    options = {"max_new_tokens": 4, "output_scores": True}
    found = [
        kad.generate(
            base, proxy, target=target, window=window, input_ids=ids[:rows], attention_mask=mask[:rows], **options
        )
        for window in (0, 1, 3, 7)
        for rows in (3, 1)
    ]
    texts = continuation(found[0])
    assert all(continuation(out) == texts[: len(out.sequences)] for out in found)
    if same is not None:
        other = roles(role, same, tuple(others))
        out = kad.generate(*other[:2], target=other[2], input_ids=ids, attention_mask=mask, **options)
        assert continuation(out) == texts
    for row, text in enumerate(texts):
        prompt = ids[row][mask[row].bool()]
        want = log_pi(base, proxy, target, torch.cat([prompt, torch.tensor(text)]))[len(prompt) - 1 : -1]
        for out in found:
            if row < len(out.sequences):
                got = torch.stack(out.scores)[: len(text), row]
                torch.testing.assert_close(got, want, atol=1e-8, rtol=1e-8)


@pytest.mark.parametrize("wrap", ["lora", "compiled lora", "saved head and table"])
def test_float32(wrap: str) -> None:
    wrapped, same, base, *_ = models(wrap, torch.float32)
    ids, mask = ragged(3, seed=5)
    options = {"input_ids": ids, "attention_mask": mask, "max_new_tokens": 10, "target": kad.dual(0.5)}
    for window in (0, 3):
        want = continuation(kad.generate(base, same, window=window, **options))
        assert continuation(kad.generate(base, wrapped, window=window, **options)) == want


def options_of(kind: str) -> dict[str, Any]:
    """What a kind of adapter needs for a tiny model."""
    own: dict[str, dict[str, Any]] = {
        "ADALORA": {"total_step": 10}, "BOFT": {"boft_block_size": 4}, "C3A": {"block_size": 8}, "FOURIERFT": {"n_frequency": 20},
        "IA3": {"feedforward_modules": ["down_proj"]}, "MISS": {"r": 4}, "LN_TUNING": {"target_modules": ["norm"]}, "OFT": {"oft_block_size": 4},
        "ROAD": {"group_size": 8}, "SHIRA": {"r": 1}, "VBLORA": {"vector_length": 4, "num_vectors": 8},
        "TRAINABLE_TOKENS": {"target_modules": ["embed_tokens"], "token_indices": [3, 9]}, "WAVEFT": {"n_frequency": 20},
    }  # fmt: skip
    return {"task_type": "CAUSAL_LM", "target_modules": ["q_proj", "down_proj"]} | own.get(kind, {})


@pytest.mark.filterwarnings("ignore")  # many kinds say something about their defaults
@pytest.mark.parametrize("kind", sorted(IN_LAYERS))
def test_kinds_of_adapters_that_lie_in_layers(kind: str) -> None:
    plain = short(2)
    wrapped = adapted(copy.deepcopy(plain), peft.PEFT_TYPE_TO_CONFIG_MAPPING[kind](**options_of(kind)))
    out = kad.generate(
        short(1), wrapped, input_ids=IDS, target=kad.Proxy(), window=2, max_new_tokens=4, output_scores=True
    )
    with torch.no_grad():
        want, without = (model(input_ids=out.sequences).logits[0, 5:-1].log_softmax(-1) for model in (wrapped, plain))
    torch.testing.assert_close(torch.cat(out.scores), want, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(want, without, atol=1e-2)


VIRTUAL = {"task_type": "CAUSAL_LM", "num_virtual_tokens": 2}
REFUSED: dict[str, tuple[Any, str]] = {
    "prompt tuning": (lambda: peft.PromptTuningConfig(**VIRTUAL), "virtual tokens"),
    "p-tuning": (lambda: peft.PromptEncoderConfig(**VIRTUAL), "virtual tokens"),
    "prefix tuning": (lambda: peft.PrefixTuningConfig(**VIRTUAL), "virtual tokens"),
    "several tasks": (lambda: peft.MultitaskPromptTuningConfig(**VIRTUAL), "virtual tokens"),
    "cpt": (
        lambda: peft.CPTConfig(task_type="CAUSAL_LM", cpt_token_ids=[3, 4], cpt_mask=[1, 1], cpt_tokens_type_mask=[1, 1]),
        "virtual tokens",
    ),
    "adaption prompt": (
        lambda: peft.AdaptionPromptConfig(task_type="CAUSAL_LM", adapter_len=2, adapter_layers=1),
        "acts on every token",
    ),
    "poly": (
        lambda: peft.PolyConfig(task_type="CAUSAL_LM", r=2, target_modules=["q_proj"], n_tasks=2, n_skills=2, n_splits=1),
        "acts on every token",
    ),
    "lily": (
        lambda: peft.LilyConfig(task_type="CAUSAL_LM", r=2, target_modules=["q_proj"], stride_A=1, num_B=2),
        "acts on every token",
    ),
    "alora": (lambda: LORA(alora_invocation_tokens=[5, 6]), "invocation tokens"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_other_adapters_are_refused_unless_disabled(kind: str) -> None:
    config, reason = REFUSED[kind]
    base, proxy = tiny("llama", 1), tiny("llama", 2)
    wrapped = adapted(copy.deepcopy(proxy), config())
    given = {"input_ids": IDS, "max_new_tokens": 4}
    inside = {"custom_generate": kad.decoder(base, kad.dual(0.5)), "do_sample": False}
    for call in (
        lambda: kad.generate(base, wrapped, target=kad.dual(0.5), **given),
        lambda: kad.generate(wrapped, base, target=kad.dual(0.5), **given),
        lambda: kad.generate(base, proxy, target=kad.implicit_reward(wrapped), **given),
        lambda: kad.decoder(wrapped, kad.dual(0.5)),
        lambda: wrapped.generate(**given, **inside),  # PEFT calls the model inside it
    ):
        with pytest.raises(ValueError, match=reason) as caught:
            call()
        assert "\n" not in str(caught.value)
    with wrapped.disable_adapter():
        found = kad.generate(base, wrapped, target=kad.dual(0.5), **given).sequences
        assert torch.equal(found, kad.generate(base, proxy, target=kad.dual(0.5), **given).sequences)
        assert torch.equal(wrapped.generate(**given, **inside), proxy.generate(**given, **inside))


def test_gates_over_adapters_are_refused(tmp_path) -> None:
    adapted(tiny("llama", 2), LORA()).save_pretrained(tmp_path)
    model, adapters = tiny("llama", 2), {"a": str(tmp_path), "b": str(tmp_path)}
    model.config.use_cache = False
    wrapped = peft.get_peft_model(
        model, peft.XLoraConfig(task_type="CAUSAL_LM", hidden_size=32, xlora_depth=1, adapters=adapters)
    ).eval()
    with pytest.raises(ValueError, match="XLORA"):
        kad.generate(tiny("llama", 1), wrapped, input_ids=IDS, target=kad.dual(0.5))
    with pytest.raises(ValueError, match="XLORA"):
        wrapped.generate(IDS, custom_generate=kad.decoder(tiny("llama", 1), kad.dual(0.5)), max_new_tokens=4)


def test_adapters_are_as_they_are_when_called() -> None:
    """Another one, none, merged: asked at every call, also of a decoder that was made before."""
    base, proxy = tiny("llama", 1), tiny("llama", 2)
    wrapped = peft.get_peft_model(copy.deepcopy(proxy), LORA(), adapter_name="one")
    wrapped.add_adapter("two", LORA(target_modules=["up_proj"]))
    for name in ("one", "two"):
        wrapped.set_adapter(name)
        trained(wrapped)
    decode = kad.decoder(wrapped, kad.dual(0.5))

    def text(model: Any = None) -> list[int]:
        chosen = decode if model is None else kad.decoder(model, kad.dual(0.5))
        return base.generate(IDS, custom_generate=chosen, max_new_tokens=12, do_sample=False)[0].tolist()

    def merged(adapter: str) -> Any:
        return copy.deepcopy(wrapped).merge_and_unload(adapter_names=[adapter])

    wants = {name: text(merged(name)) for name in ("one", "two")} | {"none": text(proxy)}
    assert len({tuple(want) for want in wants.values()}) == 3
    assert text() == wants["two"]
    wrapped.set_adapter("one")
    assert text() == wants["one"]
    with wrapped.disable_adapter():
        assert text() == wants["none"]
    wrapped.merge_adapter()
    assert text() == wants["one"]


def test_an_adapter_for_every_row_is_refused() -> None:
    wrapped = peft.get_peft_model(tiny("llama", 1), LORA(), adapter_name="one").eval()
    wrapped.add_adapter("two", LORA())
    decode = kad.decoder(tiny("llama", 2), kad.dual(0.5))
    with pytest.raises(ValueError, match="an adapter for every row"):
        wrapped.generate(IDS.repeat(2, 1), custom_generate=decode, max_new_tokens=4, adapter_names=["one", "two"])


@pytest.mark.parametrize("wrap", ["lora", "compiled", "compiled lora", "two adapters"])
def test_inside_hugging_faces_generate(wrap: str) -> None:
    wrapped, same, proxy, *_ = models(wrap, torch.float64)
    options = {"custom_generate": kad.decoder(proxy, kad.dual(0.5)), "max_new_tokens": 8, "do_sample": False}
    assert torch.equal(wrapped.generate(IDS, **options), same.generate(IDS, **options))


def test_settings_of_the_wrapper_count() -> None:
    wrapped = adapted(tiny("llama", 2), LORA())
    wrapped.generation_config = GenerationConfig(eos_token_id=[9], pad_token_id=0)
    out = kad.generate(tiny("llama", 1), wrapped, input_ids=IDS, target=kad.dual(0.5), max_new_tokens=4)
    assert out.trace.settings["stop_tokens"] == [2, 9]


def test_mixed_kinds_and_a_bare_tuner() -> None:
    base = tiny("llama", 1)
    mixed = peft.PeftMixedModel(tiny("llama", 2), LORA(), adapter_name="one")
    mixed.add_adapter("two", peft.LoHaConfig(r=2, target_modules=["q_proj"]))
    mixed.set_adapter(["one", "two"])
    for wrapped in (mixed, peft.LoraModel(tiny("llama", 2), LORA(), "default")):
        merged = copy.deepcopy(trained(wrapped)).merge_and_unload()
        options = {"input_ids": IDS, "target": kad.dual(0.5), "max_new_tokens": 8}
        want = continuation(kad.generate(base, merged, **options))
        assert continuation(kad.generate(base, wrapped, **options)) == want


def test_recurrent_models_with_an_adapter() -> None:
    wrapped = adapted(tiny_mamba(1), LORA(target_modules=["in_proj"]))
    merged = copy.deepcopy(wrapped).merge_and_unload()
    ids, mask = ragged(3, seed=5)
    options = {"input_ids": ids, "attention_mask": mask, "target": kad.dual(0.5), "window": 0, "max_new_tokens": 8}
    want = continuation(kad.generate(tiny("llama", 1), merged, **options))
    assert continuation(kad.generate(tiny("llama", 1), wrapped, **options)) == want
    with pytest.raises(ValueError, match="has a recurrent state"):
        kad.generate(tiny("llama", 1), wrapped, **{**options, "window": 3})


def test_compiled_lane_with_adapters() -> None:
    """Graphs are kept between calls, and know whether the adapters act."""
    base, proxy = short(1), short(2)
    wrapped = torch.compile(adapted(copy.deepcopy(proxy), LORA()))
    merged = copy.deepcopy(wrapped._orig_mod).merge_and_unload()
    options = {"input_ids": IDS[:, :1], "target": kad.Proxy(), "window": 0, "max_new_tokens": 4}
    fast = {"compile": {"backend": "eager"}, **options}
    want = [continuation(kad.generate(base, model, **options)) for model in (merged, proxy)]
    assert want[0] != want[1]
    assert continuation(kad.generate(base, wrapped, **fast)) == want[0]
    with wrapped.disable_adapter():
        assert continuation(kad.generate(base, wrapped, **fast)) == want[1]
    assert continuation(kad.generate(base, wrapped, **fast)) == want[0]


def test_packed_weights_under_adapters() -> None:
    for wrap in ("lora", "compiled lora"):
        wrapped, same, base, *_ = models(wrap, torch.float32)
        options = {"input_ids": IDS, "target": kad.dual(0.5), "max_new_tokens": 8}
        packed = kad.pack_weights(copy.deepcopy(wrapped))
        assert any(isinstance(module, PackedLinear) for module in packed.modules())
        want = continuation(kad.generate(base, same, **options))
        assert continuation(kad.generate(base, packed, **options)) == want


class Mine(nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.lm, self.config = model, model.config

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.lm(*args, **kwargs)


@pytest.mark.parametrize("hide", [nn.DataParallel, nn.Sequential, Mine, "traced"])
def test_wrappers_that_hide_the_model_are_named(hide: Any) -> None:
    base, proxy = tiny("llama", 1), tiny("llama", 2)
    if hide == "traced":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wrapped, reason = torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)), "made from"
    else:
        child = {nn.DataParallel: "module", nn.Sequential: "0", Mine: "lm"}[hide]
        wrapped, reason = hide(proxy), f"a {hide.__name__}, which hides .* its .{child}"
    for role in ("base", "proxy", "reference"):
        first, second, target = roles(role, wrapped, (base, proxy, None))
        with pytest.raises(ValueError, match=f"the {role} is .*{reason}") as caught:
            kad.generate(first, second, input_ids=IDS, target=target)
        assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def quantised() -> list[Any]:
    """The linear layers, and the table of embeddings too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        q = torch.ao.quantization
        both = {nn.Linear: q.default_dynamic_qconfig, nn.Embedding: q.float_qparams_weight_only_qconfig}
        return [q.quantize_dynamic(tiny("llama", 2), layers) for layers in ({nn.Linear}, both)]


@pytest.mark.filterwarnings("ignore:The given NumPy array")
@pytest.mark.filterwarnings("ignore:TypedStorage")
def test_quantised_models(quantised: list[Any]) -> None:
    """One scale serves all activations of a pass, so only passes over the same tokens round alike: one row, window 0."""
    other = tiny("llama", 1)
    for model in quantised:
        assert output_size(model) == 32
        out = kad.generate(model, other, input_ids=IDS, target=kad.Base(), window=0, max_new_tokens=8)
        assert torch.equal(out.sequences, model.generate(IDS, max_new_tokens=8, do_sample=False))
        out = kad.generate(other, model, input_ids=IDS, target=kad.Proxy(), window=0, max_new_tokens=8)
        assert torch.equal(out.sequences, model.generate(IDS, max_new_tokens=8, do_sample=False))
        ids, mask = ragged(3, seed=5)
        for role in ("base", "proxy", "reference"):
            base, proxy, target = roles(role, model, (other, tiny("llama", 3), None))
            out = kad.generate(
                base, proxy, input_ids=ids, attention_mask=mask, target=target, window=3, max_new_tokens=6,
                output_scores=True,
            )  # fmt: skip
            row = torch.cat([ids[0], out.trace.ids[0]])
            want = log_pi(base, proxy, target, row)[ids.shape[1] - 1 : -1]
            got = torch.stack(out.scores)[:, 0]
            assert float((got.exp() - want.exp()).abs().sum(-1).mean()) < 0.4  # near, for what rounding to 8 bits does


def test_output_sizes() -> None:
    config = SimpleNamespace(vocab_size=32, hidden_size=8)
    config.get_text_config = lambda: config

    def size(head: Any) -> int:
        return output_size(SimpleNamespace(config=config, get_output_embeddings=lambda: head))

    plain, resized, packed = nn.Linear(8, 30), nn.Linear(8, 30), nn.Linear(8, 30)
    resized.weight = nn.Parameter(torch.zeros(40, 8))
    packed.weight = nn.Parameter(torch.zeros(120, 1, dtype=torch.uint8), requires_grad=False)
    stored = nn.Linear(8, 30)  # four bits each, in a column of another type
    stored.weight = nn.Parameter(torch.zeros(60, 1))
    assert [size(head) for head in (plain, resized, packed, stored)] == [30, 40, 30, 30]
    assert [size(head) for head in (None, SimpleNamespace(weight=packed.weight), SimpleNamespace())] == [32, 32, 32]


def test_train_mode() -> None:
    """Refused where it changes what is computed, and only there."""
    base, proxy = tiny("llama", 1), tiny("llama", 2)
    options = {"input_ids": IDS, "target": kad.dual(0.5), "max_new_tokens": 4}
    want = continuation(kad.generate(base, proxy, **options))
    proxy.train()
    assert continuation(kad.generate(base, proxy, **options)) == want
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it will have another name
        proxy.gradient_checkpointing_enable()
    with pytest.raises(ValueError, match="the proxy is in train mode with gradient checkpointing"):
        kad.generate(base, proxy, **options)
    with pytest.raises(ValueError, match="the base is in train mode with gradient checkpointing"):
        kad.generate(proxy, base, **options)
    with pytest.raises(ValueError, match="the reference is in train mode with gradient checkpointing"):
        kad.generate(base, base, **{**options, "target": kad.implicit_reward(proxy)})
    assert continuation(kad.generate(base, proxy.eval(), **options)) == want
    noisy = peft.get_peft_model(tiny("llama", 2), LORA(lora_dropout=0.1))
    with pytest.raises(ValueError, match="the proxy is in train mode with dropout"):
        kad.generate(base, noisy, **options)
    assert continuation(kad.generate(base, noisy.eval(), **options)) == want
    learnt = GPT2LMHeadModel(GPT2Config(vocab_size=32, n_embd=32, n_layer=1, n_head=4, bos_token_id=1, eos_token_id=2))
    with pytest.raises(ValueError, match="the base is in train mode with dropout"):
        kad.generate(learnt, proxy, **options)
    for module in learnt.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    found = continuation(kad.generate(learnt, proxy, **options))
    assert found == continuation(kad.generate(learnt.eval(), proxy, **options))
    functional = copy.deepcopy(proxy.config)
    functional.attention_dropout = 0.1
    with pytest.raises(ValueError, match="the proxy is in train mode with dropout"):
        kad.generate(base, type(proxy)(functional).train(), **options)


@pytest.mark.parametrize("changed", [{"target_modules": ["wpe", "c_attn"]}, {"modules_to_save": ["wpe"]}])
def test_tables_of_positions_under_adapters(changed: dict[str, Any]) -> None:
    config = GPT2Config(vocab_size=32, n_embd=32, n_layer=1, n_head=4, n_positions=16, bos_token_id=1, eos_token_id=2)
    learnt = adapted(GPT2LMHeadModel(config), LORA(**{"target_modules": ["c_attn"], "fan_in_fan_out": True, **changed}))
    with pytest.raises(ValueError, match="the proxy has 16 positions"):
        kad.generate(tiny("llama", 1), learnt, input_ids=IDS, target=kad.dual(0.5), max_new_tokens=12)


def test_full_passes_over_known_text() -> None:
    pair = kad.demo.load()
    ids = pair.tokenizer("q : tom has 6 apples .", return_tensors="pt")["input_ids"]
    wrapped = adapted(copy.deepcopy(pair.proxy), LORA())
    merged = copy.deepcopy(wrapped).merge_and_unload()
    for proxy in (torch.compile(wrapped), in_place(copy.deepcopy(merged))):
        got = full_pass({"base": pair.base, "proxy": proxy}, kad.dual(0.5), ids, pair.tokenizer)[-1]
        want = full_pass({"base": pair.base, "proxy": merged}, kad.dual(0.5), ids, pair.tokenizer)[-1]
        torch.testing.assert_close(got, want, atol=1e-4, rtol=1e-4)
    with pytest.raises(ValueError, match="the proxy is a DataParallel"):
        full_pass({"base": pair.base, "proxy": nn.DataParallel(merged)}, kad.dual(0.5), ids, pair.tokenizer)
