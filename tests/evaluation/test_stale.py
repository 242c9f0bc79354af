"""Nothing stale, pooled or lost, and nothing asked again, under any edit of a plan and of what it is of."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kad.checkpoints import Checkpoints, load_checkpoints
from kad.cli.main import main
from kad.evaluation import answering, attempts, comparisons
from kad.evaluation.answers import Answer, Number
from kad.evaluation.failures import Unanswered
from kad.evaluation.grading import grader_of, grader_text
from kad.evaluation.job import Job, Unit
from kad.evaluation.methods import Method
from kad.evaluation.plan import Block, Plan
from kad.evaluation.report import explorer, results_of, write
from kad.evaluation.runner import run
from kad.evaluation.store import Store, read, read_rows
from kad.evaluation.task import Item, Task
from kad.evaluation.wording import wordings
from kad.statistics import rate

from .worlds import EDITS, ROWS, World, engine


@pytest.fixture(scope="module")
def embedded() -> Checkpoints:
    return load_checkpoints({})


@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from(sorted(EDITS)), st.integers(0, 59)), min_size=1, max_size=3), max_size=6
    )
)
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_any_edits(
    embedded: Checkpoints, tmp_path_factory: pytest.TempPathFactory, changes: list[list[tuple[str, int]]]
) -> None:
    world, said, calls = World(tmp_path_factory.mktemp("world"), embedded), {}, []
    world.plan["shots"] = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(answering, "call_engine", lambda job, unit: engine(said, calls, job, unit))
        for edits in ([], *changes):
            for name, value in edits:
                EDITS[name](world, value)
            if world.plan["part"] == "dev":
                world.plan["shots"] = 0
            job = world.job()
            before = {row["text"] for row in every(world.folder / "s")}
            with Store(world.folder / "s") as store:
                answered = run(job, store)
            assert len(calls) == len(set(calls)), "something was asked again"
            assert answered == len({row["text"] for row in every(world.folder / "s")} - before)
            assert before <= {row["text"] for row in every(world.folder / "s")}, "something was lost"
            check(job, said, world.folder / "s")


def every(folder: Path) -> list[dict[str, Any]]:
    """Every answer of the file, whatever it counts as."""
    path = folder / "results.jsonl"
    return [line for x in path.read_text().splitlines() if "text" in (line := json.loads(x))] if path.exists() else []


def check(job: Job, said: dict[str, tuple[Any, ...]], folder: Path) -> None:
    """The plan's answers are those of the plan as it is now, and no line holds answers of two kinds."""
    configurations, rows, _ = read(folder)
    place = {(row["key"], row["seed"], row["item"]): row for row in rows}
    assert len(place) == len(rows)
    for unit in job.units():
        for item in unit.items:
            row = place[unit.configuration.key, unit.seed, item.id]
            prompt = unit.questions.prompt(job.checkpoints.aligned_tokenizer, item)
            assert said[row["text"]][2] == prompt
            assert row["gold"] == item.gold
            assert row["correct"] == unit.questions.task.answer.score(row["text"], item.gold)[1]
    for key in configurations:
        own = [said[row["text"]] for row in rows if row["key"] == key]
        instruction, template, _, _, law, _, engine_name, version = zip(*own, strict=True)
        for kinds in (instruction, template, law, engine_name, version):
            assert len(set(kinds)) == 1, "answers of two kinds are pooled"
    for questions in job.questions:
        own = {c.key for c in job.configurations_of(questions.task)}
        assert {row["item"] for row in rows if row["key"] in own} <= (questions.ids or set())
    results = results_of(folder)
    graders, prompts = (
        {grader_text(grader_of(q.task.answer)) for q in job.questions},
        {c.prompt for c in job.configurations()},
    )
    now = [row for row in results.rows if configurations[row["key"]].prompt in prompts]
    assert {grader_text(row["grader"]) for row in now} == graders, "graded by a former grader"
    assert sum(s.answers for s in results.lines) == len(rows)
    assert results.unfinished == []
    assert results.superseded == len(every(folder)) - len(rows)


