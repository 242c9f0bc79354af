"""Variables of a chat template reach it: through `kad.generate` and the shell, for the base's prompt and the proxy's."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

import kad
from kad.cli.main import main
from kad.demo import MODELS

TEMPLATE = (
    "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    "{% if enable_thinking is not false %} so , how many did he give to mia ?{% endif %} a :"
)
QUESTION = "q : tom has 6 apples . he loses 2 . how many apples does tom have now ?"
CHAT = [{"role": "user", "content": QUESTION}]


@pytest.mark.parametrize("window", [0, 1, 3, 7])
def test_variables(window: int) -> None:
    pair = kad.demo.load()
    tokenizer = copy.deepcopy(pair.tokenizer)
    tokenizer.chat_template = TEMPLATE
    options = {"target": kad.dual(0.4), "tokenizer": tokenizer, "window": window, "max_new_tokens": 8}

    def prompt(**more) -> str:
        out = kad.generate(pair.base, pair.proxy, CHAT, **options, **more)
        return tokenizer.decode(out.sequences[0, : out.sequences.shape[1] - out.trace.ids.shape[1]])

    assert prompt() == prompt(template={"enable_thinking": True})
    assert " mia ? a :" in prompt()
    assert " mia ? a :" not in prompt(template={"enable_thinking": False})
    out = kad.generate(
        pair.base, pair.proxy, QUESTION + " a :", proxy_prompt=CHAT, template={"enable_thinking": False}, **options
    )
    same = kad.generate(pair.base, pair.proxy, QUESTION + " a :", **options)
    assert out.trace.ids.tolist() == same.trace.ids.tolist()


@pytest.mark.parametrize(
    ("template", "words"),
    [({"messages": []}, "a name of its own"), ({"a b": 1}, "a name of its own"), ({"x": [1]}, "must be a text"),
     ({"x": float("nan")}, "must be a number"), (["x"], "a mapping of names")],
    ids=["taken", "no name", "list", "nan", "no mapping"],
)  # fmt: skip
def test_what_is_no_variable(template: object, words: str) -> None:
    pair = kad.demo.load()
    with pytest.raises(ValueError, match=words):
        kad.generate(pair.base, pair.proxy, CHAT, target=kad.dual(0.4), tokenizer=pair.tokenizer, template=template)


def test_on_the_shell(capsys, tmp_path: Path) -> None:
    pair = kad.demo.load()
    pair.tokenizer.chat_template = TEMPLATE
    pair.base.save_pretrained(tmp_path / "base")
    pair.tokenizer.save_pretrained(tmp_path / "base")
    pair.proxy.save_pretrained(tmp_path / "proxy")
    pair.tokenizer.save_pretrained(tmp_path / "proxy")
    arguments = [
        "--base",
        str(tmp_path / "base"),
        "--proxy",
        str(tmp_path / "proxy"),
        "--greedy",
        "--max-new-tokens",
        "16",
    ]

    def said(*more: str) -> str:
        assert main(["generate", *more, *arguments]) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    plain = said(f"{QUESTION} a :")
    assert said(QUESTION, "--chat", "--template-option", "enable_thinking=false") == plain
    thinking = said(f"{QUESTION} so , how many did he give to mia ? a :")
    assert said(QUESTION, "--chat", "--template-option", "enable_thinking=true") == thinking
    for bad, words in (("enable_thinking", "NAME=VALUE"), ("messages=x", "a name of its own")):
        assert main(["generate", QUESTION, "--chat", "--template-option", bad, *arguments]) == 2
        assert words in capsys.readouterr().err
    assert main(["generate", QUESTION, "--template-option", "x=1", "--base", str(MODELS / "base")]) == 2
    assert "--template-option needs --chat" in capsys.readouterr().err
