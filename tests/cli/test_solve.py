"""``kad solve``: its sources, the numbers it shows, its figures, and errors in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import kad
from kad.cli.main import main

QUESTION = "q : tom has 6 apples . he loses 2 . he finds 9 more . how many apples does tom have now ? a :"


def rows(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    assert main(["solve", *arguments, "--json"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def test_every_solver_against_the_exact_optimum(capsys, tmp_path: Path) -> None:
    p = torch.softmax(torch.randn(12, generator=torch.Generator().manual_seed(0), dtype=torch.float64), -1)
    np.save(tmp_path / "p.npy", p.numpy())
    out = rows(capsys, "--file", str(tmp_path / "p.npy"), "--budget", "0.3", "--budget=0.6", "--loss", "Squared")
    assert (out["steps"], out["vocabulary"], out["loss"]) == (1, 12, "Squared()")
    assert {r["budget"] for r in out["rows"]} == {0.3, 0.6}
    for row in out["rows"]:
        best = float(kad.theory.optimal_risk((1 - p) ** 2, p, row["budget"]))
        assert row["above"] == pytest.approx(row["risk"] - best, abs=1e-12)
        assert row["deferred"] + row["unfilled"] == pytest.approx(row["budget"])
        name = row["solver"].split()[0]
        if name in ("Brute", "Exact", "OrTools"):
            assert row["above"] == pytest.approx(0, abs=1e-11)
            assert row["status"] == {"OPTIMAL": 1}
        elif name == "Fractional":
            assert row["above"] <= 1e-12
            assert row["unfilled"] == pytest.approx(0, abs=1e-12)
        else:
            assert name in ("Primal", "Dual")
            assert row["above"] >= -1e-12
    assert {r["engine"] for r in out["rows"]} == {"enumeration", "majorisation", "or-tools", "relaxation"}


@pytest.mark.parametrize("kind", ["npy", "pt", "csv"])
def test_files_of_probabilities_and_logits(capsys, tmp_path: Path, kind: str) -> None:
    logits = torch.randn(3, 20, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for name, values in (("p", torch.softmax(logits, -1)), ("l", logits)):
        file = tmp_path / f"{name}.{kind}"
        if kind == "npy":
            np.save(file, values.numpy())
        elif kind == "pt":
            torch.save(values, file)
        else:
            np.savetxt(file, values.numpy(), delimiter=",", fmt="%.17g")
    one = rows(capsys, "--file", str(tmp_path / f"p.{kind}"), "--budget", "0.4")
    other = rows(capsys, "--file", str(tmp_path / f"l.{kind}"), "--logits", "--budget", "0.4")
    assert one["steps"] == other["steps"] == 3
    for a, b in zip(one["rows"], other["rows"], strict=True):
        assert a["risk"] == pytest.approx(b["risk"], abs=1e-9)
    column = tmp_path / "column.csv"
    np.savetxt(column, torch.softmax(logits[0], -1).numpy(), fmt="%.17g")
    assert rows(capsys, "--file", str(column), "--budget", "0.4")["vocabulary"] == 20


@pytest.mark.parametrize("family", ["zipf", "gaussian", "peaked", "uniform"])
def test_families_at_vocabulary_size(capsys, family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`Exact`, whose gap is looked at, is given more time than the command says: its nodes end it."""
    limits = []
    monkeypatch.setattr(
        "kad.cli.solve.Exact", lambda b, time_limit: limits.append(time_limit) or kad.Exact(b, time_limit=600)
    )
    out = rows(capsys, "--family", family, "--budget", "0.6", "--time-limit", "0.3")
    assert out["vocabulary"] == 151_936
    exact = next(r for r in out["rows"] if r["solver"] == "Exact")
    assert limits == [0.3]
    assert exact["gap"] <= 5e-7
    assert all(r["above"] >= -1e-9 for r in out["rows"] if r["solver"] != "Fractional")


def test_a_prompt_and_the_embedded_pair(capsys, tmp_path: Path) -> None:
    assert rows(capsys, QUESTION, "--budget", "0.5")["steps"] == 1
    folder = tmp_path / "figures"
    arguments = [
        "solve",
        QUESTION,
        "--every-position",
        "--loss",
        "ConfidenceBet",
        "--budget",
        "0.5",
        "--time-limit",
        "0.05",
        "--plots",
        str(folder),
    ]
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert "means over 27 steps" in shown
    assert "Dual μ=ℓ_c" in shown
    assert max(map(len, shown.split("figures:")[0].splitlines())) <= 80
    assert {f.name for f in folder.iterdir()} == {"frontier.png", "dual.png", "step.png", "unfilled.png"}
    assert all(f.stat().st_size > 10_000 for f in folder.iterdir())
    assert main(arguments) in (1, 2)  # nothing is overwritten
    assert "holds figures" in capsys.readouterr().err


