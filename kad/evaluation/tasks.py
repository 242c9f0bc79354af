"""The tasks that kad knows, by name; other classes by import path, and YAML files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

from ..demo import problems
from ..imports import made
from .answers import Answer, Boxed, Letter, Number
from .files import read_yaml
from .task import Item, Part, Row, Task, shuffled

CALCULATOR = re.compile(r"<<[^<>]*>>")  # GSM8K's annotations for a calculator, which no model is to imitate
ANSWERS: dict[str, type[Answer]] = {"number": Number, "boxed": Boxed, "letter": Letter}
STEP_BY_STEP = "Reason step by step."
INSTRUCTIONS = {
    "number": f"{STEP_BY_STEP} End with a line '#### N', where N is the answer as a number.",
    "boxed": f"{STEP_BY_STEP} Put your final answer within \\boxed{{}}.",
    "letter": f"{STEP_BY_STEP} End with 'The answer is (X).', where X is the letter of the right option.",
}


@dataclass(frozen=True)
class BuiltIn(Task):
    """A task of kad's own."""

    shuffle: int = 0


@final
class GSM8K(BuiltIn):
    """Grade-school word problems (Cobbe et al., arXiv 2110.14168)."""

    name = "gsm8k"
    hub = ("openai/gsm8k", "main", "test")
    files = ("gsm8k_test.jsonl", "gsm8k.jsonl")
    instruction = INSTRUCTIONS["number"]
    answer = Number()

    def item(self, row: Row, index: int) -> Item:
        gold = row["answer"].split("####")[1].strip()
        return Item(str(index), row["question"], gold, CALCULATOR.sub("", row["answer"]))


@final
class SVAMP(BuiltIn):
    """One-step word problems with varied structure (Patel et al., NAACL 2021)."""

    name = "svamp"
    hub = ("ChilleD/SVAMP", None, "test")
    files = ("svamp.json", "svamp.jsonl")
    instruction = INSTRUCTIONS["number"]
    answer = Number()

    def item(self, row: Row, index: int) -> Item:
        body = row["Body"].strip()
        stop = "" if body.endswith((".", "?", "!", ",")) else "."
        question, gold = f"{body}{stop} {row['Question'].strip()}", str(row["Answer"])
        return Item(str(row["ID"]), question, gold, f"{row['Equation']} = {gold}\n#### {gold}")


@final
class MATH500(BuiltIn):
    """500 problems of MATH (Hendrycks et al., arXiv 2103.03874), the split of Lightman et al. (arXiv 2305.20050)."""

    name = "math500"
    hub = ("HuggingFaceH4/MATH-500", None, "test")
    files = ("math500_test.jsonl", "math500.jsonl")
    instruction = INSTRUCTIONS["boxed"]
    new_tokens = 1024
    answer = Boxed()

    def item(self, row: Row, index: int) -> Item:
        return Item(str(row.get("unique_id", index)), row["problem"], row["answer"], row["solution"])


class Choice(BuiltIn):
    """A multiple-choice task: options in an order of their own for every question. Subclass it with `options`."""

    instruction = INSTRUCTIONS["letter"]
    answer = Letter()

    def options(self, row: Row) -> tuple[str, list[str], int]:
        """Stem, options and the right one's index, from the form of CommonsenseQA and ARC (their files, or the hub)."""
        question, choices = row["question"], row.get("choices")
        stem = question["stem"] if isinstance(question, dict) else question
        if isinstance(choices, dict):
            labels, texts = choices["label"], choices["text"]
        else:
            rows = question["choices"]
            labels, texts = [c["label"] for c in rows], [c["text"] for c in rows]
        return stem, list(texts), list(labels).index(row["answerKey"])

    def item(self, row: Row, index: int) -> Item:
        stem, options, right = self.options(row)
        id = str(row.get("id", index))
        question, gold, placed = shuffled(stem, options, right, self.shuffle, id)
        return Item(id, question, gold, f"The answer is ({gold}).", placed)


@final
class ARC(Choice):
    """ARC-Challenge: science questions that retrieval does not answer (Clark et al., arXiv 1803.05457)."""

    name = "arc"
    hub = ("allenai/ai2_arc", "ARC-Challenge", "test")
    files = ("ARC-Challenge-Test.jsonl", "arc_challenge_test.jsonl", "arc.jsonl")


@final
class CommonsenseQA(Choice):
    """Five-way questions about everyday knowledge (Talmor et al., NAACL 2019)."""

    name = "csqa"
    hub = ("tau/commonsense_qa", None, "validation")
    files = ("commonsenseqa_dev.jsonl", "csqa.jsonl")


@final
class TruthfulQA(Choice):
    """Questions that people answer wrongly (Lin et al., ACL 2022): the best answer among the incorrect ones."""

    name = "truthfulqa"
    hub = ("truthfulqa/truthful_qa", "multiple_choice", "validation")
    files = ("truthfulqa.csv", "TruthfulQA.csv")

    def options(self, row: Row) -> tuple[str, list[str], int]:
        if "mc1_targets" in row:
            targets = row["mc1_targets"]
            return row["question"], list(targets["choices"]), list(targets["labels"]).index(1)
        best = row["Best Answer"].strip()
        wrong = [x.strip() for x in row["Incorrect Answers"].split(";") if x.strip()]
        return row["Question"], [best, *dict.fromkeys(x for x in wrong if x != best)], 0


