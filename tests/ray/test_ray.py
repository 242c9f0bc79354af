"""Workers in processes of their own: the rows are those of this process, whoever is killed; nothing is lost, doubled or left running."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
import torch

from kad.checkpoints import Checkpoints, load_checkpoints
from kad.demo import MODELS
from kad.evaluation import Block, Job, Method, Plan, Store, distributed, read, run
from kad.evaluation.distributed import DEATHS, Pool
from kad.evaluation.failures import Unanswered, read_failures
from kad.evaluation.questions import counted
from kad.evaluation.remote import Outline
from kad.evaluation.report import results_of
from kad.evaluation.tasks import task_of
from kad.evaluation.traces import TRACES, explain
from kad.evaluation.workers import HERE, Workers

from ..modules import written
from .shell import KAD, kad

pytestmark = [
    pytest.mark.usefixtures("cluster"),
    # Ray leaves sockets and files of its own to the collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]
OWN = """
import json, os, signal
from pathlib import Path
from kad import Mixture, Logistic, Primal, Target
from kad.evaluation import Number
from kad.evaluation.tasks import Embedded

HERE = Path(__file__).parent

class Strict(Number):
    def score(self, text, gold, finished=True, options=()):
        ways = json.loads((HERE / "ways.json").read_text())
        with open(HERE / "scored", "a") as file:
            file.write(gold + "\\n")
        if gold == ways.get("ill"):
            raise ValueError("no such number")
        if gold == ways.get("deadly") and os.getpid() != ways["driver"]:
            with open(HERE / "deaths", "a+") as file:
                file.seek(0)
                if len(file.readlines()) < ways["times"]:
                    file.write(f"{os.getpid()}\\n")
                    file.flush()
                    os.kill(os.getpid(), signal.SIGKILL)
        return super().score(text, gold, finished, options)

class Quiz(Embedded):
    name = "quiz"
    answer = Strict()

def sceptic(b: float = 0.5) -> Target:
    return Mixture(Logistic(), Primal(b))
"""


@pytest.fixture(scope="module")
def embedded() -> Checkpoints:
    return load_checkpoints({})


def plan(task: str = "embedded", count: int = 11) -> Plan:
    blocks = (
        Block((Method("dual", 0.4), Method("implicit-reward", 1.0)), windows=(0, 3)),
        Block((Method("primal", 0.9), Method("p*")), temperatures=(None, 0.7), filters=((), (("min_p", 0.3),))),
    )
    return Plan((task,), blocks, count=count, seeds=(0, 1))


def rows(folder: Path) -> list[str]:
    """Every result but for its time."""
    found = [{k: v for k, v in row.items() if k != "seconds"} for row in read(folder)[1]]
    return sorted(json.dumps(row, sort_keys=True) for row in found)


def places(folder: Path) -> list[tuple[str, int, str]]:
    """Of every line of the file that is an answer."""
    lines = map(json.loads, (folder / "results.jsonl").read_text().splitlines())
    return [(line["key"], line["seed"], line["item"]) for line in lines if "text" in line]


def test_rows_and_traces_are_those_of_this_process(embedded: Checkpoints, tmp_path: Path) -> None:
    job, told = Job(plan(), embedded, batch=4), list[int]()
    with Store(tmp_path / "here") as store:
        answered = run(job, store)
        explain(job, store, read(store.folder)[1], 2)
    with Pool(2, places={}) as pool, Store(tmp_path / "there") as store:
        away = Job(plan(), pool.checkpoints, batch=4)
        assert away.checkpoints.models == {}
        assert run(away, store, lambda unit, count: told.append(count), workers=pool) == answered == sum(told)
        assert len(pool.alive) == 2
        explain(away, store, read(store.folder)[1], 2, pool)
        assert run(away, store, workers=pool) == 0
    assert rows(tmp_path / "there") == rows(tmp_path / "here")
    assert len(places(tmp_path / "there")) == len(set(places(tmp_path / "there"))) == answered == 11 * (8 + 2 + 8)
    assert (tmp_path / "there" / TRACES).read_text() == (tmp_path / "here" / TRACES).read_text()
    here, there = (read(tmp_path / name)[2] for name in ("here", "there"))
    session = there["sessions"][0]
    assert session.pop("workers") == 2
    assert session | {"when": ""} == here["sessions"][0] | {"when": ""}
    assert {k: v for k, v in there.items() if k != "sessions"} == {k: v for k, v in here.items() if k != "sessions"}
    assert results_of(tmp_path / "there").unfinished == []


def test_more_workers_than_units_and_one_unit_after_another_to_one(embedded: Checkpoints, tmp_path: Path) -> None:
    small = Plan(("embedded",), (Block((Method("dual", 0.4),)),), count=3)
    with Pool(5, places={}) as pool, Store(tmp_path) as store:
        job = Job(small, pool.checkpoints)
        assert run(job, store, workers=pool) == 3
        assert len(pool.alive) == 1  # as many as there were units
        (first,) = pool.alive
        for _ in range(2):
            assert [found is None for _, found in pool.map(job, job.units())] == [False, True]
        assert pool.alive == pool.idle == [first]


@pytest.fixture
def quiz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Callable[..., None]]]:
    """A task of the user's own in the current folder, and what tells it whom to fail."""
    name = written(tmp_path, monkeypatch, "quiz", OWN)

    def ways(**more: object) -> None:
        (tmp_path / "ways.json").write_text(json.dumps({"driver": os.getpid(), **more}))

    ways()
    yield f"{name}.Quiz", ways
    sys.modules.pop(name, None)