@pytest.fixture
def world(embedded: Checkpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(answering, "call_engine", lambda job, unit: engine({}, [], job, unit))
    return World(tmp_path, embedded)


def once(world: World) -> int:
    with Store(world.folder / "s") as store:
        return run(world.job(), store)


def test_more_seeds_add_answers_and_drop_none(world: World) -> None:
    """12 questions with one seed, then 3 of them with a second: 12 questions, 15 answers, the question as the unit."""
    world.plan.update(count=12)
    assert once(world) == 12
    world.plan.update(count=3, seeds=(0, 1))
    assert once(world) == 3
    (line,) = results_of(world.folder / "s").lines
    assert (line.questions, line.seeds, line.complete, line.shape) == (12, 2, True, "12×2 (15 answers)")
    rows = read(world.folder / "s")[1]
    shares = [[r["correct"] for r in rows if r["item"] == str(i)] for i in range(12)]
    assert line.accuracy == rate(shares)
    assert line.accuracy.share == pytest.approx(sum(sum(x) / len(x) for x in shares) / 12)
    assert "15 answers" in write(results_of(world.folder / "s")).read_text()


def test_what_is_not_complete_says_so(world: World, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    """4 of 20: because the run was stopped, or because no more were asked for."""
    world.plan.update(count=None, template=(("thinking", True),))
    world.batch = 4
    answers, calls = attempts.answers, []

    def stopped(job: Job, unit: Unit) -> Any:
        calls.append(unit)
        if len(calls) > 1:
            raise KeyboardInterrupt
        return answers(job, unit)

    with monkeypatch.context() as patch:
        patch.setattr(attempts, "answers", stopped)
        with pytest.raises(KeyboardInterrupt):
            once(world)
    assert main(["report", str(world.folder / "s")]) == 0
    assert "not complete: quiz, dual λ=0.4 (T 0.7): 4 of 20" in " ".join(capsys.readouterr().out.split())
    page = (world.folder / "s" / "report.html").read_text()
    for words in ('id="unfinished"', "4 of 20", "At most 512 tokens", "<pre>Think.</pre>", "<code>thinking=true</code>",
                  "&lt;system&gt;Think.&lt;user&gt;{question}&lt;a&gt;think"):  # fmt: skip
        assert words in page
    assert main(["report", str(world.folder / "s"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["summaries"][0]["complete"] is False
    assert once(world) == 16
    assert 'id="unfinished"' not in write(results_of(world.folder / "s")).read_text()
    world.plan.update(count=4, template=())
    once(world)
    page = write(results_of(world.folder / "s")).read_text()
    assert "<td>4 of 20</td>" in page
    assert 'id="unfinished"' not in page


def test_a_fixed_grader_reaches_old_results(world: World, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a model, without the task, and without a change of the lines."""
    once(world)
    before = (world.folder / "s" / "results.jsonl").read_bytes()
    assert not any(g.changed for g in results_of(world.folder / "s").graded.values())
    assert all(row["grader"] == grader_of(Number()) for row in read(world.folder / "s")[1])
    monkeypatch.setattr(Number, "score", lambda self, text, gold, **more: ("7", True))
    monkeypatch.setattr(Number, "grader", "99")
    found = results_of(world.folder / "s")
    assert found.lines[0].accuracy.share == found.lines[0].answered == 1.0
    wrong = sum(not row["correct"] for row in read(world.folder / "s")[1])
    assert found.graded["quiz"].changed[True] == wrong > 0
    assert main(["report", str(world.folder / "s")]) == 0
    said = f"graded again by number, version 99: {wrong} verdicts changed ({wrong} now right"
    assert said in " ".join(capsys.readouterr().out.split())
    assert f"<b>{wrong} verdicts changed</b>" in (world.folder / "s" / "report.html").read_text()
    assert (world.folder / "s" / "results.jsonl").read_bytes() == before


class Own(Answer):
    """A grader of a user's own, which wants a word."""

    word = "no text holds this"

    def extract(self, text: str) -> str | None:
        return text

    def equal(self, answer: str, gold: str) -> bool:
        return self.word in answer


@dataclass(frozen=True)
class Quiz(Task):
    """A task of a user's own."""

    name = "own quiz"
    answer = Own()

    def item(self, row: Any, index: int) -> Item:
        return Item(str(index), row["question"], row["answer"], "")

    def generate(self, count: int | None, part: Any) -> list[Any]:
        return [{"question": f"{i}?", "answer": ""} for i in range(count or ROWS)]


def test_a_grader_of_ones_own_is_never_imported_to_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder names it; only a task at hand brings it, and a run writes down what it says."""
    folder, job = world.folder / "s", Job(Plan((f"{__name__}.Quiz",), (Block((Method("p"),)),), count=9), world.models)
    with Store(folder) as store:
        run(job, store)
    first = results_of(folder)
    assert "none of kad's graders" in next(iter(first.graded["own quiz"].kept))
    monkeypatch.setattr(Own, "word", "")
    assert results_of(folder).lines[0].accuracy == first.lines[0].accuracy
    assert results_of(folder, tasks=job.tasks).lines[0].accuracy.share == 1.0
    sizes = []
    for _ in range(2):
        with Store(folder) as store:
            assert run(job, store) == 0
        assert results_of(folder).lines[0].accuracy.share == 1.0
        sizes.append((folder / "results.jsonl").stat().st_size)
    assert sizes[0] == sizes[1]  # what it says is written once


def test_format_1_is_kept_and_never_pooled(world: World) -> None:
    """Lines as an earlier kad wrote them, for the same task and method."""
    fields = {"task": "quiz", "method": "dual", "value": 0.4, "placement": "models", "window": 0, "temperature": 0.7, "top_p": None,
              "top_k": None, "min_p": None, "new_tokens": 512, "shots": 0, "shuffle": 0, "models": [["base", "one"], ["proxy", "proxy"]]}  # fmt: skip
    key = hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:16]
    old = {"key": key, "seed": 0, "question": "ab12cd34", "text": "#### 3", "answer": "3", "gold": "3", "correct": True, "tokens": 3,
           "rounds": 3, "base_fed": 9, "proxy_fed": 9, "drafted": 0, "accepted": 0, "ids": [4, 5, 6], "origins": "bbb",
           "alphas": [0.1, 0.2, 0.3], "seconds": 0.1}  # fmt: skip
    folder = world.folder / "s"
    folder.mkdir()
    lines = [{"key": key, "configuration": fields}, *({**old, "item": str(i)} for i in range(5))]
    (folder / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "manifest.json").write_text('{"format": 1, "sessions": []}')
    alone = results_of(folder)
    assert alone.lines[0].configuration.key == key
    assert once(world) == 9
    found = results_of(folder)
    assert [(s.questions, s.configuration.recorded) for s in found.lines] == [(5, False), (9, True)]
    assert found.lines[0] == alone.lines[0]
    page = write(found).read_text()
    assert "T 0.7, of format 1" in page
    assert "system prompt and template are not recorded" in page
    assert json.loads((folder / "manifest.json").read_text())["format"] == 2


def test_lines_that_differ_are_told_apart(world: World) -> None:
    """Every line of a table has words of its own, so that no picture draws two things as one."""
    for name, value in (
        ("part", 1),
        ("part", 2),
        ("tokens", 1),
        ("variables", 1),
        ("model", 1),
        ("template", 1),
        ("instruction", 1),
    ):
        once(world)
        EDITS[name](world, value)
    once(world)
    lines = results_of(world.folder / "s").lines
    words = wordings(s.configuration for s in lines)
    assert len({(s.configuration.of.label, words[s.configuration]) for s in lines}) == len(lines) == 8
    assert comparisons({s.configuration.key: s.configuration for s in lines}, read(world.folder / "s")[1]) == []


def test_the_explorer_follows_the_answers(world: World) -> None:
    """Another gold is another verdict there, and what counts no more is not shown."""
    trace = {"tokens": [], "question": "?", "answer": None, "correct": False, "gold": "x", "seed": 0}
    once(world)
    row = read(world.folder / "s")[1][0]
    world.golds[0], world.questions[1] = row["answer"] or "7", "Another?"
    once(world)
    found, _ = read_rows(world.folder / "s")
    assert len(found.superseded) == 1
    mine = trace | {"key": row["key"], "item": row["item"], "mark": row["question"]}
    gone = trace | {"key": row["key"], "item": "1", "mark": found.superseded[0]["question"]}
    (shown,) = explorer([mine, gone], found.configurations, found.current, {})
    assert shown["gold"] == world.golds[0]


def test_an_answer_to_a_former_question_counts_no_more_before_the_new_one_is_there(world: World, monkeypatch) -> None:
    """Stopped, failed or gone: what is not answered is missing, and no old answer stands in for it."""
    once(world)
    world.questions[2] = "Another?"
    with monkeypatch.context() as patch:
        patch.setattr(answering, "call_engine", lambda job, unit: (_ for _ in ()).throw(RuntimeError("NaN")))
        with pytest.raises(Unanswered):
            once(world)
    found = results_of(world.folder / "s")
    assert (found.lines[0].size, found.superseded, len(found.failures)) == ("8 of 9", 1, 1)
    world.size = 5
    once(world)
    found = results_of(world.folder / "s")
    assert (found.lines[0].size, found.lines[0].complete, found.superseded) == ("5", True, 5)