@final
class MMLU(Choice):
    """Four-way exam questions on many subjects (Hendrycks et al., arXiv 2009.03300)."""

    name = "mmlu"
    hub = ("cais/mmlu", "all", "test")
    files = ("mmlu_stem_300.jsonl", "mmlu.jsonl")

    def options(self, row: Row) -> tuple[str, list[str], int]:
        return row["question"], list(row["choices"]), int(row["answer"])


@final
class Embedded(BuiltIn):
    """The word problems of the embedded pair: drawn from a seed, none of them in its training data."""

    name = "embedded"
    new_tokens = 72
    answer = Number()

    def item(self, row: Row, index: int) -> Item:
        return Item(str(index), row["question"], row["gold"], row["solution"])

    def generate(self, count: int | None, part: Part) -> list[Row] | None:
        """By default the test split, as in ``kad demo``."""
        split: Literal["dev", "test"] = "dev" if part == "dev" else "test"
        return [
            {"question": p.text, "gold": str(p.answer), "solution": problems.aligned_answer(p)}
            for p in problems.held_out(400 if count is None else count, split)
        ]


@dataclass(frozen=True)
class FormTask(Task):
    """A task from a YAML file: templates with the fields of a row in braces.

    Attributes:
        name: how it is called.
        question: template of the question, such as ``"{body} {question}"``.
        gold: template of the right answer; with ``options``, a field with the right one's index, letter or text.
        kind: number, boxed or letter.
        options: the field with the list of options.
        file: the data, relative to the YAML file or to the folder of local data.
        hub: path, configuration and split on the hub.
        instruction: the system prompt; by default that of the kind.
        new_tokens: of a reply at most.

    Raises:
        ValueError: no name, another kind, or options without the kind letter.

    >>> task = FormTask("sums", question="{a} + {b} = ?", gold="{sum}")
    >>> task.item({"a": 1, "b": 2, "sum": 3}, 0).question
    '1 + 2 = ?'
    """

    name: str = ""
    question: str = "{question}"
    gold: str = "{answer}"
    kind: Literal["number", "boxed", "letter"] = "number"
    options: str | None = None
    file: str | None = None
    hub: tuple[str, str | None, str] | None = None
    instruction: str = ""
    new_tokens: int = 512
    shuffle: int = 0

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a task needs a name.")
        if self.kind not in ANSWERS:
            raise ValueError(f"kind must be number, boxed or letter, got {self.kind!r}.")
        if (self.kind == "letter") != (self.options is not None):
            raise ValueError("a task of kind letter names the field of its options, and no other kind does.")

    @property
    def files(self) -> tuple[str, ...]:  # type: ignore[override]
        return (self.file,) if self.file else ()

    @property
    def answer(self) -> Answer:
        return ANSWERS[self.kind]()

    def item(self, row: Row, index: int) -> Item:
        id = str(row.get("id", index))
        question, gold = self.question.format(**row), self.gold.format(**row)
        if self.options is None:
            return Item(id, question, gold, f"#### {gold}" if self.kind == "number" else f"\\boxed{{{gold}}}")
        options = [str(option) for option in row[self.options]]
        right = options.index(gold) if gold in options else int(gold) if gold.isdigit() else ord(gold.upper()) - 65
        question, gold, placed = shuffled(question, options, right, self.shuffle, id)
        return Item(id, question, gold, f"The answer is ({gold}).", placed)


BUILTIN: dict[str, type[BuiltIn]] = {
    kind.name: kind for kind in (GSM8K, SVAMP, MATH500, ARC, CommonsenseQA, TruthfulQA, MMLU, Embedded)
}


def task_of(spec: str, shuffle: int = 0) -> Task:
    """A task by name, by the path of a YAML file, or by the import path of a `Task`, a subclass, or a function
    declared to return one.

    Raises:
        ValueError: none of these; one sentence.

    >>> task_of("gsm8k")
    GSM8K(shuffle=0)
    """
    if spec in BUILTIN:
        return BUILTIN[spec](shuffle=shuffle)
    if spec.endswith((".yaml", ".yml")):
        return form_task(Path(spec), shuffle)
    if "." in spec:
        return made(spec, "task", Task, {"shuffle": shuffle})  # type: ignore[type-abstract]
    raise ValueError(f"there is no task {spec!r}; choose from {', '.join(BUILTIN)}, a YAML file or an import path.")


def form_task(path: Path, shuffle: int = 0) -> FormTask:
    """A `FormTask` whose fields are the keys of the file."""
    found = read_yaml(path, "task")
    if not isinstance(found, dict):
        raise ValueError(f"the task {path} must hold keys such as name, question, gold and file.")
    if unknown := sorted({str(key) for key in found} - set(FormTask.__dataclass_fields__)):
        raise ValueError(f"the task {path} has unknown keys: {', '.join(unknown)}.")
    usual = {"shuffle": shuffle, "instruction": INSTRUCTIONS.get(found.get("kind", "number"), "")}
    fields: dict[str, Any] = usual | found
    if fields.get("file"):
        beside = path.parent / fields["file"]
        fields["file"] = str(beside.resolve()) if beside.exists() else fields["file"]
    if fields.get("hub"):
        fields["hub"] = tuple(fields["hub"])
    return FormTask(**fields)
