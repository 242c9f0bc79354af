"""Tuning on development questions: the test's are never asked, and a stopped search goes on."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from kad.checkpoints import load_checkpoints
from kad.cli.main import main
from kad.evaluation import Number
from kad.evaluation.job import Job
from kad.evaluation.questions import counted
from kad.evaluation.store import read
from kad.evaluation.task import Item
from kad.evaluation.tasks import task_of
from kad.evaluation.tuning import plan_of, tune

from .test_tasks import DATA, real

pytest.importorskip("optuna", reason="needs Optuna: pip install 'kad-align[tune]'")
pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


def test_parts_are_apart() -> None:
    task = task_of("gsm8k")
    parts = [task.part_of(Item(str(i), "", "", "")) for i in range(2000)]
    assert parts.count("dev") == pytest.approx(400, abs=60)
    dev, test = (counted(task_of("embedded"), None, 300, part)[0] for part in ("dev", "test"))
    assert len(dev) == len(test) == 300
    assert not {i.question for i in dev} & {i.question for i in test}
    assert test == counted(task_of("embedded"), None, 300, "all")[0]
    with pytest.raises(ValueError, match="the part must be one of all, dev, test"):
        counted(task, None, 1, "train")  # type: ignore[arg-type]


@real
def test_parts_of_real_files() -> None:
    task = task_of("svamp")
    everything, dev, test = ({i.id for i in counted(task, DATA, None, part)[0]} for part in ("all", "dev", "test"))
    assert dev | test == everything
    assert not dev & test
    assert len(counted(task, DATA, 7, "dev")[0]) == 7


def test_a_search_asks_development_questions_alone(tmp_path: Path, capsys) -> None:
    folder = tmp_path / "t"
    arguments = [
        "tune",
        "--n",
        "10",
        "--batch",
        "10",
        "--output",
        str(folder),
        "--placement",
        "models",
        "--placement",
        "mixture",
    ]
    assert main([*arguments, "--trials", "3"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Test questions asked: none" in shown
    found = json.loads((folder / "tuned.json").read_text())
    assert found["trials"] == 3
    assert (
        f"--part test --method dual:{found['value']:g} --placement {found['placement']} --window {found['window']}"
        in shown
    )
    configurations, rows, manifest = read(folder)
    assert {s["part"] for s in manifest["sessions"]} == {"dev"}
    allowed = {i.gold + i.id for i in counted(task_of("embedded"), None, 10, "dev")[0]}
    assert {r["gold"] + r["item"] for r in rows} == allowed
    best = max(sum(r["correct"] for r in rows if r["key"] == key) / 10 for key in configurations)
    assert found["accuracy"] == best
    assert found["test_questions_asked"] == 0
    # On from where it was: as many trials more as are missing.
    before = len(rows)
    assert main([*arguments, "--trials", "3"]) == 0
    assert len(read(folder)[1]) == before
    assert main([*arguments, "--trials", "5"]) == 0
    assert json.loads((folder / "tuned.json").read_text())["trials"] == 5
    assert main(["report", str(folder), "--against", "dual"]) == 0


def test_what_was_tuned_runs_on_the_test(tmp_path: Path) -> None:
    arguments = [
        "eval",
        "--task",
        "embedded",
        "--part",
        "test",
        "--method",
        "dual:0.35",
        "--window",
        "3",
        "--n",
        "5",
        "--no-report",
    ]
    assert main([*arguments, "--output", str(tmp_path / "e")]) == 0
    assert read(tmp_path / "e")[2]["sessions"][0]["part"] == "test"
    # Development questions have the same numbers as ids: they are not taken for the test's, nor counted with them.
    arguments[4] = "dev"
    assert main([*arguments, "--output", str(tmp_path / "e")]) == 0
    configurations, rows, _ = read(tmp_path / "e")
    assert sorted(c.part for c in configurations.values()) == ["dev", "test"]
    assert [sum(r["key"] == key for r in rows) for key in configurations] == [5, 5]


def test_refusals(tmp_path: Path, capsys) -> None:
    for more, words in (
        (["--method", "p"], "the method p has no parameter to tune"), (["--trials", "0"], "the number of trials must be ≥ 1"),
        (["--seeds", "0"], "--seeds must be ≥ 1"), (["--method", "magic"], "there is no method 'magic'"),
    ):  # fmt: skip
        assert main(["tune", *more, "--output", str(tmp_path / "t")]) in (1, 2)
        assert words in capsys.readouterr().err
    plan = plan_of(("embedded",), "dual", 5, 1, 0.7, None)
    from dataclasses import replace

    with pytest.raises(ValueError, match="development questions alone"):
        tune("dual", replace(plan, part="test"), load_checkpoints({}), tmp_path / "t", 1, ("models",))
    assert Job(plan, load_checkpoints({})).questions[0].items == counted(task_of("embedded"), None, 5, "dev")[0]


def search(capsys, folder: Path, *more: str) -> dict:
    """One ``kad tune`` with few questions; what it found, and how many answers the folder holds."""
    given = ["tune", "--n", "6", "--batch", "8", "--trials", "2", "--new-tokens", "12", "--output", str(folder), *more]
    assert main(given) == 0, capsys.readouterr().err
    return json.loads((folder / "tuned.json").read_text()) | {"answers": len(read(folder)[1])}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kad.evaluation.tuning.speeds_of", lambda *given: {0: 1.0})


def test_a_search_knows_what_it_is_of(capsys, quick: None, tmp_path: Path) -> None:
    """Another method, count, temperature, range or seed in the same folder is another search; nothing is asked again."""
    folder, names, answers = tmp_path / "t", set(), [0]
    changes = (
        [], ["--method", "primal"], ["--n", "8"], ["--temperature", "1"], ["--low", "0.5"], ["--seed", "1"],
        ["--method", "Squared*primal"], ["--placement", "mixture"], ["--seeds", "2"],
    )  # fmt: skip
    for more in changes:
        found = search(capsys, folder, *more)
        assert found["trials"] == 2
        names.add(json.dumps(found["of"]))
        answers.append(found["answers"])
        own = [c for c in read(folder)[0].values() if (c.method, c.value) == (found["method"], found["value"])]
        assert own, "what was found was never asked"
    assert len(names) == len(changes)
    assert answers == sorted(answers)
    for more in changes:  # each goes on where it was: there is nothing left to ask
        assert search(capsys, folder, *more)["answers"] == answers[-1]
    assert search(capsys, folder, "--low", "0.5")["value"] >= 0.5


def test_a_search_that_was_stopped_tries_what_it_would_have_tried(capsys, quick: None, tmp_path: Path) -> None:
    whole = search(capsys, tmp_path / "a", "--trials", "5")
    search(capsys, tmp_path / "b")
    again = search(capsys, tmp_path / "b", "--trials", "5")
    assert again == whole
    assert read(tmp_path / "a")[0] == read(tmp_path / "b")[0]
    assert len(read(tmp_path / "a")[0]) > 3  # and no setting twice from the start


def test_a_search_goes_by_the_grader_of_today(
    capsys, quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "t"
    before = search(capsys, folder)
    monkeypatch.setattr(Number, "score", lambda self, text, gold, **more: ("1", True))
    after = search(capsys, folder)
    assert (after["accuracy"], after["answers"]) == (1.0, before["answers"])


def test_the_command_for_the_test_is_of_the_same(capsys, quick: None, tmp_path: Path) -> None:
    more = [
        "--method",
        "Squared*primal",
        "--temperature",
        "1",
        "--template-option",
        "enable_thinking=false",
        "--seeds",
        "2",
    ]
    search(capsys, tmp_path / "t", *more)
    found = " ".join(capsys.readouterr().out.split()).partition("On the test questions: kad ")[2]
    assert found.endswith("--temperature 1 --seeds 2 --new-tokens 12 --template-option enable_thinking=false")
    assert main([*shlex.split(found), "--n", "2", "--no-report", "--output", str(tmp_path / "e")]) == 0
    assert [(c.part, c.temperature, c.method) for c in read(tmp_path / "e")[0].values()] == [
        ("test", 1.0, "Squared*primal")
    ]


def test_ranges_of_ones_own(capsys, tmp_path: Path) -> None:
    for more, words in (
        (["--low", "0.9", "--high", "0.9"], "must be 0.05 wide at least"), (["--low", ".nan"], "must be a number"),
        (["--method", "dual,primal"], "there is no method"), (["--method", "Squared*dual,primal"], "one method at a time"),
        (["--method", "kad.Proxy"], "the method kad.Proxy has no parameter to tune"),
    ):  # fmt: skip
        assert main(["tune", *more, "--output", str(tmp_path / "t")]) in (1, 2)
        assert words in capsys.readouterr().err


def test_a_target_of_ones_own_is_tuned(capsys, quick: None, tmp_path: Path) -> None:
    found = search(capsys, tmp_path / "t", "--method", "kad.Ensemble", "--low", "0.2", "--high", "0.4")
    assert (found["method"], 0.2 <= found["value"] <= 0.4) == ("kad.Ensemble", True)
