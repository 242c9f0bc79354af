"""Nothing of a stranger runs: files beside one's results, code of checkpoints, names in plans; and nothing is unbounded."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import kad
from kad import bounded, imports
from kad.cli.main import main
from kad.decoding import template
from kad.demo import MODELS
from kad.evaluation.files import read_yaml
from kad.terminal import Console, generated

from .forks import Forks

MARKER = "import os\nopen(os.path.join({folder!r}, 'marker-' + __name__ + '-' + str(os.getpid())), 'w').close()\n"
# Imported only now and then, or looked for and lived without: found with a finder at the end of sys.meta_path that took notes.
RARE = """
_jsonnet accelerate aim antigravity argcomplete backports bitsandbytes boto3 bottleneck brotli clearml colorama comet_ml
cuda cython datasets deepspeed docstring_parser duckdb dvclive elasticsearch envwrap faiss filelock flash_attn flint gmpy
gmpy2 h2 hf_transfer hqq jax jinja2 kernels librosa lm_eval lz4 math_verify matplotlib mistral_common mlflow mlx numexpr
omegaconf onnx onnxruntime opt_einsum optuna org ortools pandas peft polars py7zr pyarrow pydot pynvml pytest rarfile
readline redis rlcompleter rnc2rng ruamel ruyaml scikits sentencepiece shtab simplejson sitecustomize sksparse snappy
socks soundfile substrait swanlab tensorboard tensorboardX tensorflow tiktoken toml tomllib torch_npu torch_xla torchao
torchaudio torchcodec torchvision trackio tree trio triton typeshed_client usercustomize wandb wcwidth xarray zstandard
"""
SHELL = "import sys; sys.argv[0] = 'kad'; from kad.cli.main import entry; entry()"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder with a marker of every module's name, checkpoints with code of their own, plans; and where markers appear."""
    folder, appeared = tmp_path_factory.mktemp("hostile"), tmp_path_factory.mktemp("appeared")
    code = "import sys; import kad.cli.commands, kad.cli.evaluate, kad.evaluation.tuning, kad.evaluation.harness; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names = (
        {name.partition(".")[0] for name in done.stdout.split()}
        | set(RARE.split())
        | set(sys.stdlib_module_names)
        | set(packages_distributions())
    )
    for name in names - {"kad", "__main__"}:
        if name.isidentifier():
            (folder / f"{name}.py").write_text(MARKER.format(folder=str(appeared)))
    (folder / "mine.py").write_text(
        f"def mark():\n    open({str(appeared / 'called')!r}, 'w').close()\ndef leave():\n    raise SystemExit(0)\n"
    )
    (folder / "matplotlibrc").write_text("backend: module://optuna\ntext.usetex: True\n")
    (folder / "tasks").mkdir()
    (folder / "tasks" / "x.yaml").write_text(
        "task: x\ndataset_path: json\ntest_split: test\noutput_type: generate_until\n"
    )
    (folder / "ends.py").write_text("raise SystemExit(0)\n")
    for name in ("mine.mark", "mine.leave", "ends.target", "os.abort", "sys.exit"):
        (folder / f"{name}.yaml").write_text(f"tasks: embedded\nn: 2\nruns: [{{methods: [{name}]}}]\n")
    (folder / "plan.yaml").write_text("tasks: embedded\nn: 2\nruns: [{methods: p, temperatures: greedy}]\n")
    own = {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model", "AutoTokenizer": ["code.Tok", None]}
    for name in ("model", "tokenizer", "unknown"):
        shutil.copytree(MODELS / "base", folder / name)
        (folder / name / "custom_generate").mkdir()
        for file in ("code.py", "custom_generate/generate.py"):
            (folder / name / file).write_text(MARKER.format(folder=str(appeared)))
        file = "tokenizer_config.json" if name == "tokenizer" else "config.json"
        found = json.loads((folder / name / file).read_text()) | {"auto_map": own}
        if name == "unknown":
            found["model_type"] = "strange"
        if name == "tokenizer":
            found["tokenizer_class"] = "StrangeTokenizer"
        (folder / name / file).write_text(json.dumps(found))
    return folder, appeared


def test_no_marker_appears(hostile: tuple[Path, Path]) -> None:
    """Every subcommand as a process of its own, in the hostile folder, with yes to every question.

    One starts from nothing, the others from one that has imported kad in that folder.
    """
    folder, appeared = hostile
    proxy = str(MODELS / "proxy")
    few = ["--task", "embedded", "--n", "2", "--batch", "2", "--no-report", "--traces", "0", "--new_tokens", "8"]
    tiny = ["--batch", "1", "--gamma", "0", "--new_tokens", "2", "--rounds", "1", "--prompt_tokens", "2"]
    runs: list[tuple[int, list[str]]] = [
        (0, ["--version"]),
        (0, ["--help"]),
        (2, ["generat", "hi"]),
        (0, ["generate", "q : hi", "--max_new_tokens", "4"]),
        (1, ["generate", "hi", "--base", "unknown", "--proxy", proxy]),
        (2, ["generate", "hi", "--loss", "mine.mark"]),
        (0, ["solve", "--family", "zipf", "--size", "50", "--plots", "figures"]),
        (0, ["bench", "--base", "model", "--proxy", proxy, *tiny]),
        (0, ["demo", "--quick", "--n", "2", "--output", "d"]),
        (0, ["eval", *few, "--method", "p", "--output", "e"]),
        (0, ["sweep", "plan.yaml", "--output", "s"]),
        (0, ["tune", "--task", "embedded", "--n", "2", "--trials", "1", "--new_tokens", "8", "--output", "t"]),
        (1, ["lm-eval", "--include_path", "tasks", "--tasks", "x", "--model_args", f"base=unknown,proxy={proxy}"]),
        (2, ["sweep", "mine.mark.yaml", "--output", "m"]),
    ]
    environment = os.environ | {
        "PYTHONPATH": str(Path(kad.__file__).parents[1]),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "200",
    }

    # -P: as the installed command, whose first entry of the path is its own folder.
    fresh = subprocess.run(
        [sys.executable, "-P", "-c", SHELL, "generate", "q : hi", "--max_new_tokens", "4"], cwd=folder, input="y\n" * 100,
        capture_output=True, text=True, env=environment,
    )  # fmt: skip
    assert (fresh.returncode, "Traceback" in fresh.stderr) == (0, False), fresh.stderr
    forks = Forks(["-P"], folder, environment)
    for status, arguments in [*runs, (0, ["report", "s"])]:
        done = forks.run(arguments, cwd=folder, given="y\n" * 100)
        err = done.stderr.decode()
        assert done.returncode == status, (arguments, done.stdout[-500:], err[-1500:])
        assert "Traceback" not in err, (arguments, err[-1500:])
        if "unknown" in " ".join(arguments):
            assert "code of its own (auto_map), which kad never runs" in err
    assert not forks.close()
    assert [path.name for path in appeared.iterdir()] == []


@pytest.mark.parametrize("name", ["mine.mark", "mine.leave", "ends.target", "os.abort", "sys.exit"])
def test_names_in_plans_and_options(hostile: tuple[Path, Path], capsys, monkeypatch, name: str) -> None:
    folder, appeared = hostile
    monkeypatch.chdir(folder)
    for command in (["sweep", f"{name}.yaml", "--output", name], ["generate", "hi", "--target", name]):
        assert main(command) in (1, 2)
        err = capsys.readouterr().err
        assert err.startswith("kad: ")
        assert err.count("\n") == 1
    for module in ("mine", "ends"):
        sys.modules.pop(module, None)
    assert [path.name for path in appeared.iterdir()] == []


@pytest.mark.parametrize("place", ["model", "tokenizer", "unknown"])
def test_checkpoints_with_code_of_their_own(hostile: tuple[Path, Path], capsys, monkeypatch, place: str) -> None:
    """A model known to transformers is read without its code; what needs its code is refused."""
    folder, appeared = hostile
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n" * 10))
    path = str(folder / place)
    status = main(["generate", "q : hi", "--base", path, "--proxy", path, "--max_new_tokens", "2"])
    assert status == (0 if place == "model" else 1), capsys.readouterr().err
    assert [path.name for path in appeared.iterdir()] == []
    assert sys.stdin.read() == "y\n" * 10  # nobody was asked


OWN = """
import kad
one = kad.dual(0.4)
class Mine(kad.Target):
    def __call__(self, p, q, r=None):
        return p
def made() -> kad.Target:
    return kad.dual(0.3)
def undeclared():
    raise AssertionError("called")
def ends() -> kad.Target:
    raise SystemExit(0)
"""


def test_only_what_is_declared_is_called(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_targets.py").write_text(OWN)
    (tmp_path / "own_ending.py").write_text("raise SystemExit(0)\n")
    (tmp_path / "json.py").write_text("raise AssertionError('shadows the standard library')\n")
    before = list(sys.path)
    try:
        for name in ("one", "Mine", "made"):
            assert isinstance(imports.made(f"own_targets.{name}", "target", kad.Target), kad.Target)
        for name, words in [
            ("undeclared", "no function declared"),
            ("ends", "making it failed"),
            ("nothing", "no attribute"),
        ]:
            with pytest.raises(ValueError, match=words):
                imports.made(f"own_targets.{name}", "target", kad.Target)
        for path in ("os.abort", "sys.exit", "builtins.print"):
            with pytest.raises(ValueError, match="no function declared to return one"):
                imports.made(path, "target", kad.Target)
        with pytest.raises(ValueError, match="its import failed"):
            imports.imported("own_ending.x", "target")
        assert imports.imported("json.loads", "target") is json.loads
        assert sys.path == before
        (tmp_path / "own_unnamed.py").write_text("")
        with pytest.raises(ImportError):
            __import__("own_unnamed")
    finally:
        sys.modules.pop("own_targets", None)


BOMB = "a: &a [1, 2, 3, 4, 5, 6, 7, 8, 9]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BOMB, "stands for more than 100,000 values"),
        ("[" * 200 + "]" * 200, "nested deeper than 50 levels"),
        ("tasks: embedded\nn: 3\nn: 4\n", "line 3 gives the key 'n' again"),
        ("a: " + "x" * 2_000_000, "longer than 1,000,000 characters"),
        ("a: &a [*a]\n", "the alias"),
        ("!!python/object/apply:os.abort []\n", "is no YAML"),
    ],
)
def test_yaml_is_bounded(capsys, tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=words):
        read_yaml(path, "plan")
    assert main(["sweep", str(path), "--output", str(tmp_path / "s")]) == 2
    assert words in capsys.readouterr().err
    assert main(["generate", "hi", "--config", str(path)]) == 2
    err = capsys.readouterr().err
    assert err.startswith("kad: ")
    assert err.count("\n") == 1
    assert bounded.VALUES == 100_000


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
            "took more than 0.5 seconds",
        ),
        ("{% for i in range(99999) %}{{ 'x' * 1000 }}{% endfor %}", "characters"),
        ("{{ 'x' * 9999999999 }}", "of memory"),
        ("{{ raise_exception('no system prompt') }}", "fails: no system prompt"),
        ("{% if %}", "fails"),
        ("{{ messages[7].content }}", "fails"),
    ],
)
def test_chat_templates_are_bounded(monkeypatch, text: str, words: str) -> None:
    monkeypatch.setattr(template, "SECONDS", 0.5)
    tokenizer = kad.demo.load().tokenizer
    tokenizer.chat_template = text
    with pytest.raises(ValueError, match=words) as caught:
        template.through_template(tokenizer, [{"role": "user", "content": "hi"}])
    assert str(tokenizer.name_or_path) in str(caught.value)


