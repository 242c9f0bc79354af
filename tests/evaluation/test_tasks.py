"""Tasks: real files, options in an order of their own, prompts through templates of every kind."""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import pytest
from scipy.stats import chisquare

import kad
from kad.evaluation.answers import Answer, Number
from kad.evaluation.questions import load_rows, rows_in
from kad.evaluation.task import Item, Task, digest, messages, render, shuffled
from kad.evaluation.tasks import BUILTIN, task_of

DATA = Path(os.environ.get("KAD_DATA", Path(kad.__file__).parents[2] / "shared" / "data"))
real = pytest.mark.skipif(
    not DATA.is_dir(), reason="the public benchmark files are not here (set KAD_DATA to their folder)"
)
SIZES = {"gsm8k": 1319, "svamp": 1000, "math500": 500, "csqa": 1221, "truthfulqa": 817, "mmlu": 300}
FALSE_ALARM = 1e-4  # the shuffles are fixed: what passed once passes always


@real
@pytest.mark.parametrize("name", SIZES)
def test_gold_answers_of_the_real_files_extract_to_themselves(name: str) -> None:
    task = task_of(name)
    items = task.items(load_rows(task, DATA))
    assert len(items) == SIZES[name]
    for item in items:
        assert task.answer.score(item.solution, item.gold)[1], item.id
        if name in ("gsm8k", "svamp"):
            wrong = str(float(item.gold.replace(",", "")) + 1)
        elif name == "math500":
            wrong = f"{item.gold} + 1"
        else:
            wrong = "B" if item.gold == "A" else "A"
        assert not task.answer.score(item.solution, wrong)[1], item.id


@real
@pytest.mark.parametrize("name", ["csqa", "truthfulqa", "mmlu"])
@pytest.mark.parametrize("seed", [0, 1])
def test_gold_letters_are_uniform(name: str, seed: int) -> None:
    """Among the questions with as many options; the raw TruthfulQA has its best answer first, always."""
    task, counts = task_of(name, seed), defaultdict(Counter)
    for item in task.items(load_rows(task, DATA)):
        options = sum(line[1:3] == ". " for line in item.question.split("\n\n")[-1].split("\n"))
        counts[options][item.gold] += 1
    assert sum(sum(c.values()) for c in counts.values()) == SIZES[name]
    for options, found in counts.items():
        seen = [found["ABCDEFGHIJKLM"[i]] for i in range(options)]
        if sum(seen) >= 5 * options:
            assert chisquare(seen).pvalue > FALSE_ALARM


@real
def test_seeds_give_other_orders_and_the_same_questions() -> None:
    first, again, other = (task_of("csqa", seed).items(load_rows(task_of("csqa"), DATA)) for seed in (0, 0, 1))
    assert first == again
    assert sum(a.question != b.question for a, b in zip(first, other, strict=True)) > 1100
    assert digest(first) == digest(again) != digest(other)


def test_the_forms_of_the_hub(tmp_path: Path) -> None:
    hub = {
        "arc": {"id": "x", "question": "Why?", "choices": {"text": ["a", "b"], "label": ["1", "2"]}, "answerKey": "2"},
        "csqa": {"id": "x", "question": "Why?", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "B"},
        "truthfulqa": {"question": "Why?", "mc1_targets": {"choices": ["a", "b"], "labels": [0, 1]}},
        "mmlu": {"question": "Why?", "choices": ["a", "b"], "answer": 1},
    }
    for name, row in hub.items():
        (item,) = task_of(name).items([row])
        assert f"{item.gold}. b" in item.question, name
    svamp = {"ID": "1", "Body": "Dan had 3", "Question": "How many?", "Equation": "(3)", "Answer": "3"}
    assert task_of("svamp").items([svamp])[0].question == "Dan had 3. How many?"


def test_the_embedded_task_makes_its_own_rows() -> None:
    task = task_of("embedded")
    items = task.items(load_rows(task, count=30))
    assert len(items) == 30
    assert all(task.answer.score(i.solution, i.gold)[1] for i in items)
    assert task.items(load_rows(task, count=10)) == items[:10]


@dataclass(frozen=True)
class Capitals(Task):
    """A stranger's task."""

    name = "capitals"
    files = ("capitals.jsonl",)

    @property
    def answer(self) -> Answer:
        return Number()

    def item(self, row, index: int) -> Item:
        return Item(row["country"], f"How many letters has the capital of {row['country']}?", str(row["n"]), "")


