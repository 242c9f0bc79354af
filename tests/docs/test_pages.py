"""The pages keep their word: their code runs, and the table of statements is complete."""

from __future__ import annotations

import doctest
import inspect
import re
import sys
import textwrap
import types
from pathlib import Path

import pytest

import kad
from kad.cli.demo_tables import CAVEATS
from kad.theory import Claim

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
FENCE = re.compile(r"(<!-- not run: .+? -->\n)?^( *)```(\w*)[^\n]*\n(.*?)^\2```", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[tuple[str, str]]:
    """(language, code) of the blocks that are to run: not those included from elsewhere, nor those said not to."""
    found = []
    for skip, indent, language, code in FENCE.findall(page.read_text()):
        if not skip and language in ("python", "pycon") and "--8<--" not in code:
            found.append((language, textwrap.dedent(indent + code) if indent else code))
    return found


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=lambda p: p.relative_to(DOCS).as_posix())
def test_code_blocks_run(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", module)  # where dataclasses look for the module of their class
    space = vars(module)
    for language, code in blocks(page):
        if language == "python":
            exec(compile(code, str(page), "exec"), space)
            continue
        test = doctest.DocTestParser().get_doctest(code, space, page.name, str(page), 0)
        report: list[str] = []
        runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
        runner.run(test, out=report.append, clear_globs=False)
        assert not runner.failures, "".join(report)
        space |= test.globs


def test_most_pages_have_code_and_skips_say_why() -> None:
    assert sum(bool(blocks(page)) for page in PAGES) >= 9
    skipped = [m.group(1) for page in PAGES for m in FENCE.finditer(page.read_text()) if m.group(1)]
    assert len(skipped) == 3
    assert all(len(reason.split()) > 5 for reason in skipped)


TABLE = (DOCS / "theory" / "index.md").read_text()
ROWS = {m[1]: m[2].split(" | ") for m in re.finditer(r"^\| (S\d+) \| (.+) \|$", TABLE, re.MULTILINE)}


def statements() -> dict[str, set[str]]:
    """The claims of kad.theory by the statements that their docstrings name."""
    found: dict[str, set[str]] = {}
    for name, thing in vars(kad.theory).items():
        if inspect.isfunction(thing) and inspect.signature(thing).return_annotation == Claim.__name__:
            for label in re.findall(r"S\d+", (thing.__doc__ or "").split(":")[0].split("(")[0]):
                found.setdefault(label, set()).add(name)
    return found


def test_the_table_has_every_statement_with_all_its_code() -> None:
    assert list(ROWS) == [f"S{i}" for i in range(1, 16)]
    claims = statements()
    assert set(claims) == set(ROWS)
    for label, (_, _, code, *_) in ROWS.items():
        assert set(re.findall(r"\[kad\.theory\.(\w+)\]", code)) == claims[label], label


@pytest.mark.parametrize("label", ROWS)
def test_each_statement_is_derived_with_code_and_test_beside_it(label: str) -> None:
    _, proof, _, test, *_ = ROWS[label]
    page, anchor = re.search(r"\]\((.+?)#(.+?)\)", proof).groups()
    number = label[1:]
    assert anchor == f"s{number}"
    text = (DOCS / "theory" / page).read_text()
    section = re.search(rf"^## {label} ·.*?\{{ #s{number} \}}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)[1]
    for word in ("**Statement", "**Proof.**" if number != "13" else "### Proof of (a)", "∎"):
        assert word in section, f"{label} lacks {word}"
    assert f"]({page}#test-s{number})" in test
    assert f'<a id="test-s{number}"></a>' in section
    for name in statements()[label]:
        assert f"[kad.theory.{name}]" in section, f"{name} is not named beside {label}"
    file = re.search(r'--8<-- "(tests/theory/.+?)"', section)[1]
    assert "assert is_caught(" in (ROOT / file).read_text(), f"{file} has no wrong variants"


def test_what_is_new_is_said_in_the_list_and_at_the_statement() -> None:
    for label in ("S3", "S4", "S5", "S6", "S7", "S8", "S11", "S13", "S14", "S15"):
        page = re.search(r"\]\((.+?)#", ROWS[label][1])[1]
        assert f"[{label}]({page}#s{label[1:]})" in TABLE.split("## What is new here")[1]
        section = re.split(rf"^## {label} ·", (DOCS / "theory" / page).read_text(), flags=re.MULTILINE)[1]
        assert "NEW HERE" in section.split("\n## ")[0]


def test_the_papers_lemmas_are_one_click_away() -> None:
    paper = TABLE.split("## From the paper")[1].split("## What is new")[0]
    assert "| Lemma 5, plug-in error | [S7](plug-in.md#s7) |" in paper
    assert "| Lemma 6, comparison with nudging | [S9](mixtures.md#s9) |" in paper


def notation() -> dict[str, str]:
    """The symbols of the notation page with what they mean."""
    rows = re.findall(r"^\| ([^|]+) \| (.+?) \| .*\|$", (DOCS / "theory" / "notation.md").read_text(), re.MULTILINE)
    return {symbols: meaning for symbols, meaning in rows if "$" in symbols}


SYMBOLS = (
    r"\mu", r"\theta(\mu)", r"\lambda", "d^-(\\mu)", r"\ell_c", "$c$", "r_{LP}", r"\gamma", "$a$", r"p_{\mathrm{keep}}", "h(z)",
    "W = ", r"\sigma", r"\rho", r"\alpha^*", r"\Delta", r"\eta", r"\mu_t", "M_i", "$T$", r"\varphi", r"D_{\mathrm{TV}}", "q^*", "$q$",
)  # fmt: skip


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_every_symbol_is_listed(symbol: str) -> None:
    assert any(symbol in symbols for symbols in notation()), symbol


def test_no_symbol_of_the_theory_means_two_things() -> None:
    """What once did: D, q, c, S and β."""
    for page in (DOCS / "theory").glob("*.md"):
        text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
        formulas = " ".join(re.findall(r"\$\$?(.+?)\$\$?", text, re.DOTALL))
        assert not re.search(r"\\beta\b|\bD\b(?!_)|\bc\(|\bS_|\bS\b|\bq_\{?[0-9imjk(]|\bQ_", formulas), page.name


def numbers(row: str) -> list[float]:
    """The leading numbers of a row's cells on the page of the embedded pair."""
    line = re.search(rf"^\| {re.escape(row)} \|(.+)\|$", (DOCS / "demo.md").read_text(), re.MULTILINE)[1]
    return [float(cell.split()[0]) for cell in line.split("|") if re.match(r"\s*[\d.]", cell)]


def test_what_choosing_says_of_placements_and_solvers_is_the_demos_table() -> None:
    page = (DOCS / "start" / "choosing.md").read_text().replace("\n", " ")
    (dual, dual_m, *_), (primal, primal_m, *_), (half, half_m, *_) = map(
        numbers, ("dual λ=0.4", "primal b=0.9", "fractional b=0.9")
    )
    placements = (
        f"are {abs(dual - dual_m):.0f} points apart for `dual(0.4)` and {abs(primal - primal_m):.0f} for `primal(0.9)`"
    )
    assert placements in page
    assert f"{dual - primal:.0f} points in the first placement and {dual_m - primal_m:.0f} in the third" in page
    assert f"to `fractional(0.9)` {dual - half:.0f} and {dual_m - half_m:.0f}" in page
    for text in (page, (ROOT / "README.md").read_text(), (ROOT / "kad" / "target.py").read_text()):
        assert "than the choice of solver" not in text


def test_the_models_are_as_large_as_their_page_says() -> None:
    pair, page = kad.demo.load(), (DOCS / "demo.md").read_text()
    for model, said in ((pair.base, "1.08 M parameters"), (pair.proxy_base, "0.15 M")):
        assert f"{sum(x.numel() for x in model.parameters()) / 1e6:.2f} M" == said.removesuffix(" parameters")
        assert f" layers, {said} |" in page
    base, proxy = (sum(x.numel() for x in model.parameters()) / 1e6 for model in (pair.base, pair.proxy))
    assert f"The models have {base:.1f} and {proxy:.2f} million parameters" in CAVEATS
