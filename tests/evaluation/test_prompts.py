"""What a prompt is made of: variables of the template, special tokens once, examples without annotations, no thinking."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from kad.checkpoints import load_checkpoints
from kad.cli.main import main
from kad.demo import MODELS
from kad.evaluation.answers import Number
from kad.evaluation.grading import verdict
from kad.evaluation.job import Job
from kad.evaluation.methods import Method
from kad.evaluation.plan import Block, Plan, from_yaml
from kad.evaluation.presets import PRESETS
from kad.evaluation.questions import ids_of
from kad.evaluation.store import read
from kad.evaluation.tasks import task_of

THINKING = "{% for m in messages %}<s>[{{ m.role }}] {{ m.content }} {% endfor %}[a]{% if not enable_thinking %} <think></think>{% endif %}"


def tokenizer(first: str, begins: bool, template: str | None = None) -> PreTrainedTokenizerFast:
    """Words of a small world, with a first token of its own that it puts before a text, or does not."""
    words = {w: i for i, w in enumerate(["[UNK]", "<s>", "<bos>", "[user]", "[a]", "2", "+", "?", "<think></think>"])}
    own = Tokenizer(models.WordLevel(words, "[UNK]"))
    own.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if begins:
        own.post_processor = processors.TemplateProcessing(f"{first} $A", None, [(first, words[first])])
    return PreTrainedTokenizerFast(tokenizer_object=own, bos_token=first, unk_token="[UNK]", chat_template=template)


@pytest.mark.parametrize("template", [None, THINKING])
def test_the_first_token_stands_once(template: str | None) -> None:
    """Whatever the base's tokenizer does by itself, and whether it has a template; the proxy's template has put its own."""
    proxy, prompt = tokenizer("<s>", True, THINKING), "<s>[user] 2 + 2 ? [a]"
    for first in ("<s>", "<bos>"):
        for begins in (True, False):
            base = tokenizer(first, begins, template)
            (ids,) = ids_of([prompt], base, proxy)
            words = base.convert_ids_to_tokens(ids)
            assert words == [*([first] if begins or first == "<s>" else []), "[user]", "2", "+", "2", "?", "[a]"], (
                first,
                begins,
            )
    assert proxy.convert_ids_to_tokens(ids_of([prompt], proxy, proxy)[0])[:2] == ["<s>", "[user]"]
    plain = tokenizer("<s>", True)
    assert plain.convert_ids_to_tokens(ids_of(["2 + 2"], plain, plain)[0]) == ["<s>", "2", "+", "2"]


def test_variables_reach_the_template_and_the_key(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    common = ["eval", "--n", "2", "--method", "p", "--no-report", "--new-tokens", "4", "--output", str(tmp_path / "e")]
    for more, answered in (
        (["enable_thinking=false"], 2),
        (["enable_thinking=true"], 2),
        (["enable_thinking=false"], 0),
        ([], 2),
    ):
        assert main([*common, *(x for option in more for x in ("--template-option", option))]) == 0
        assert f"{answered} questions answered" in capsys.readouterr().out
    configurations, _, manifest = read(tmp_path / "e")
    assert [c.options for c in configurations.values()] == ["enable_thinking=false", "enable_thinking=true", ""]
    assert [p["variables"] for p in manifest["prompts"].values()][-1] == {}
    for bad in ("enable_thinking", "messages=1", "a b=1"):
        assert main([*common, "--template-option", bad]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    (tmp_path / "plan.yaml").write_text(
        "tasks: embedded\npart: dev\ntemplate: {enable_thinking: false}\nruns: [{methods: p}]\n"
    )
    plan, _ = from_yaml(tmp_path / "plan.yaml")
    assert (plan.part, plan.template) == ("dev", (("enable_thinking", False),))
    for bad in ("template: 3", "template: {messages: 1}", "template: {a: [1]}", "part: train"):
        (tmp_path / "plan.yaml").write_text(f"tasks: embedded\n{bad}\nruns: [{{methods: p}}]\n")
        with pytest.raises(ValueError, match=r"plan\.yaml"):
            from_yaml(tmp_path / "plan.yaml")


def test_presets_do_not_think_and_have_the_papers_limit() -> None:
    assert PRESETS["qwen3"].plan().template == (("enable_thinking", False),)
    for preset in PRESETS.values():
        assert preset.plan().new_tokens == 1024
        assert preset.plan(new_tokens=72, template=()).new_tokens == 72
    with pytest.raises(ValueError, match="has a name of its own"):
        Plan(("gsm8k",), PRESETS["olmo2"].plan().blocks, template=(("tokenize", True),))


def test_what_was_thought_is_no_answer() -> None:
    for text, wanted in (
        ("<think>It is 4.</think>The answer is 5.", ("5", True)), ("4?</think>The answer is 5.", ("5", True)),
        ("<think>The answer is 5.", (None, False)), ("The answer is 5.", ("5", True)),
        ("<think>1</think>The answer is 5.<think>2", ("5", True)),
    ):  # fmt: skip
        assert verdict(Number(), text, "5", True) == wanted, text


def test_examples_carry_no_annotations() -> None:
    row = {"question": "Half of 2?", "answer": "It is 2/2=<<2/2=1>>1.\n#### 1"}
    (item,) = task_of("gsm8k").items([row])
    assert item.solution == "It is 2/2=1.\n#### 1"
    assert item.gold == "1"


def test_a_models_settings_are_in_the_key(tmp_path: Path) -> None:
    """The same weights with another norm, or other ends of a reply, are another model; the same again are not."""
    places = {role: str(MODELS / role) for role in ("base", "proxy")}
    plan = Plan(("embedded",), (Block((Method("p"), Method("q*"))),), count=2)

    def keys(where: dict[str, str], ends: int | None = None) -> list[str]:
        checkpoints = load_checkpoints(where)
        if ends is not None:
            checkpoints.models["base"].generation_config.eos_token_id = ends
        return [c.key for c in Job(plan, checkpoints).configurations()]

    p, q = keys(places)
    assert keys(places) == [p, q]
    other_p, same_q = keys(places, ends=7)
    assert (other_p != p, same_q) == (True, q)
    shutil.copytree(MODELS / "base", tmp_path / "base")
    assert keys(places | {"base": str(tmp_path / "base")}) == [p, q]
    config = json.loads((tmp_path / "base" / "config.json").read_text())
    (tmp_path / "base" / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 1e-3}))
    other_p, same_q = keys(places | {"base": str(tmp_path / "base")})
    assert (other_p != p, same_q) == (True, q)
