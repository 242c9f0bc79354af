"""The paper's protocol: its turns and limits, its place in the key, and published numbers beside those of the same protocol alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from kad.cli.main import main
from kad.evaluation import published, report
from kad.evaluation.configuration import Configuration
from kad.evaluation.methods import Method
from kad.evaluation.plan import Block, Plan, from_yaml
from kad.evaluation.presets import PAPER_GRID, PRESETS
from kad.evaluation.protocol import STEPS, TASKS, departures, remarks, task_under
from kad.evaluation.store import read
from kad.evaluation.summary import comparable, summaries
from kad.evaluation.task import messages, render
from kad.evaluation.wording import wordings

from .lines import line_of

CHAT = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<a>{% if enable_thinking %}think{% endif %}"
NO_SYSTEM = "{% for m in messages if m.role != 'system' %}<{{ m.role }}>{{ m.content }}{% endfor %}<a>"
ROWS = {
    "gsm8k": {"question": "2 and 2?", "answer": "It is 4.\n#### 4"},
    "svamp": {"ID": "1", "Body": "Dan had 3.", "Question": "How many?", "Equation": "(3)", "Answer": "3"},
    "math500": {"problem": "What is $1+1$?", "answer": "2", "solution": "So $\\boxed{2}$."},
    "arc": {"id": "x", "question": "Why?", "choices": {"text": ["a", "b"], "label": ["1", "2"]}, "answerKey": "2"},
    "csqa": {"id": "x", "question": "Why?", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "B"},
    "truthfulqa": {"Question": "Why?", "Best Answer": "so", "Incorrect Answers": "or; not; never"},
}


def with_template(template: str) -> PreTrainedTokenizerFast:
    """A tokenizer of one word."""
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel({"[UNK]": 0}, "[UNK]")), chat_template=template or None
    )


@pytest.mark.parametrize("name", TASKS)
def test_what_stands_in_which_turn(name: str) -> None:
    """One system prompt for all tasks; letters as "A). " in the data's order; the request for a box in the user's turn."""
    task = task_under("paper", name)
    (item,) = task.items([ROWS[name]])
    system, user = messages(task, item)
    assert system == {"role": "system", "content": STEPS}
    assert task.new_tokens == 1024
    if name in ("gsm8k", "svamp"):
        assert user["content"] == {"gsm8k": "2 and 2?", "svamp": "Dan had 3. How many?"}[name]
    elif name == "math500":
        assert user["content"].startswith("What is $1+1$?\n")
        assert "\\boxed{" in user["content"]
        assert "\\boxed{" not in system["content"]
    else:
        options = "A). so\nB). or\nC). not\nD). never\n" if name == "truthfulqa" else "A). a\nB). b\n"
        assert f"\nQuestion: Why?\n{options}\n" in user["content"]
        assert "reasoning" in user["content"].split(options)[1]
        assert item.options == tuple(line.split("). ")[1] for line in options.splitlines())  # which the grader knows
    assert item.gold == {"gsm8k": "4", "svamp": "3", "math500": "2", "truthfulqa": "A"}.get(name, "B")
    assert task.answer.score(item.solution, item.gold)[1]
    assert (task.name, task.files, task.hub) == (name, task_under("kad", name).files, task_under("kad", name).hub)
    (own,) = task_under("kad", name).items([ROWS[name]])
    assert (own.id, name in ("gsm8k", "svamp") or own.question != item.question) == (item.id, True)
    probe = task.probe().question
    assert "{question}" in probe
    assert user["content"].startswith(probe.split("{question}")[0])


def test_a_system_prompt_that_the_template_does_not_take_is_left_out() -> None:
    for protocol, takes, wanted in (
        ("paper", CHAT, f"<system>{STEPS}<user>2 and 2?<a>"), ("paper", NO_SYSTEM, "<user>2 and 2?<a>"),
        ("paper", "", "Question: 2 and 2?\nAnswer:"),
    ):  # fmt: skip
        task = task_under(protocol, "gsm8k")
        (item,) = task.items([ROWS["gsm8k"]])
        template = {"enable_thinking": False}
        assert render(with_template(takes), messages(task, item), template, task.drops_instruction) == wanted
    own = task_under("kad", "gsm8k")
    (item,) = own.items([ROWS["gsm8k"]])
    assert own.instruction in render(with_template(NO_SYSTEM), messages(own, item), {}, own.drops_instruction)


def test_plans_of_the_paper(tmp_path: Path) -> None:
    block = (Block((Method("p"),)),)
    plan = Plan(("svamp",), block, protocol="paper")
    assert plan.template == (("enable_thinking", False),)
    assert Plan(("svamp",), block, protocol="paper", template=(("enable_thinking", True),)).template[0][1] is True
    assert Plan(("svamp",), block).template == ()
    (c,) = plan.configurations("svamp", 1024)
    assert (c.protocol, c.new_tokens, departures(c)) == ("paper", 1024, [])
    for bad, words in (({"protocol": "papers"}, "must be one of kad, paper"), ({"protocol": "paper", "shots": 2}, "no exemplary questions"),
                       ({"protocol": "paper", "shuffle": 1}, "in the data's order"), ({"protocol": 3}, "must be one of")):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            Plan(("svamp",), block, **bad)
    with pytest.raises(ValueError, match=r"knows the tasks gsm8k.*; embedded is none"):
        task_under("paper", "embedded")
    (tmp_path / "plan.yaml").write_text("tasks: svamp\nprotocol: paper\nruns: [{methods: p}]\n")
    assert from_yaml(tmp_path / "plan.yaml")[0] == plan
    (tmp_path / "plan.yaml").write_text("tasks: svamp\nprotocol: [paper]\nruns: [{methods: p}]\n")
    with pytest.raises(ValueError, match=r"plan\.yaml: the protocol must be one of"):
        from_yaml(tmp_path / "plan.yaml")


def test_the_papers_grid_is_what_it_ran() -> None:
    labels = [m.label for m in PAPER_GRID]
    assert labels == ["p", "q*", "p*", "nudging λ=0.4", "implicit-reward β=1", "dual λ=0.3", "dual λ=0.4", "primal b=0.6",
                      "primal b=0.9", "confidence-bet m=0", "confidence-bet m=0.1", "confidence-bet m=0.2"]  # fmt: skip
    for preset in PRESETS.values():
        quality, speed = preset.plan(protocol="paper").blocks
        assert quality.methods == PAPER_GRID
        assert speed.windows == (3, 5, 7)
        assert preset.plan(protocol="paper").tasks == TASKS
        assert set(PAPER_GRID) <= set(preset.plan().blocks[0].methods)


def test_the_protocol_is_in_the_key_and_nothing_is_pooled() -> None:
    own, paper = (Configuration("svamp", "p", law=1, prompt="x", protocol=x) for x in ("kad", "paper"))
    assert own.key != paper.key
    assert not comparable(own, paper)
    assert list(wordings([own, paper]).values()) == ["protocol kad", "protocol paper"]
    # the keys of before there were protocols, which are kad's own
    assert [Configuration("svamp", "p").key, own.key] == ["d8aa22bf92a90393", "541be8ef138a92e5"]


def summary(c: Configuration, right: int) -> object:
    return summaries({c.key: c}, [line_of(c, item=str(i), correct=i < right) for i in range(4)])[0]


def manifest(pair: str, **other: str) -> dict[str, object]:
    places = PRESETS[pair].places | other
    return {"sessions": [{"models": {role: {"name": place, "fingerprint": role} for role, place in places.items()}}]}


def of(task: str, method: str = "dual", value: float | None = 0.4, **changes: object) -> Configuration:
    own = {"law": 1, "protocol": "paper", "new_tokens": 1024, "template": (("enable_thinking", False),), "part": "all"}
    return Configuration(task, method, value, models=(("base", "base"), ("proxy", "proxy")), **(own | changes))


def test_published_numbers_stand_beside_their_like_alone() -> None:
    """Pair, task, method and protocol must match; any setting that is not the paper's keeps them away."""
    (line,) = published.beside([summary(of("svamp"), 3)], manifest("qwen3"))
    assert (line.own, line.published, line.sure) == (75.0, 87.3, "second-hand")
    local = manifest("qwen3", base="/models/Qwen3-14B-Base/")
    assert published.beside([summary(of("svamp"), 3)], local)[0].published == 87.3
    assert published.beside([summary(of("svamp"), 3)], manifest("olmo2"))[0].published == 75.3
    qwen3 = manifest("qwen3")
    for c, where in (
        (of("svamp", protocol="kad"), qwen3), (of("svamp", value=0.3), qwen3), (of("truthfulqa"), qwen3),
        (of("svamp", temperature=1.0), qwen3), (of("svamp", new_tokens=512), qwen3), (of("svamp", placement="draws"), qwen3),
        (of("svamp", min_p=0.3), qwen3), (of("svamp", part="dev"), qwen3), (of("svamp", template=()), qwen3), (of("svamp", "nudging"), qwen3),
        (of("svamp"), manifest("qwen3", base="Qwen/Qwen3-8B-Base")), (of("svamp"), {}),
    ):  # fmt: skip
        assert published.beside([summary(c, 3)], where) == [], c
    lines = [
        summary(of(task, "nudging"), right) for task, right in zip(published.AVERAGED, (4, 3, 2, 1, 0), strict=True)
    ]
    (line,) = published.beside(lines, manifest("olmo2"))
    assert (line.task, line.own, line.low, line.published, line.sure) == (
        "average",
        50.0,
        None,
        50.2,
        "read from its pages",
    )
    assert published.beside(lines[:4], manifest("olmo2")) == []