def golds(task: str, count: int) -> list[str]:
    return [item.gold for item in counted(task_of(task), None, count, "all")[0]]


def own_plan(task: str, count: int = 8) -> Plan:
    own = Method(f"{task.partition('.')[0]}.sceptic", 0.6)
    return Plan((task,), (Block((Method("dual", 0.4), own), windows=(0, 3)),), count=count)


def test_a_killed_worker_loses_and_doubles_nothing(quiz, embedded: Checkpoints, tmp_path: Path) -> None:
    """SIGKILL with a unit in flight, whose texts are written and not yet handed back; twice."""
    task, ways = quiz
    ways(deadly=golds(task, 8)[5], times=DEATHS - 1)
    with Store(tmp_path / "here") as store:
        run(Job(own_plan(task), embedded, batch=3), store)
    with Pool(2, places={}) as pool, Store(tmp_path / "there") as store:
        assert run(Job(own_plan(task), pool.checkpoints, batch=3), store, workers=pool) == 32
        assert len(pool.alive) == 2
    killed = (tmp_path / "deaths").read_text().split()
    assert len(set(killed)) == DEATHS - 1
    assert rows(tmp_path / "there") == rows(tmp_path / "here")
    assert len(places(tmp_path / "there")) == len(set(places(tmp_path / "there"))) == 32


def test_a_unit_that_ends_every_worker_is_a_failure(quiz, tmp_path: Path) -> None:
    task, ways = quiz
    every = golds(task, 8)
    ways(deadly=every[0], times=DEATHS)  # the unit that is taken first, whose next turn is the next run
    one = Plan((task,), (Block((Method("dual", 0.4),)),), count=8)
    with Pool(1, places={}) as pool, Store(tmp_path / "s") as store:
        job = Job(one, pool.checkpoints, batch=3)
        with pytest.raises(Unanswered) as caught:
            run(job, store, workers=pool)
        assert len((tmp_path / "deaths").read_text().split()) == DEATHS
        assert [f.item for f in caught.value.failures] == ["0", "1", "2"]
        assert "3 workers died with its batch" in str(caught.value)
        assert caught.value.answered == 5
        assert run(job, store, workers=pool) == 3
    assert not read_failures(tmp_path / "s")


def test_workers_that_die_whatever_they_take_stop_the_run(quiz, tmp_path: Path, monkeypatch) -> None:
    task, ways = quiz
    monkeypatch.setattr(distributed, "DEATHS", 1)
    ways(deadly=golds(task, 1)[0], times=99)
    methods = tuple(Method("dual", value / 10) for value in range(1, 6))
    with Pool(1, places={}) as pool, Store(tmp_path / "s") as store:
        job = Job(Plan((task,), (Block(methods),), count=1), pool.checkpoints)
        with pytest.raises(ValueError, match="workers died 2 times and answered nothing in between") as caught:
            run(job, store, workers=pool)
        assert "\n" not in str(caught.value)


def test_an_error_of_the_work_is_not_tried_again(quiz, embedded: Checkpoints, tmp_path: Path) -> None:
    task, ways = quiz
    ways(ill=golds(task, 8)[4])
    scored, found = tmp_path / "scored", {}

    def ill(name: str, checkpoints: Checkpoints, workers: Workers) -> None:
        scored.unlink(missing_ok=True)
        job = Job(own_plan(task), checkpoints, batch=3)
        with Store(tmp_path / name) as store, pytest.raises(Unanswered) as caught:
            run(job, store, workers=workers)
        calls = sorted(scored.read_text().split())
        found[name] = calls, {(f.place, f.why) for f in caught.value.failures}, rows(tmp_path / name)
        assert len(caught.value.failures) == golds(task, 8).count(golds(task, 8)[4]) * 4

    ill("here", embedded, HERE)
    with Pool(2, places={}) as pool:
        ill("there", pool.checkpoints, pool)
    assert found["there"] == found["here"]


