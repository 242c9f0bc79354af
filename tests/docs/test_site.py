"""The built site: strictly, without a warning, every link whole, and the interactive page in a real browser, offline."""

from __future__ import annotations

import html
import importlib.util
import math
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from playwright.sync_api import Page, Route

import kad

from .conftest import build

ROOT = Path(__file__).parent.parent.parent


def checker():
    spec = importlib.util.spec_from_file_location("check_links", ROOT / "docs" / "check_links.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_link_leads_somewhere_and_nothing_comes_from_the_network(site: Path) -> None:
    assert checker().problems(site) == []
    assert len(list(site.rglob("*.html"))) >= 30


def test_the_link_check_finds_what_is_broken(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<a id="x"></a><a href="a.html#x">fine</a><a href="b.html">1</a><a href="a.html#y">2</a>'
        '<script src="https://example.org/x.js"></script><img src="none.png"><a href="https://example.org">fine</a>'
    )
    assert len(checker().problems(tmp_path)) == 4


def test_formulas_are_mathml_with_a_font_of_their_own(site: Path) -> None:
    page = (site / "theory" / "exact.html").read_text()
    assert page.count("<math ") > 80
    assert "arithmatex" not in page
    assert (site / "assets" / "math.woff").stat().st_size < 600_000


RAW = re.compile(r"\$|\\[A-Za-z(\[]")


def raw_tex(page: str) -> list[str]:
    """Dollars and commands of TeX that a reader would see: a bar in a table's formula ends its cell, and the rest stays raw."""
    text = re.sub(r"<(script|style|pre|code|math)\b.*?</\1>", " ", page, flags=re.DOTALL)
    text = html.unescape(re.sub(r"<[^>]*>", " ", text))
    return [text[max(0, m.start() - 20) : m.end() + 20] for m in RAW.finditer(text)]


def test_no_page_shows_raw_tex(site: Path) -> None:
    assert {page.name: found for page in site.rglob("*.html") if (found := raw_tex(page.read_text()))} == {}


def test_raw_tex_is_found() -> None:
    assert raw_tex("<td>$D = \\tfrac12 \\sum_v</td><td>p_v</td>")
    assert raw_tex("<p>\\(x\\)</p>")
    assert raw_tex("<p><code>$HOME</code> <math><mi>x</mi></math> a &lt; b</p>") == []


def test_an_undocumented_public_name_fails_the_build(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    shutil.copytree(ROOT / "docs", docs)
    page = docs / "api" / "losses.md"
    page.write_text(page.read_text().replace("::: kad.Nudging\n", ""))
    config = tmp_path / "mkdocs.yml"
    text = (ROOT / "mkdocs.yml").read_text().replace("strict: true", "strict: false")
    config.write_text(
        text.replace("base_path: [.]", f"base_path: [{ROOT}]").replace("[docs/griffe", f"[{ROOT}/docs/griffe")
    )
    done = build(tmp_path / "site", "--no-strict", config=config)
    assert done.returncode != 0
    assert "public names without a place in docs/api: kad.Nudging" in done.stderr


@pytest.fixture
def page(site: Path, browser) -> Iterator[Page]:
    """The interactive page from disk, with the network off; any error in it fails the test."""
    context = browser.new_context(offline=True, viewport={"width": 1300, "height": 1300})
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto((site / "theory" / "explore.html").as_uri())
    page.wait_for_selector("#explore [data-figure=dual] svg")
    yield page
    # The theme looks for its search index, which browsers do not hand out from disk.
    assert [e for e in errors if "search" not in e] == []
    context.close()


LOSSES = {
    "logistic": kad.Logistic(), "squared": kad.Squared(), "Brier": kad.Brier(), "perceptron": kad.Perceptron("log"),
    "confidence bet": kad.ConfidenceBet(), "nudging": kad.Nudging(),
}  # fmt: skip


def settle(page: Page, **settings: object) -> dict:
    """Move the controls as a reader would; the page's own state and what it shows."""
    for name, value in settings.items():
        control = page.locator(f"#kad-{name}")
        if isinstance(value, str):
            control.select_option(value)
        else:
            control.evaluate(
                "(e, v) => { e.value = v; e.dispatchEvent(new Event('input', {bubbles: true})) }", str(value)
            )
    shown = {e.get_attribute("data-value"): float(e.inner_text()) for e in page.locator("[data-value]").all()}
    return {
        "state": page.evaluate("kadExplore.state"),
        "all": page.evaluate("kadExplore.compute(kadExplore.state)"),
        "shown": shown,
    }


@pytest.mark.parametrize("solver", ["dual", "primal", "exact", "fractional"])
def test_its_numbers_are_kads(page: Page, solver: str) -> None:
    settings = [(0.4, 0.1, 1.0), (0.15, 0.25, 0.7), (0.83, 0.05, 1.6), (0.0, 0.4, 1.0), (1.0, 0.4, 0.5)]
    for example in ("an unsure base", "a sure base", "nearly uniform"):
        for (name, loss), (b, threshold, temperature) in zip(LOSSES.items(), [*settings, settings[0]], strict=True):
            price = {"lambda" if loss.strict else "mu": threshold}
            seen = settle(page, example=example, loss=name, solver=solver, b=b, T=temperature, **price)
            p, q, d, pi = (torch.tensor(seen["all"][key], dtype=torch.float64) for key in ("p", "q", "d", "pi"))
            values = loss(p, q)
            behind = {
                "logistic": -math.log(threshold), "squared": (1 - threshold) ** 2,
                "Brier": 1 - 2 * threshold + float(p.square().sum()), "perceptron": math.log(float(p.max()) / threshold),
            }.get(name, threshold)  # fmt: skip
            assert seen["all"]["mu"] == pytest.approx(max(0.0, behind), abs=1e-9)
            solvers = {
                "dual": kad.Dual(threshold=threshold) if loss.strict else kad.Dual(multiplier=threshold),
                "primal": kad.Primal(b), "exact": kad.Exact(b), "fractional": kad.Fractional(b),
            }  # fmt: skip
            mine = kad.solve(values, p, solvers[solver])
            want = {
                "alpha": (p * d).sum(),
                "unfilled": b - (p * d).sum(),
                "risk": mine.risk,
                "best": kad.solve(values, p, kad.Exact(b)).risk,
                "lp": kad.theory.fractional_risk(values, p, b),
                "gap": kad.theory.primal_gap(values, p, b).right,
                "price": kad.theory.critical_loss(values, p, b),
                "acceptance": kad.theory.acceptance_probability(p, q, d).right,
                "fromBase": kad.total_variation(kad.mix(p, q, d), p),
            }
            for key, value in want.items():
                assert seen["all"][key] == pytest.approx(float(value), abs=1e-9), (key, seen["state"])
                assert seen["shown"][key] == pytest.approx(float(value), abs=6e-5), (key, seen["state"])
            if solver != "exact":  # among equal optima the two may choose differently
                torch.testing.assert_close(d, mine.d, atol=1e-9, rtol=0)
            torch.testing.assert_close(pi, kad.mix(p, q, d), atol=1e-12, rtol=0)


def test_moving_a_slider_redraws_every_figure(page: Page) -> None:
    def figures() -> list[str]:
        return [page.locator(f"[data-figure={name}]").inner_html() for name in ("bars", "frontier", "dual")]

    before = figures()
    assert all(drawn.startswith("<svg") and "NaN" not in drawn for drawn in before)
    settle(page, b=0.75)
    after = figures()
    assert all(a != b for a, b in zip(before, after, strict=True))
    settle(page, T=0.4, solver="dual", **{"lambda": 0.3})
    assert all(a != b for a, b in zip(after, figures(), strict=True))
    assert page.locator("output[for=kad-lambda]").inner_text() == "0.30"


def test_the_dual_takes_a_threshold_or_a_multiplier_never_one_in_the_others_name(page: Page) -> None:
    for name, loss in LOSSES.items():
        settle(page, loss=name)
        assert page.locator("#kad-lambda").is_visible() == loss.strict
        assert page.locator("#kad-mu").is_visible() == (not loss.strict)


def test_the_curve_of_theta_is_concave_where_it_falls_below_zero_too(page: Page) -> None:
    below = 0
    for name in LOSSES:
        for b in (0.1, 0.5, 0.9):
            settle(page, loss=name, b=b, mu=1.0, solver="dual", **{"lambda": 0.01})
            drawn = page.locator("[data-curve=theta]").get_attribute("d")
            heights = [-float(y) for y in re.findall(r",([-\d.]+)", drawn)]  # pixels grow downwards, to a tenth
            assert len(heights) == 201
            assert all(b - a >= c - b - 0.41 for a, b, c in zip(heights, heights[1:], heights[2:], strict=False)), (
                name,
                b,
            )
            thirds = heights[0], heights[100], heights[200]
            assert (thirds[0] + thirds[2]) / 2 <= thirds[1] + 0.2
            below += heights[-1] < heights[0] - 1  # θ(0) = 0
    assert below >= 6


def test_served_without_a_network_pages_show_and_search_finds(home: str, browser) -> None:
    context = browser.new_context(viewport={"width": 1300, "height": 1000})
    page, errors, foreign = context.new_page(), list[str](), list[str]()

    def local_only(route: Route) -> None:
        if route.request.url.startswith((home, "data:", "blob:")):
            route.continue_()
        else:
            foreign.append(route.request.url)
            route.abort()

    page.route("**/*", local_only)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(home + "index.html")
    assert page.locator("math").count() >= 5
    page.locator("[data-md-component=search-query], .md-search__button, [data-md-toggle=search]").first.focus()
    page.keyboard.press("/")
    page.keyboard.type("majorisation")
    page.wait_for_selector(".md-search-result__item >> text=Majorisation bounds")
    page.goto(home + "theory/index.html")
    page.click("a[href='plug-in.html#test-s7']")
    page.wait_for_url("**/plug-in.html#test-s7")
    page.locator("#test-s7").wait_for(state="attached")
    page.locator("details summary").first.click()
    assert "def test_wrong_variants_fail" in page.locator("details[open]").first.inner_text()
    assert errors == []
    assert foreign == []
    context.close()