@pytest.mark.parametrize("name", ["out[dual]", "out[/b]", "out[red]", "out\x1b[31m"])
def test_names_are_no_markup(capsys, tmp_path: Path, monkeypatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["eval", "--n", "2", "--batch", "2", "--method", "p", "--output", name, "--traces", "0"]) == 0
    out = capsys.readouterr().out
    assert name.replace("\x1b", "\\x1b") + "/report.html" in out.replace("\n", "")
    assert "\x1b" not in out
    assert (tmp_path / name / "report.html").is_file()


def test_a_terminal_obeys_nobody() -> None:
    """Control characters are shown on a terminal; into a pipe a model's text goes as it is."""
    from rich.text import Text

    text = "a\x1b]0;title\x07b\x9b31mc\x08\rd\u202ee\tf"
    screen, pipe = io.StringIO(), io.StringIO()
    shown = Console(file=screen, force_terminal=True, width=200)
    generated(shown, Text(text), text)
    shown.print(text)
    for character in "\x07\x9b\x08\r\u202e":
        assert character not in screen.getvalue()
    assert "\x1b]0" not in screen.getvalue()
    assert "\\x1b]0;title\\x07b\\x9b31mc\\x08\\rd" in screen.getvalue()
    generated(Console(file=pipe), Text(text), text)
    assert pipe.getvalue() == text + "\n"
