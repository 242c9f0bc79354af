"""Real processes in a folder of a stranger: nothing that lies there is run, and nobody is asked whether it may be."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from kad.demo import MODELS

SCRIPT = Path(sys.executable).with_name("kad")
# What libraries look for and live without, found with a finder at the end of sys.meta_path that took notes.
OPTIONAL = """
_jsonnet aim argcomplete backports boto3 bottleneck brotli clearml comet_ml cuda cython deepspeed duckdb dvclive
elasticsearch envwrap faiss flash_attn flint gmpy gmpy2 h2 hf_transfer hqq jax kernels librosa lz4 mistral_common mlflow mlx
numexpr omegaconf onnx onnxruntime opt_einsum org peft polars py7zr pydot pynvml rarfile redis rnc2rng ruamel scikits
sentencepiece simplejson sitecustomize sksparse snappy socks soundfile substrait swanlab tensorboard tensorboardX tensorflow
toml torch_npu torch_xla torchao torchaudio torchcodec torchvision trackio tree trio triton usercustomize wandb wcwidth
xarray zstandard
"""
MARKING = "import pathlib\nopen({mark!r}, 'a').write({name!r} + '\\n')\n"


def strange(folder: Path, mark: Path, known: bool) -> str:
    """The embedded base with code of its own, whose class transformers knows or does not."""
    shutil.copytree(MODELS / "base", folder)
    (folder / "custom_generate").mkdir()
    for name in ("strange_code", "custom_generate/generate"):
        (folder / f"{name}.py").write_text(MARKING.format(mark=str(mark), name=name))
    for file, kinds in (
        ("config.json", {"AutoConfig": "StrangeConfig", "AutoModelForCausalLM": "StrangeModel"}),
        ("tokenizer_config.json", {"AutoTokenizer": [None, "StrangeTokenizer"]}),
        ("generation_config.json", {"AutoModelForCausalLM": "StrangeModel"}),
    ):
        config = json.loads((folder / file).read_text())
        config["auto_map"] = {
            key: [x and f"strange_code.{x}" for x in value] if isinstance(value, list) else f"strange_code.{value}"
            for key, value in kinds.items()
        }
        if not known:
            config |= {"model_type": "strange"} if file == "config.json" else {"tokenizer_class": "StrangeTokenizer"}
        (folder / file).write_text(json.dumps(config))
    return str(folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Marker files named after every module of Python, of every installed library, and those that libraries try."""
    folder, mark = tmp_path / "stranger", tmp_path / "mark"
    folder.mkdir()
    for name in {*sys.stdlib_module_names, *packages_distributions(), *OPTIONAL.split()}:
        if name.isidentifier():
            (folder / f"{name}.py").write_text(MARKING.format(mark=str(mark), name=name))
    (folder / "matplotlibrc").write_text("backend: module://marker\ntext.usetex: True\n")
    (folder / "marker.py").write_text(f"def target():\n    open({str(mark)!r}, 'a').write('target')\n")
    strange(folder / "known", mark, known=True)
    strange(folder / "unknown", mark, known=False)
    (folder / "plan.yaml").write_text("tasks: embedded\nn: 1\nruns: [{methods: [p, marker.target]}]\n")
    (folder / "tasks").mkdir()
    (folder / "tasks" / "x.yaml").write_text(
        "task: x\ndataset_path: json\ntest_split: test\noutput_type: generate_until\n"
    )
    return folder


def test_no_command_runs_what_lies_in_the_current_folder(folder: Path) -> None:
    """With y on standard input: an answer to a question that must not be asked."""
    proxy, own = str(MODELS / "proxy"), ["--new-tokens", "4", "--n", "1"]
    unknown, known = (["--base", name, "--proxy", proxy] for name in ("unknown", "known"))
    runs: list[tuple[int, str, list[str]]] = [
        (0, "kad", ["--version"]),
        (1, "invalid choice", ["generat", "x"]),
        (0, "", ["generate", "--greedy", "--max-new-tokens", "2", *known]),
        (1, "needs code of its own", ["generate", *unknown]),
        (0, "figures", ["solve", "--family", "zipf", "--size", "30", "--plots", "figures"]),
        (0, "HF generate", ["bench", *known, "--rounds", "1", "--batch", "1", "--gamma", "0", "--new-tokens", "2"]),
        (0, "needs code of its own", ["eval", *unknown, "--task", "embedded", "--dry-run"]),
        (1, "not a kad.Target", ["sweep", "plan.yaml"]),
        (1, "needs code of its own", ["lm-eval", "--include_path", "tasks", "--tasks", "x", "--model_args", f"base=unknown,proxy={proxy}"]),
        (0, "runs in", ["demo", "--quick", "--n", "2", "--output", "demo"]),
        (0, "development questions", ["tune", *own, "--trials", "1", "--output", "tuned"]),
        (0, "written", ["report", "tuned"]),
    ]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1"}

    def one(run: tuple[int, str, list[str]]) -> str | None:
        status, words, arguments = run
        done = subprocess.run(
            [SCRIPT, *arguments], cwd=folder, input="y\n" * 100, capture_output=True, text=True, env=environment, timeout=300
        )  # fmt: skip
        said = done.stdout + done.stderr
        if (done.returncode != 0) != (status != 0) or words not in said or (status and "Traceback" in said):
            return f"{arguments}: {done.returncode}\n{said[-1500:]}"
        return None

    after = next(i for i, run in enumerate(runs) if run[2][0] == "report")
    with ThreadPoolExecutor(max(2, (os.cpu_count() or 2) // 2)) as pool:
        wrong = [*pool.map(one, runs[:after]), *pool.map(one, runs[after:])]
    assert not any(wrong), "\n".join(filter(None, wrong))
    mark = folder.parent / "mark"
    assert not mark.exists(), mark.read_text()
