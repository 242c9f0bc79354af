"""Results survive what happens to files and processes: kill -9, a full disk, read-only folders, damaged lines."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch

from kad.checkpoints import Checkpoints, load_checkpoints
from kad.evaluation import store as store_module
from kad.evaluation.job import Job
from kad.evaluation.methods import Method
from kad.evaluation.plan import Block, Configuration, Plan
from kad.evaluation.runner import run
from kad.evaluation.schema import configuration_of
from kad.evaluation.store import Store, read, read_rows

KILLS = 20


@pytest.fixture(scope="module")
def embedded() -> Checkpoints:
    return load_checkpoints({})


def job(checkpoints: Checkpoints, **changes) -> Job:
    blocks = (
        Block((Method("dual", 0.4), Method("q*")), windows=(0, 3)),
        Block((Method("primal", 0.9),), temperatures=(None, 0.7), filters=((), (("min_p", 0.3),))),
    )
    plan = Plan(("embedded",), blocks, count=20, seeds=(0, 1), **changes)
    return Job(plan, checkpoints, batch=6)


def lines(folder: Path) -> list[str]:
    return (folder / "results.jsonl").read_text(encoding="utf-8").splitlines()


def results(folder: Path) -> list[dict]:
    """Every line of the file but for the times."""
    return [{k: v for k, v in json.loads(x).items() if k != "seconds"} for x in lines(folder)]


@pytest.fixture(scope="module")
def uninterrupted(embedded: Checkpoints, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "store"
    with Store(folder) as store:
        assert run(job(embedded), store) == 20 * (2 * 2 + 2 + 1 + 2 * 2)
    return folder


def test_what_is_written_is_read(uninterrupted: Path, embedded: Checkpoints) -> None:
    configurations, rows, manifest = read(uninterrupted)
    assert len(configurations) == 6
    assert len(rows) == 220
    assert len({(r["key"], r["seed"], r["item"]) for r in rows}) == 220
    for row in rows:
        assert row["tokens"] == len(row["ids"]) == len(row["origins"]) == len(row["alphas"])
        assert row["correct"] == (row["answer"] == row["gold"])
    assert set(manifest["sessions"][0]["models"]) == {"base", "proxy", "reference", "aligned"}
    assert manifest["sessions"][0]["tasks"]["embedded"]["questions"] == 20
    with Store(uninterrupted) as store:
        assert run(job(embedded), store) == 0


def test_the_text_is_that_of_the_tokens_where_padding_is_a_word(tmp_path: Path) -> None:
    """A checkpoint may pad with any token; rows that end early were filled with it."""
    own = load_checkpoints({})
    for model in own.models.values():
        model.generation_config.pad_token_id = own.tokenizer.convert_tokens_to_ids("has")
    plan = Plan(("embedded",), (Block((Method("dual", 0.4),)),), count=8)
    with Store(tmp_path / "store") as store:
        run(Job(plan, own, batch=8), store)
    rows = read(tmp_path / "store")[1]
    assert len({row["tokens"] for row in rows}) > 1
    for row in rows:
        assert row["text"] == own.tokenizer.decode(row["ids"], skip_special_tokens=True)
        assert "has" not in row["text"]


def test_kill_9_at_random_moments(uninterrupted: Path, embedded: Checkpoints, tmp_path: Path) -> None:
    """Every run but the last is killed somewhere in its work; the end is the same, line for line."""
    folder, rng, killed = tmp_path / "store", random.Random(0), 0
    file, whole = folder / "results.jsonl", (uninterrupted / "results.jsonl").stat().st_size
    # What has been written says when, so that the machine's pace makes no difference; the pause lets any step be hit.
    moments = sorted(rng.uniform(0, 0.9 * whole) for _ in range(KILLS))
    torch.set_num_threads(1)
    while True:
        child = os.fork()
        if child == 0:  # the models are there already: what is killed is the work
            try:
                with Store(folder) as store:
                    run(job(embedded), store)
                os._exit(0)
            finally:
                os._exit(1)
        if killed < KILLS:
            while (file.stat().st_size if file.exists() else 0) < moments[killed]:
                time.sleep(0.001)
            time.sleep(rng.uniform(0, 0.02))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            break
        killed += 1
    assert killed >= KILLS // 2, "the runs were too fast to be killed"
    assert results(folder) == results(uninterrupted)


def test_every_cut_of_the_file_is_mended(uninterrupted: Path, embedded: Checkpoints, tmp_path: Path) -> None:
    """A kill in the middle of a write: the file ends anywhere."""
    whole = (uninterrupted / "results.jsonl").read_bytes()
    rng = random.Random(1)
    for at in [1, *(rng.randrange(len(whole) // 2, len(whole)) for _ in range(4)), len(whole) - 1]:
        folder = tmp_path / str(at)
        folder.mkdir()
        (folder / "results.jsonl").write_bytes(whole[:at])
        with Store(folder) as store:
            assert store.cut == at - (whole[:at].rfind(b"\n") + 1)
            run(job(embedded), store)
        assert results(folder) == results(uninterrupted), at


def test_order_and_resumption_make_no_difference(uninterrupted: Path, embedded: Checkpoints, tmp_path: Path) -> None:
    """The same questions in other batches, and the blocks the other way round: the same texts."""
    first = job(embedded)
    other = Job(Plan(("embedded",), first.plan.blocks[::-1], count=20, seeds=(1, 0)), embedded, batch=20)
    with Store(tmp_path / "s") as store:
        run(other, store)
    texts = [
        {(r["key"], r["seed"], r["item"]): r["text"] for r in read(folder)[1]}
        for folder in (uninterrupted, tmp_path / "s")
    ]
    assert texts[0] == texts[1]
    grown = Job(Plan(("embedded",), first.plan.blocks, count=26, seeds=(0, 1)), embedded, batch=6)
    with Store(tmp_path / "s") as store:
        run(grown, store)
    more = {(r["key"], r["seed"], r["item"]): r["text"] for r in read(tmp_path / "s")[1]}
    assert len(more) == 26 * 11
    assert texts[0].items() <= more.items()


def test_a_full_disk(embedded: Checkpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = job(embedded)
    with Store(tmp_path / "s") as store:
        run(Job(Plan(("embedded",), one.plan.blocks, count=6), embedded, batch=6), store)
        before = (tmp_path / "s" / "results.jsonl").read_bytes()
        write, calls = os.write, []

        def full(file: int, data) -> int:
            calls.append(len(data))
            if len(calls) == 2:
                raise OSError(errno.ENOSPC, "No space left on device")
            return write(file, bytes(data)[: len(data) // 2])  # the first half fits

        monkeypatch.setattr(store_module.os, "write", full)
        with pytest.raises(ValueError, match="there is no space left; what was there is kept, run again"):
            run(one, store)
        monkeypatch.undo()
        assert (tmp_path / "s" / "results.jsonl").read_bytes() == before
        run(one, store)
    assert len(read(tmp_path / "s")[1]) == 220


def test_folders_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="is a file; choose a folder"):
        Store(tmp_path / "file")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_text("")
    with pytest.raises(ValueError, match=r"holds other files and no results.jsonl"):
        Store(tmp_path / "photos")
    with Store(tmp_path / "s"), pytest.raises(ValueError, match="another run is writing to"):
        Store(tmp_path / "s")
    with Store(tmp_path / "s"):
        pass
    with pytest.raises(ValueError, match=r"holds no results.jsonl; kad eval writes one"):
        read(tmp_path / "photos")

    def refuse(*arguments, **options) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(store_module.os, "open", refuse)
    with pytest.raises(ValueError, match=r"cannot write to .*: Read-only file system"):
        Store(tmp_path / "new")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir(mode=0o500)
    with pytest.raises(ValueError, match=r"cannot write to .*: Permission denied"):
        Store(tmp_path / "s")


@pytest.mark.parametrize("line", ["{oops", "[1]", '{"a": 1}', "\x00\x00"])
def test_a_damaged_line(tmp_path: Path, line: str) -> None:
    good = json.dumps({"key": "k", "configuration": {"task": "t", "method": "p", "models": []}})
    (tmp_path / "results.jsonl").write_text(f"{good}\n{line}\n{good}\n")
    for opener in (Store, read):
        with pytest.raises(ValueError, match=r"line 2 of .*results.jsonl is damaged"):
            opener(tmp_path)


def test_other_questions_are_not_mixed(embedded: Checkpoints, tmp_path: Path) -> None:
    """Other questions under the same names are asked; the answers to the former are kept, count nowhere, and come back."""
    one = Job(Plan(("embedded",), job(embedded).plan.blocks[:1], count=6), embedded, batch=6)
    changed = Job(one.plan, embedded, batch=6)
    before = list(one.questions[0].items)
    for place, item in enumerate(reversed(before)):
        changed.questions[0].items[place] = type(item)(str(place), item.question, item.gold, item.solution)
    texts = []
    with Store(tmp_path / "s") as store:
        for asked, answered in ((one, 18), (changed, 18), (one, 0), (changed, 0)):
            assert run(asked, store) == answered
            found, _ = read_rows(tmp_path / "s")
            golds = {item.id: item.gold for item in asked.questions[0].items}
            assert len(found.current) == 18
            assert all(row["gold"] == golds[row["item"]] for row in found.current)
            assert len(found.superseded) == (0 if not texts else 18)
            texts.append({(r["key"], r["item"]): r["text"] for r in found.current})
    assert texts[0] == texts[2] != texts[1] == texts[3]


def test_other_models_are_another_configuration(embedded: Checkpoints) -> None:
    one = Configuration("gsm8k", "p", models=(("base", "abc"),))
    assert one.key != Configuration("gsm8k", "p", models=(("base", "abd"),)).key
    assert configuration_of(json.loads(json.dumps(one.__dict__))) == one
    keys = {c.key for c in job(embedded).configurations()}
    assert len(keys) == 6
    # A model that a method does not use makes no difference to it: it can be given later.
    fewer = Checkpoints({role: embedded.models[role] for role in ("base", "proxy")}, embedded.tokenizer)
    assert {c.key for c in job(fewer).configurations()} == keys
