"""No row is lost: memory that ends, questions that cannot be answered, files that go away or come from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from kad.checkpoints import Checkpoints, load_checkpoints
from kad.cli.main import main
from kad.evaluation import answering
from kad.evaluation.failures import FAILURES, Unanswered, read_failures
from kad.evaluation.job import Job, Unit
from kad.evaluation.methods import Method
from kad.evaluation.plan import Block, Configuration, Plan, from_yaml
from kad.evaluation.runner import run
from kad.evaluation.store import RESULTS, Store, read

LARGEST = 2  # rows that fit the memory of the sick model
SICK = {"3", "7"}  # questions for which its logits are NaN


@pytest.fixture(scope="module")
def embedded() -> Checkpoints:
    return load_checkpoints({})


def job(checkpoints: Checkpoints) -> Job:
    blocks = (Block((Method("dual", 0.4), Method("q*")), windows=(0, 3)),)
    return Job(Plan(("embedded",), blocks, count=10, seeds=(0, 1)), checkpoints, batch=8)


def rows(folder: Path) -> dict[tuple[str, int, str], dict]:
    """Every result but for its time, by its place."""
    found = read(folder)[1]
    return {(r["key"], r["seed"], r["item"]): {k: v for k, v in r.items() if k != "seconds"} for r in found}


def same(one: dict, other: dict) -> bool:
    """Equal, α to rounding: in a batch of another size the logits' last bits differ."""
    near = all(a == b or abs(a - b) < 1e-3 for a, b in zip(one["alphas"], other["alphas"], strict=True))
    return near and one | {"alphas": None} == other | {"alphas": None}