def test_a_class_and_a_file_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"country": "France", "n": 5}, {"country": "Peru", "n": 4}]
    (tmp_path / "capitals.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    task = task_of(f"{__name__}.Capitals")
    assert [i.gold for i in task.items(load_rows(task, tmp_path))] == ["5", "4"]
    form = tmp_path / "task.yaml"
    form.write_text('name: capitals\nquestion: "How long is {country}?"\ngold: "{n}"\nfile: capitals.jsonl\n')
    task = task_of(str(form))
    assert [i.question for i in task.items(load_rows(task))] == ["How long is France?", "How long is Peru?"]
    (tmp_path / "quiz.json").write_text(json.dumps([{"q": "Where?", "o": ["bank", "mall"], "a": "mall"}]))
    form.write_text('name: quiz\nkind: letter\nquestion: "{q}"\ngold: "{a}"\noptions: o\nfile: quiz.json\n')
    task = task_of(str(form), shuffle=3)
    (item,) = task.items(load_rows(task))
    assert f"{item.gold}. mall" in item.question
    assert "letter of the right option" in task.instruction


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: x\nkind: essay\n", "kind must be number, boxed or letter"),
        ("question: x\n", "needs a name"),
        ("name: x\nkind: letter\n", "names the field of its options"),
        ("name: x\nquestions: y\n", "unknown keys: questions"),
        ("- 1\n", "must hold keys"),
        ("a: [\n", "is no YAML"),
    ],
)
def test_bad_task_files(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "t.yaml").write_text(text)
    with pytest.raises(ValueError, match=words):
        task_of(str(tmp_path / "t.yaml"))


def test_other_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for spec, words in (
        ("gsm9k", "there is no task 'gsm9k'; choose from gsm8k"), ("kad.Loss", "it is no Task, no subclass"),
        ("kad.nothing.X", "cannot load the task"), ("missing.yaml", "cannot read the task missing.yaml"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            task_of(spec)
    task = task_of("gsm8k")
    with pytest.raises(ValueError, match="there is no folder"):
        load_rows(task, tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"holds no data for gsm8k: it looks for gsm8k_test.jsonl"):
        load_rows(task, tmp_path)
    (tmp_path / "gsm8k.jsonl").write_text('{"question": "x"}\n')
    with pytest.raises(ValueError, match=r"row 0 of gsm8k cannot be read \(KeyError: 'answer'\)"):
        task.items(load_rows(task, tmp_path))
    (tmp_path / "gsm8k.jsonl").write_text("{oops\n")
    with pytest.raises(ValueError, match="is no JSON"):
        load_rows(task, tmp_path)
    (tmp_path / "gsm8k.jsonl").write_text("\n")
    with pytest.raises(ValueError, match="gsm8k has no rows"):
        load_rows(task, tmp_path)
    with pytest.raises(ValueError, match="must be ≥ 1"):
        load_rows(task, tmp_path, 0)
    twice = [{"ID": 1, "Body": "", "Question": "", "Equation": "", "Answer": 1}] * 2
    with pytest.raises(ValueError, match="rows 0 and 1 of svamp have the same id"):
        task_of("svamp").items(twice)


class Template:
    """A tokenizer as far as prompts go."""

    def __init__(self, template: str | None) -> None:
        self.chat_template = template

    def apply_chat_template(self, turns, tokenize: bool, add_generation_prompt: bool) -> str:
        import jinja2

        def refuse(words: str) -> None:
            raise jinja2.TemplateError(words)

        return jinja2.Template(self.chat_template).render(messages=turns, raise_exception=refuse)


def test_prompts_through_templates() -> None:
    task = task_of("gsm8k")
    item, example = Item("0", "2 + 2?", "4", "#### 4"), Item("1", "1 + 1?", "2", "#### 2")
    turns = messages(task, item, [example])
    assert [t["role"] for t in turns] == ["system", "user", "assistant", "user"]
    takes = Template("{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>")
    drops = Template(
        "{% for m in messages if m.role != 'system' %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>"
    )
    fails = Template(
        "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}" + takes.chat_template
    )
    assert render(takes, turns) == f"<system>{task.instruction}<user>1 + 1?<assistant>#### 2<user>2 + 2?<assistant>"
    for template in (drops, fails):
        assert render(template, turns) == f"<user>{task.instruction}\n\n1 + 1?<assistant>#### 2<user>2 + 2?<assistant>"
    plain = f"{task.instruction}\n\nQuestion: 1 + 1?\nAnswer: #### 2\n\nQuestion: 2 + 2?\nAnswer:"
    assert render(Template(None), turns) == plain


def test_the_embedded_pair_reads_its_own_form() -> None:
    pair, task = kad.demo.load(), task_of("embedded")
    item = task.items(load_rows(task, count=1))[0]
    assert render(pair.tokenizer, messages(task, item)).endswith(f"q : {item.question} a :")


def test_shuffling() -> None:
    letters = Counter(shuffled("?", list("abcd"), 0, 0, str(i))[1] for i in range(4000))
    assert chisquare([letters[x] for x in "ABCD"]).pvalue > FALSE_ALARM


def test_every_builtin_says_where_its_data_is() -> None:
    for name, kind in BUILTIN.items():
        assert kind.hub or name == "embedded"
        assert kind.__doc__


def test_only_a_line_feed_ends_a_row_of_a_file(tmp_path: Path) -> None:
    """Other characters at which Python splits lines stand in texts."""
    odd = "a\u2028b\x0bc\x85d\x1ce"
    (tmp_path / "rows.csv").write_text(f"question,answer\n{odd},1\n", encoding="utf-8")
    (tmp_path / "rows.jsonl").write_text(
        json.dumps({"question": odd, "answer": "1"}, ensure_ascii=False), encoding="utf-8"
    )
    for name in ("rows.csv", "rows.jsonl"):
        assert rows_in(tmp_path / name) == [{"question": odd, "answer": "1"}]