def test_what_is_wrong_with_everything_stops_the_run(quiz, tmp_path: Path) -> None:
    """So many failures in a row are not the questions'; those before are noted."""
    task, ways = quiz
    path = next(tmp_path.glob("quiz*.py"))
    path.write_text(path.read_text().replace('gold == ways.get("ill")', 'ways.get("ill")'))
    ways(ill=True)
    with Pool(1, places={}) as pool, Store(tmp_path / "s") as store:
        job = Job(Plan((task,), (Block((Method("dual", 0.4),)),), count=24), pool.checkpoints, batch=24)
        with pytest.raises(ValueError, match=r"20 questions in a row could not be answered, .* no such number"):
            run(job, store, workers=pool)
        assert len(read_failures(tmp_path / "s")) == 20


@pytest.fixture
def copied(tmp_path: Path) -> dict[str, str]:
    """The embedded pair in a folder of its own."""
    for role in ("base", "proxy"):
        shutil.copytree(MODELS / role, tmp_path / role)
    return {role: str(tmp_path / role) for role in ("base", "proxy")}


@pytest.mark.parametrize("what", ["fingerprint", "settings"])
def test_other_models_are_refused(copied: dict[str, str], tmp_path: Path, what: str) -> None:
    """The folder is changed after the driver has read it."""
    with Pool(1, places=copied, device="cpu") as pool, Store(tmp_path / "s") as store:
        job = Job(Plan(("embedded",), (Block((Method("dual", 0.4),)),), count=3), pool.checkpoints)
        if what == "fingerprint":
            shutil.copy(MODELS / "proxy-base" / "model.safetensors", tmp_path / "proxy")
        else:
            path = tmp_path / "proxy" / "generation_config.json"
            path.write_text(json.dumps(json.loads(path.read_text()) | {"eos_token_id": 0}))
        with pytest.raises(ValueError, match=f"has another proxy than the driver read: its {what} is"):
            run(job, store, workers=pool)
        assert places(tmp_path / "s") == []


def test_other_code_and_questions_are_refused(quiz, tmp_path: Path) -> None:
    task, _ = quiz
    with Pool(1, places={}) as pool, Store(tmp_path / "s") as store:
        job = Job(own_plan(task), pool.checkpoints)
        path = next(tmp_path.glob("quiz*.py"))
        path.write_text(path.read_text() + "\n# edited\n")
        with pytest.raises(ValueError, match=r"quiz would be asked under another code \("):
            run(job, store, workers=pool)
        path.write_text(path.read_text().replace("\n# edited\n", ""))
    with Pool(1, places={}) as pool:
        job = Job(own_plan(task), pool.checkpoints)
        outline = Outline.of(job)
        job.questions[0].items.reverse()
        with pytest.raises(ValueError, match="the questions of quiz are others"):
            Outline.of(job).job(pool.checkpoints)
        assert Outline.of(outline.job(pool.checkpoints)) == outline