@pytest.fixture(scope="module")
def healthy(embedded: Checkpoints, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("healthy") / "store"
    with Store(folder) as store:
        run(job(embedded), store)
    return folder


@contextmanager
def sickness(
    checkpoints: Checkpoints, largest: int = LARGEST, sick: frozenset[str] = frozenset(SICK)
) -> Iterator[list[int]]:
    """The models run out of memory above some rows, and give NaN for some questions; the sizes of the calls."""
    sizes, decode = list[int](), answering.call_engine
    ids = list[str]()

    def hooked(module: object, inputs: object, output: object) -> object:
        if len(output.logits) > largest:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")
        if len(output.logits) == len(ids):
            for row, id in enumerate(ids):
                if id in sick:
                    output.logits[row] = torch.nan
        return output

    def decoded(job: Job, unit: Unit) -> object:
        ids[:] = [item.id for item in unit.items]
        sizes.append(len(ids))
        return decode(job, unit)

    hooks = [model.register_forward_hook(hooked) for model in checkpoints.models.values()]
    answering.call_engine = decoded
    try:
        yield sizes
    finally:
        answering.call_engine = decode
        for hook in hooks:
            hook.remove()


def test_all_other_rows_are_those_of_a_healthy_run(embedded: Checkpoints, healthy: Path, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    with sickness(embedded) as sizes, Store(folder) as store, pytest.raises(Unanswered) as caught:
        run(job(embedded), store)
    whole, found = rows(healthy), rows(folder)
    assert found.keys() == {place for place in whole if place[2] not in SICK}
    assert not [place for place, row in found.items() if not same(row, whole[place])]
    assert sizes[:3] == [8, 4, 2]  # it is learned once
    assert sum(size > LARGEST for size in sizes) == 2
    failures = caught.value.failures
    assert {f.place for f in failures} == {place for place in whole if place[2] in SICK}
    assert caught.value.answered == len(found)
    first = failures[0]
    assert (first.task, first.method, first.seed, first.item) == ("embedded", "dual λ=0.4", 0, "3")
    assert "NaN" in first.why
    assert "question 3 of embedded under dual λ=0.4, seed 0: the base model returned NaN" in str(caught.value)
    assert read_failures(folder) == failures

    with sickness(embedded, largest=8) as sizes, Store(folder) as store, pytest.raises(Unanswered) as caught:
        run(job(embedded), store)  # still sick: only what failed is asked again
    assert caught.value.answered == 0
    assert max(sizes) == 2

    with Store(folder) as store:
        assert run(job(embedded), store) == len(failures)
    found = rows(folder)
    assert found.keys() == whole.keys()
    assert not [place for place, row in found.items() if not same(row, whole[place])]
    assert not (folder / FAILURES).exists()
    with Store(folder) as store:
        assert run(job(embedded), store) == 0


def test_on_the_shell(capsys, monkeypatch, embedded: Checkpoints, tmp_path: Path) -> None:
    monkeypatch.setattr("kad.cli.crew.load_checkpoints", lambda *places: embedded)
    command = ["eval", "--n", "9", "--batch", "4", "--method", "dual:0.4,0.5", "--output", str(tmp_path / "e")]
    with sickness(embedded):
        assert main(command) == 1
    out, err = capsys.readouterr()
    assert "14 questions answered, 0 were there" in out
    assert "4 questions have no answer: question 3 of embedded under dual λ=0.4, seed 0" in err
    page = (tmp_path / "e" / "report.html").read_text()
    assert "question 7 of embedded under dual λ=0.5" in page
    assert main(["report", str(tmp_path / "e"), "--json"]) == 0
    numbers = json.loads(capsys.readouterr().out)
    assert [f["item"] for f in numbers["failures"]] == ["3", "7", "3", "7"]
    assert {s["questions"] for s in numbers["summaries"]} == {7}
    assert main(command) == 0
    assert "4 questions answered, 14 were there" in capsys.readouterr().out
    assert 'id="failures"' not in (tmp_path / "e" / "report.html").read_text()


def test_what_is_wrong_with_everything_stops_the_run(embedded: Checkpoints, tmp_path: Path, monkeypatch) -> None:
    def broken(job: Job, unit: Unit) -> object:
        raise RuntimeError("no kernel image is available")

    monkeypatch.setattr(answering, "call_engine", broken)
    with Store(tmp_path) as store, pytest.raises(ValueError, match=r"20 questions in a row .* no kernel image"):
        run(job(embedded), store)
    monkeypatch.setattr(
        answering, "call_engine", lambda job, unit: (_ for _ in ()).throw(ImportError("no such library"))
    )
    with Store(tmp_path) as store, pytest.raises(ImportError, match="no such library"):
        run(job(embedded), store)


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_is_removed_while_it_is_written(tmp_path: Path, replaced: bool) -> None:
    one = Configuration("embedded", "p")
    row = {"key": one.key, "seed": 0, "item": "1", "question": "ab"}
    with Store(tmp_path) as store:
        store.append(one, [row])
        (tmp_path / RESULTS).unlink()
        if replaced:
            (tmp_path / RESULTS).write_text("")
        with pytest.raises(ValueError, match=r"results\.jsonl was removed or replaced"):
            store.append(one, [row | {"item": "2"}])


CONFIGURATION = json.dumps({"key": "k", "configuration": {"task": "t", "method": "p"}})
ROW = {"key": "k", "seed": 0, "item": "1", "question": "ab"}


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("manifest.json", '{"format": 3, "sessions": []}', "was written by a newer version of kad (format 3"),
        ("manifest.json", '{"format": "1"}', "manifest.json is damaged"),
        ("manifest.json", "[]", "manifest.json is damaged (it must hold an object)"),
        ("manifest.json", '{"sessions": [1]}', "manifest.json is damaged"),
        ("manifest.json", '{"asked": [1]}', "manifest.json is damaged"),
        ("manifest.json", '{"prompts": {"a": 1}}', "manifest.json is damaged"),
        ("manifest.json", "[" * 100_000, "manifest.json is damaged"),
        ("traces.json", "{", "traces.json is damaged"),
        ("traces.json", "[{}]", "traces.json is damaged"),
        ("failures.json", "[{}]", "failures.json is damaged"),
        (RESULTS, '{"key": "k", "configuration": {"task": "t", "method": "p", "zeal": 1}}\n', "has the field zeal"),
        (RESULTS, '{"key": "k", "configuration": {"method": "p"}}\n', "line 1 of"),
        (RESULTS, '{"key": "k", "configuration": 7}\n', "its configuration is no object"),
        (RESULTS, f"{CONFIGURATION}\n{json.dumps(ROW | {'seed': '0'})}\n", "line 2 of"),
        (RESULTS, f"{CONFIGURATION}\n{json.dumps(ROW | {'correct': 1})}\n", "its correct is 1"),
        (RESULTS, f"{CONFIGURATION}\n{json.dumps(ROW | {'verdict': True})}\n", "it is a verdict and has no correct"),
        (RESULTS, f"{CONFIGURATION}\n{json.dumps({'key': 'k', 'seed': 0})}\n", "it has no item"),
    ],
)
def test_files_of_elsewhere(capsys, healthy: Path, tmp_path: Path, name: str, text: str, words: str) -> None:
    for path in healthy.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / name).write_text(text)
    assert main(["report", str(tmp_path)]) == 1
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1
    if name != "traces.json":
        with pytest.raises(ValueError, match=r"damaged|newer"):
            Store(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "n: yes", "n: 1.5", "n: '5'", "n: [1]", "n: 0", "seeds: yes", "seeds: 0", "seeds: 2.5", "seeds: x", "seeds: [1, 1]",
        "seeds: [x]", "seeds: {a: 1}", "shots: no", "shots: -1", "shuffle: x", "new_tokens: ten", "batch: yes", "batch: 0",
        "base: 5", "data: [1]", "tasks: 5", "tasks: [1]", "runs: 5", "runs: [5]", "runs: []", "runs: [{methods: 5}]",
        "runs: [{methods: [true]}]", "runs: [{methods: {dual: yes}}]", "runs: [{methods: {dual: []}}]",
        "runs: [{methods: {dual: x}}]", "runs: [{methods: p, windows: yes}]", "runs: [{methods: p, windows: 1.5}]",
        "runs: [{methods: p, windows: [[1]]}]", "runs: [{methods: p, placements: 5}]", "runs: [{methods: p, temperatures: hot}]",
        "runs: [{methods: p, temperatures: yes}]", "runs: [{methods: p, temperatures: .inf}]",
        "runs: [{methods: p, filters: [{top_k: 1.5}]}]", "runs: [{methods: p, filters: [{top_p: 0}]}]",
        "runs: [{methods: p, filters: [{min_p: yes}]}]", "n: 3\nn: 4",
    ],
)  # fmt: skip
def test_values_of_a_plan(tmp_path: Path, text: str) -> None:
    """Wrong types and values are one sentence that names the plan; none passes for a number."""
    key = text.partition(":")[0]
    rest = {"tasks": "tasks: embedded", "runs": "runs: [{methods: p}]"}
    path = tmp_path / "plan.yaml"
    path.write_text("\n".join([line for name, line in rest.items() if name != key] + [text]) + "\n")
    with pytest.raises(ValueError, match=r"plan\.yaml") as caught:
        from_yaml(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("command", "module", "words"),
    [
        (["eval"], "matplotlib", "needs matplotlib: pip install 'kad-align[plots]'"),
        (["eval"], "jinja2", "needs jinja2: pip install 'kad-align[evaluation]'"),
        (
            ["eval", "--task", "math500"],
            "math_verify",
            "math500 needs math-verify: pip install 'kad-align[evaluation]'",
        ),
        (["sweep", "plan.yaml"], "matplotlib", "needs matplotlib"),
        (["tune"], "optuna", "kad tune needs optuna: pip install 'kad-align[tune]'"),
        (["eval", "--workers", "2"], "ray", "--workers needs ray: pip install 'kad-align[ray]'"),
        (["sweep", "plan.yaml", "--workers", "2"], "ray", "--workers needs ray"),
        (["tune", "--workers", "2"], "ray", "--workers needs ray"),
        (["demo"], "matplotlib", "kad demo needs matplotlib"),
        (["bench", "--output", "b"], "matplotlib", "--output needs matplotlib"),
        (["solve", "--family", "zipf", "--plots", "s"], "matplotlib", "--plots needs matplotlib"),
    ],
)
def test_extras_are_asked_for_first(
    capsys, monkeypatch, tmp_path: Path, command: list[str], module: str, words: str
) -> None:
    import sys

    def loaded(*places: object, **options: object) -> None:
        raise AssertionError("models were loaded before the extra was asked for")

    monkeypatch.chdir(tmp_path)
    Path("plan.yaml").write_text("tasks: embedded\nruns: [{methods: p}]\n")
    for name in (
        "kad.cli.crew.load_checkpoints",
        "kad.cli.demo.load",
        "kad.cli.bench.build",
    ):
        monkeypatch.setattr(name, loaded)
    monkeypatch.setitem(sys.modules, module, None)
    assert main(command) in (1, 2)
    assert words in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["plan.yaml"]