def test_averages_agree_with_their_tasks() -> None:
    """Read from pages on one side, second-hand on the other: cut off to one decimal they are the same."""
    for rows in published.NUMBERS.values():
        for numbers in rows.values():
            assert len(numbers) == 6
            if numbers[0] is not None:
                assert 0 <= sum(numbers[:5]) / 5 - numbers[5] < 0.1 + 1e-9


def test_remarks_say_whose_protocol_it_is() -> None:
    (own,) = remarks([Configuration("svamp", "p")])
    assert "not comparable with published ones" in own
    (paper,) = remarks([of("svamp")])
    assert "TruthfulQA" not in paper
    assert "words of kad's own" in paper
    mixed = remarks([of("truthfulqa", temperature=1.0), of("svamp"), Configuration("svamp", "p")])
    assert "not comparable" in mixed[0]
    assert "stands first in every question" in mixed[1]
    assert mixed[2].endswith(": T 1.")


def test_both_protocols_in_one_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run through the command: other prompts, other lines, and the page says which are whose."""
    (tmp_path / "svamp.jsonl").write_text("".join(json.dumps(ROWS["svamp"] | {"ID": str(i)}) + "\n" for i in range(2)))
    folder = tmp_path / "e"
    common = [
        "eval",
        "--task",
        "svamp",
        "--data",
        str(tmp_path),
        "--method",
        "dual",
        "--new-tokens",
        "4",
        "--output",
        str(folder),
    ]
    assert main([*common, "--no-report"]) == 0
    assert "protocol" not in capsys.readouterr().out
    assert main([*common, "--protocol", "paper"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "2 questions answered, 0 were there" in out
    assert "at most 4 new tokens" in out
    configurations, rows, made = read(folder)
    assert [c.protocol for c in configurations.values()] == ["kad", "paper"]
    assert len({c.prompt for c in configurations.values()}) == len({row["question"] for row in rows}) == 2
    assert [p["protocol"] for p in made["prompts"].values()] == ["kad", "paper"]
    page = (folder / "report.html").read_text()
    for words in (
        "protocol kad",
        "protocol paper",
        "not comparable with published ones",
        "Kad&#39;s own protocol.",
        "The paper&#39;s protocol.",
    ):
        assert words in page, words
    assert main([*common, "--protocol", "paper"]) == 0
    assert "0 questions answered, 2 were there" in capsys.readouterr().out
    assert main(["eval", "--protocol", "paper", "--output", str(tmp_path / "f")]) in (1, 2)
    assert "embedded is none of them" in capsys.readouterr().err
    assert (
        main(["eval", "--protocol", "paper", "--preset", "qwen3", "--data", str(tmp_path), "--n", "1", "--dry-run"])
        == 0
    )
    assert "by the protocol paper" in capsys.readouterr().out


def test_the_page_marks_second_hand_numbers(tmp_path: Path) -> None:
    made = manifest("qwen3")
    models = {role: m | {"parameters": 1, "dtype": "bfloat16"} for role, m in made["sessions"][0]["models"].items()}
    session = dict.fromkeys(("when", "kad", "torch", "transformers", "device", "part", "batch"), "x")
    made = {"sessions": [session | {"models": models, "seeds": [0], "tasks": {}}]}
    lines = [summary(of(task), 3) for task in published.AVERAGED]
    page = report.write(report.Results(tmp_path, lines, [], made)).read_text()
    table = page[page.index('id="beside"') :].split("</table>")[0]
    assert table.count("second-hand") == 5
    assert table.count("read from its pages") == 1
    assert "87.3" in table
    assert "80.3" in table
    assert 'id="beside"' not in report.write(report.Results(tmp_path, lines, [], {})).read_text()
    numbers = report.Results(tmp_path, lines, [], made).numbers()["beside"]
    assert [b["published"] for b in numbers] == [81.7, 60.6, 87.3, 91.5, 80.7, 80.3]