def test_on_the_shell_with_modules_of_ones_own(quiz, embedded: Checkpoints, tmp_path: Path) -> None:
    """A Ray of the command's own; a file in the folder stands in the place of no library, in no process."""
    task, _ = quiz
    for library in ("torch", "ray", "safetensors", "random", "colorsys"):
        (tmp_path / f"{library}.py").write_text(
            f"open({str(tmp_path / 'shadowed')!r}, 'a').write('{library} ')\n1 / 0\n"
        )
    target = f"{task.partition('.')[0]}.sceptic:0.6"
    more = ["--n", "6", "--batch", "4", "--no-report", "--output", "s", "--workers", "2"]
    done = kad("eval", "--task", task, "--method", target, *more, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "6 questions answered" in done.stdout
    assert not (tmp_path / "shadowed").exists()
    with Store(tmp_path / "here") as store:
        method = Method(f"{task.partition('.')[0]}.sceptic", 0.6)
        run(Job(Plan((task,), (Block((method,)),), count=6), embedded, batch=4), store)
    assert rows(tmp_path / "s") == rows(tmp_path / "here")


def processes(root: int) -> dict[int, str]:
    """A process and everything that it has started, with their names, as /proc tells."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text()
        except OSError:
            continue
        parents[int(path.parent.name)] = int(text.rpartition(")")[2].split()[1])
    found = {root}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return {pid: Path(f"/proc/{pid}/cmdline").read_text() for pid in found}


def gone(pids: Iterable[int], seconds: float) -> None:
    """Wait until all of them have ended."""
    ends = time.monotonic() + seconds
    while left := alive(pids):
        assert time.monotonic() < ends, left
        time.sleep(0.1)


def alive(pids: Iterable[int]) -> set[int]:
    """Those that still run; what has ended and waits for its parent does not."""
    found = set()
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state not in "ZX":
            found.add(pid)
    return found


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")


@needs_proc
@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_driver_leaves_no_process_and_goes_on_with_others(
    embedded: Checkpoints, tmp_path: Path, by: int
) -> None:
    """By SIGKILL, after which another number of workers goes on; or by Ctrl-C."""
    given = [
        "eval",
        "--n",
        "30",
        "--seeds",
        "2",
        "--batch",
        "7",
        "--method",
        "dual:0.4,0.6",
        "--window",
        "0",
        "--window",
        "3",
    ]
    given += ["--no-report", "--traces", "0", "--output", "s"]
    driver = subprocess.Popen(
        [KAD, *given, "--workers", "2"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    file, ends = tmp_path / "s" / "results.jsonl", time.monotonic() + 200
    while not file.exists() or file.read_text().count('"text"') < 20:
        assert driver.poll() is None, driver.stderr.read()
        assert time.monotonic() < ends
        time.sleep(0.01)
    started = processes(driver.pid)
    os.kill(driver.pid, by)
    said = driver.communicate(timeout=60)[1]
    if by == signal.SIGINT:
        assert (driver.returncode, said) == (130, "kad: interrupted\n")
    workers = {pid for pid, name in started.items() if name.startswith("ray::Worker")}
    assert len(workers) == 2
    gone(workers, 10)
    if by == signal.SIGINT:
        gone(started, 10)
        return
    before = len(places(tmp_path / "s"))
    assert 20 <= before < 240
    done = kad(*given, "--workers", "1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"{240 - before} questions answered, {before} were there" in done.stdout
    assert len(places(tmp_path / "s")) == len(set(places(tmp_path / "s"))) == 240
    with Store(tmp_path / "here") as store:
        methods = (Method("dual", 0.4), Method("dual", 0.6))
        run(
            Job(Plan(("embedded",), (Block(methods, windows=(0, 3)),), count=30, seeds=(0, 1)), embedded, batch=7),
            store,
        )
    assert rows(tmp_path / "s") == rows(tmp_path / "here")
    gone(started, 120)  # two of Ray's own look for their killed parents for a minute


def test_a_search_finds_the_same(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    given = ["tune", "--n", "6", "--batch", "4", "--trials", "3", "--new-tokens", "12"]
    found = {}
    for name, more in (("here", []), ("there", ["--workers", "2"])):
        done = kad(*given, "--output", name, *more, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        tuned = json.loads((tmp_path / name / "tuned.json").read_text())
        speeds = tuned.pop("tokens_per_second")
        assert set(speeds) == {"0", "1", "3", "5", "7"}
        assert all(speed > 0 for speed in speeds.values())
        del tuned["window"]
        found[name] = tuned, rows(tmp_path / name)
    assert found["there"] == found["here"]
    assert {session.get("workers") for session in read(tmp_path / "there")[2]["sessions"]} == {2}


def test_on_a_cluster_that_is_running(embedded: Checkpoints, tmp_path: Path) -> None:
    """That of the other tests: another driver joins it, and leaves it as it was."""
    (tmp_path / "plan.yaml").write_text("{tasks: [embedded], n: 6, batch: 4, runs: [{methods: ['dual:0.4']}]}")
    given = ["--no-report", "--traces", "0", "--output", "s"]
    done = kad("sweep", "plan.yaml", *given, "--workers", "2", "--ray", "auto", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    with Store(tmp_path / "here") as store:
        run(Job(Plan(("embedded",), (Block((Method("dual", 0.4),)),), count=6), embedded, batch=4), store)
    assert rows(tmp_path / "s") == rows(tmp_path / "here")
    with Pool(1, places={}) as pool:
        assert len(pool.ray.nodes()) == 1


def test_threads_are_those_of_the_pool(embedded: Checkpoints) -> None:
    assert torch.get_num_threads() == 1
    with Pool(2, places={}) as pool:
        assert pool.about() == {"threads": 1, "workers": 2}