def test_every_position_has_a_dual_and_no_mean_across_budgets(capsys, tmp_path: Path) -> None:
    """A step at which the dual is over the budget is counted; the other two alone are compared."""
    p = torch.tensor([[0.6, 0.25, 0.15], [0.5, 0.3, 0.2], [0.9, 0.06, 0.04]], dtype=torch.float64)
    np.save(tmp_path / "p.npy", p.numpy())
    asked = ["--file", str(tmp_path / "p.npy"), "--budget", "0.2", "--solver", "Dual", "--solver.threshold"]
    found = rows(capsys, *asked, "0.3")["rows"]
    best = [float(kad.theory.optimal_risk(-row.log(), row, 0.2)) for row in p]
    dual, priced = found[-1], next(r for r in found if r["solver"] == "Dual μ=ℓ_c")
    assert (dual["solver"], dual["over"]) == ("Dual λ=0.3", 1)
    assert dual["deferred"] + dual["unfilled"] - dual["excess"] == pytest.approx(0.2)
    kept = [float((p[i] * -p[i].log())[p[i] >= 0.3].sum()) - best[i] for i in (1, 2)]
    assert dual["above"] == pytest.approx(sum(kept) / 2)
    assert priced["over"] == 0
    greedy = kad.theory.primal_risk(-p.log(), p, 0.2)
    assert priced["above"] == pytest.approx(float(greedy.mean()) - sum(best) / 3, abs=1e-12)
    every = rows(capsys, *asked, "1.0")["rows"][-1]
    assert (every["over"], every["above"], every["gap"]) == (3, None, None)
    assert main(["solve", *asked, "1.0"]) == 0
    assert "3/3 over" in capsys.readouterr().out


def test_a_model_of_ones_own(capsys) -> None:
    base = str(kad.demo.MODELS / "base")
    assert rows(capsys, QUESTION, "--base", base, "--budget", "0.5", "--temperature", "0.7")["vocabulary"] == 258


def test_a_strangers_solver(capsys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(
        "from dataclasses import dataclass\nimport kad\n\n\n"
        "@dataclass(frozen=True)\nclass Nothing(kad.Solver):\n    budget: float = 0.5\n    feasible = True\n\n"
        "    def defer(self, loss, mass):\n        return 0 * mass\n"
    )
    monkeypatch.chdir(tmp_path)
    out = rows(capsys, "--family", "zipf", "--size", "30", "--budget", "0.2", "--solver", "mine.Nothing")
    mine = out["rows"][-1]
    assert (mine["solver"], mine["deferred"]) == ("Nothing", 0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--family", "zipf", "--budget", "1.5"], "budget must lie in [0, 1]"),
        (["--family", "zipf", "--budget", "many"], "--budget takes a number"),
        (["--family", "zipf", "--size", "0"], "size ≥ 1"),
        (["--family", "nobody"], "family"),
        (["--family", "zipf", "--file", "x.npy"], "one of --file and --family"),
        (["--family", "zipf", "--loss", "ConfidenceBet"], "reads the proxy"),
        (["a prompt", "--family", "zipf"], "do not go with"),
        (["--file", "missing.npy"], "cannot read missing.npy"),
        (["--file", "p.txt"], "must end in .npy, .pt or .csv"),
        (["--file", "large.pt"], "stands for 1,000,000,000 numbers"),
        (["--file", "repeated.pt"], "repeats fewer stored ones"),
        (["--file", "list.pt"], "it holds a list, no plain tensor"),
        (["--file", "complex.npy"], "complex numbers"),
        (["--file", "complex.pt"], "complex numbers"),
        (["--file", "promise.npy"], "cannot read a distribution from promise.npy"),
        (["--file", "words.npy"], "no numbers"),
        (["--file", "logits.npy"], "pass --logits"),
        (["--file", "nan.npy"], "NaN"),
        (["--file", "nan.npy", "--logits"], "NaN"),
        (["--file", "words.csv"], "cannot read a distribution from words.csv"),
        (["--file", "cube.npy"], "one row per step"),
        (["--file", "p.npy", "--temperature", "0.5"], "--temperature applies to logits"),
        (["--family", "zipf", "--plots", "p.npy"], "is no folder"),
        ([""], "prompt is empty"),
        (["hello", "--base", "./nowhere"], "no folder"),
    ],
)
def test_errors_are_one_sentence(capsys, monkeypatch, tmp_path: Path, arguments: list[str], words: str) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("p.npy", np.full(4, 0.25))
    np.save("logits.npy", np.array([1.0, -2.0, 3.0]))
    np.save("nan.npy", np.array([0.5, np.nan]))
    torch.save(torch.ones(1).expand(10**9), "large.pt")
    torch.save(torch.full((1,), 0.25).expand(4), "repeated.pt")
    torch.save([1.0], "list.pt")
    np.save("complex.npy", np.array([0.5 + 1j, 0.5]))
    torch.save(torch.tensor([0.5 + 1j, 0.5]), "complex.pt")
    np.save("words.npy", np.array(["a", "b"]))
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }".ljust(117) + b"\n"
    Path("promise.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    np.save("cube.npy", np.full((2, 2, 2), 0.5))
    Path("words.csv").write_text("a,b\nc,d\n")
    Path("p.txt").write_text("0.5")
    before = sorted(tmp_path.iterdir())
    assert main(["solve", *arguments]) != 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err
    assert len(captured.err.strip().splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == before
