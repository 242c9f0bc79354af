"""Read as visitors do: what they type is found, and no page is wider than a phone or cut on a desk."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Route, TimeoutError

# What people type, and the page that must come first.
FIRST = {
    "lambda": "glossary.html#lambda-threshold",
    "λ": "glossary.html#lambda-threshold",
    "min-p": "glossary.html#min-p-min_p",
    "kad.dual": "api/targets.html#kad.dual",
    "kad.Exact": "api/solvers.html#kad.Exact",
    "out of memory": "glossary.html#memory-out-of-memory-oom-vram",
    "gamma": "glossary.html#gamma-window-draft",
    "bibtex": "glossary.html#cite-citation-bibtex",
}
# Whether the first page that is found, or the first of its sections, is the wanted one.
FOUND = r"""wanted => {
    const item = document.querySelector(".md-search-result__item");
    const links = item ? [...item.querySelectorAll("a")].slice(0, 2) : [];
    return links.some(a => a.href.replace(/\?[^#]*/, "") === wanted);
}"""
# A figure's pixels a pixel of the screen, in which its letters are 11 high.
SCALE = "(({a, b}) => Math.hypot(a, b))(document.querySelector('[data-name]').getScreenCTM())"
# Of every kind one: wide tables, display formulas, pictures, code, the API, new pages.
PAGES = (
    "index.html", "speed.html", "demo.html", "theory/mixtures.html", "theory/index.html", "studies/budget.html",
    "studies/real.html", "api/evaluation.html", "start/choosing.html", "start/questions.html", "guides/others.html",
    "guides/models.html", "glossary.html", "project.html",
)  # fmt: skip
# What ends beyond the right edge without a scroller of its own; and scrollers that do not show it.
CUT = """() => {
    const found = [], edge = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth > edge) found.push(`page ${document.documentElement.scrollWidth}`);
    for (const e of document.querySelectorAll(".md-content *")) {
        const box = e.getBoundingClientRect();
        let up = e.parentElement;
        while (up !== document.body && getComputedStyle(up).overflowX === "visible") up = up.parentElement;
        if (box.width && box.right > edge + 1 && up === document.body) found.push(`${e.tagName} ${e.textContent.slice(0, 40)}`);
        const style = getComputedStyle(e), shaded = style.backgroundImage.includes("gradient");
        if (style.overflowX === "auto" && e.scrollWidth > e.clientWidth + 1 && !shaded) found.push(`no sign: ${e.tagName}`);
    }
    return found;
}"""


@pytest.fixture
def visitor(home: str, browser) -> Iterator[Page]:
    """A page that loads nothing from elsewhere."""
    context = browser.new_context(viewport={"width": 390, "height": 800})
    page = context.new_page()

    def at_home(route: Route) -> None:
        route.continue_() if route.request.url.startswith((home, "data:", "blob:")) else route.abort()

    page.route("**/*", at_home)
    yield page
    context.close()


def test_what_is_typed_is_found_first(home: str, visitor: Page) -> None:
    visitor.set_viewport_size({"width": 1300, "height": 900})
    visitor.goto(home + "index.html")
    visitor.keyboard.press("/")
    wrong = {}
    for typed, wanted in FIRST.items():
        visitor.locator("[data-md-component=search-query]").fill(typed)
        visitor.keyboard.press("End")  # the theme listens to keys
        try:
            visitor.wait_for_function(FOUND, arg=home + wanted, timeout=20_000)
        except TimeoutError:
            wrong[typed] = visitor.locator(".md-search-result__item").first.inner_text()[:80]
    assert wrong == {}


def test_no_page_is_cut_at_the_width_of_a_phone_or_a_desk(home: str, visitor: Page) -> None:
    """A page is loaded once and made wider; wide things scroll, with a shade at the edge that says so."""
    cut = {}
    for name in PAGES:
        visitor.goto(home + name)
        for width in (390, 1400):
            visitor.set_viewport_size({"width": width, "height": 800})
            cut[name, width] = visitor.evaluate(CUT)
    assert {where: found for where, found in cut.items() if found} == {}


def test_the_drawn_page_has_room_for_its_words_and_round_numbers_at_its_axes(home: str, visitor: Page) -> None:
    visitor.goto(home + "theory/explore.html")
    for width in (360, 400, 1400):
        visitor.set_viewport_size({"width": width, "height": 900})
        assert visitor.evaluate(CUT) == []
        assert visitor.evaluate(SCALE) > 0.9
        for figure in ("bars", "frontier", "dual"):
            ticks = visitor.locator(f"[data-figure={figure}] [data-tick]").all_text_contents()
            assert len(ticks) >= 3
            assert all(re.fullmatch(r"-?\d+(\.\d{1,2})?", tick) for tick in ticks), ticks


def test_a_budget_that_is_overdrawn_is_called_so(home: str, visitor: Page) -> None:
    visitor.goto(home + "theory/explore.html")
    fact = visitor.locator("div:has(> [data-value=unfilled])")
    assert fact.locator("dt").inner_text() == "unfilled budget b − α"
    visitor.locator("#kad-solver").select_option("dual")
    move = "(e, v) => { e.value = v; e.dispatchEvent(new Event('input', {bubbles: true})) }"
    visitor.locator("#kad-lambda").evaluate(move, "1")
    assert fact.locator("dt").inner_text() == "over budget: b − α"
    assert float(fact.locator("dd").inner_text()) == pytest.approx(-0.6, abs=1e-3)
