"""lm-evaluation-harness: the same answers and scores as ``kad eval``, and log-likelihoods under π."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import kad
from kad.cli.main import main
from kad.demo import MODELS
from kad.evaluation.questions import load_rows
from kad.evaluation.store import read
from kad.evaluation.task import messages, render
from kad.evaluation.tasks import task_of

lm_eval = pytest.importorskip("lm_eval", reason="needs lm-evaluation-harness: pip install 'kad-align[lm-eval]'")
from lm_eval.api.instance import Instance  # noqa: E402
from lm_eval.tasks import TaskManager  # noqa: E402

from kad.evaluation.harness import KadLM  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # the harness's own
COUNT = 12
OWN_TASKS = TaskManager(include_defaults=False)  # the harness else reads its 13,000 task files for every evaluation


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    task, file = task_of("embedded"), tmp_path_factory.mktemp("data") / "questions.jsonl"
    items = task.items(load_rows(task, count=COUNT))
    file.write_text("".join(json.dumps({"question": i.question, "answer": i.gold}) + "\n" for i in items))
    return file


def score(document: dict, results: list[str]) -> dict[str, float]:
    return {"acc": float(task_of("embedded").answer.score(results[0], document["answer"])[1])}


def harness_task(file: Path, **generation) -> dict:
    return {
        "task": "word_problems", "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(file)}},
        "test_split": "test", "output_type": "generate_until", "doc_to_text": "{{question}}", "doc_to_target": "{{answer}}",
        "process_results": score, "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
        "generation_kwargs": {"until": [], "do_sample": False, "max_gen_toks": 72} | generation,
    }  # fmt: skip


def through_harness(
    file: Path, batch: int, generation: dict | None = None, limit: int | None = None, **options
) -> tuple[list[str], float]:
    model = KadLM(batch_size=batch, device="cpu", **options)
    found = lm_eval.simple_evaluate(
        model=model, tasks=[harness_task(file, **(generation or {}))], apply_chat_template=True, log_samples=True,
        bootstrap_iters=0, limit=limit, task_manager=OWN_TASKS,
    )  # fmt: skip
    samples = sorted(found["samples"]["word_problems"], key=lambda s: s["doc_id"])
    return [s["resps"][0][0] for s in samples], found["results"]["word_problems"]["acc,none"]


@pytest.mark.parametrize("window", [0, 4])
@pytest.mark.parametrize("method", ["dual:0.4", "confidence-bet:0.1", "p"])
def test_the_same_answers_and_scores_as_kad_eval(rows: Path, tmp_path: Path, method: str, window: int) -> None:
    """The same questions from the same local file through both, greedily."""
    form = tmp_path / "task.yaml"
    form.write_text(f"name: word_problems\nfile: {rows}\nnew_tokens: 72\ninstruction: ''\n")
    folder = tmp_path / "e"
    arguments = ["eval", "--task", str(form), "--method", method, "--window", str(window), "--greedy", "--no-report"]
    assert main([*arguments, "--batch", "7", "--output", str(folder)]) == 0
    own = read(folder)[1]
    texts, accuracy = through_harness(rows, 5, method=method, window=window)
    assert [t.strip() for t in texts] == [r["text"].strip() for r in own]
    assert accuracy == pytest.approx(sum(r["correct"] for r in own) / COUNT)


def test_samples_do_not_depend_on_the_batch(rows: Path) -> None:
    heat = {"do_sample": True, "temperature": 0.7}
    one, other, reseeded = (through_harness(rows, b, heat, limit=6, seed=s)[0] for b, s in ((1, 3), (5, 3), (5, 4)))
    assert one == other
    assert one != reseeded


@pytest.mark.parametrize("method", ["dual:0.4", "implicit-reward:1", "confidence-bet:0.1", "q*"])
def test_log_likelihoods_are_those_of_the_target(rows: Path, method: str) -> None:
    """Token by token from full passes of the models, by the target's own formula."""
    model, pair, task = KadLM(method=method, batch_size=3, device="cpu"), kad.demo.load(), task_of("embedded")
    items = task.items(load_rows(task, count=4))
    requests, wanted = [], []
    for item in items:
        prompt = render(pair.tokenizer, messages(task, item))
        for reply in (" first", f" {item.solution}"):
            requests.append(Instance("loglikelihood", {}, (prompt, reply), 0))
            first = pair.tokenizer(prompt, add_special_tokens=False).input_ids
            ids = pair.tokenizer(prompt + reply, add_special_tokens=False).input_ids
            with torch.no_grad():
                p, q, r = (
                    torch.softmax(m(torch.tensor([ids])).logits[0].double(), -1)
                    for m in (pair.base, pair.proxy, pair.proxy_base)
                )
            pi = q if method == "q*" else model.target(p, q, r) if "reward" in method else model.target(p, q)
            places = range(len(first) - 1, len(ids) - 1)
            wanted.append(
                (
                    sum(float(pi[i, ids[i + 1]].log()) for i in places),
                    all(int(pi[i].argmax()) == ids[i + 1] for i in places),
                )
            )
    for (value, greedy), (value_wanted, greedy_wanted) in zip(model.loglikelihood(requests), wanted, strict=True):
        assert value == pytest.approx(value_wanted, abs=1e-3)
        assert greedy == greedy_wanted


def test_the_command(rows: Path, tmp_path: Path) -> None:
    """A task folder of one's own through ``kad lm-eval``, in a process."""
    (tmp_path / "word_problems.yaml").write_text(
        f"task: word_problems\ndataset_path: json\ndataset_kwargs:\n  data_files:\n    test: {rows}\ntest_split: test\n"
        "output_type: generate_until\ndoc_to_text: '{{question}}'\ndoc_to_target: '{{answer}}'\n"
        "generation_kwargs:\n  until: []\n  do_sample: false\n  max_gen_toks: 72\n"
        "filter_list:\n  - name: last\n    filter:\n      - function: regex\n        regex_pattern: '#### (\\d+)'\n      - function: take_first\n"
        "metric_list:\n  - metric: exact_match\n    aggregation: mean\n    higher_is_better: true\n"
    )
    command = [
        sys.executable, "-m", "kad", "lm-eval", "--tasks", "word_problems", "--include_path", str(tmp_path), "--apply_chat_template",
        "--model_args", "method=dual:0.4,window=3", "--batch_size", "4", "--limit", "6",
    ]  # no --device: the harness's default is a CUDA device, whether there is one or not  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "exact_match" in done.stdout
    assert "kad" in done.stdout


def test_refusals() -> None:
    with pytest.raises(ValueError, match="one method at a time"):
        KadLM(method="dual:0.3,0.4")
    with pytest.raises(ValueError, match="there is no method 'magic'"):
        KadLM(method="magic")
    assert main(["lm-eval", "--model_args", "method=magic", "--tasks", "arc_easy", "--device", "cpu"]) != 0


def test_the_help_names_what_kad_takes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["lm-eval", "--help"])
    shown = capsys.readouterr().out
    for name in ("base, proxy", "reference, aligned", "method", "placement", "window, seed", "usage: lm-eval"):
        assert name in shown


def test_a_checkpoint_on_the_default_device(rows: Path) -> None:
    """What the harness gives where nobody says anything is no device of this machine."""
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    places = {role: str(MODELS / role) for role in ("base", "proxy")}
    model = KadLM(device="cuda:0", batch_size=2, **places)
    assert {m.device.type for m in model.engine.checkpoints.models.values()} == {"cpu"}
