"""The page of `kad play` in a real browser that reaches nothing but its server: light, dark and narrow."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

import kad

from .conftest import QUESTION, Served

BLUE, ORANGE = (31, 111, 184), (184, 82, 0)  # of the light page


@pytest.fixture
def opened(browser, served: Served) -> Iterator[Any]:
    """Opens the page under some settings; an error in it, or a request to anybody else, fails the test."""
    wrong, contexts, own = list[str](), [], f"http://127.0.0.1:{served.port}/"

    def only_ours(route: Route) -> None:
        if route.request.url.startswith(own):
            route.continue_()
        else:
            wrong.append(route.request.url)
            route.abort()

    def open_page(width: int = 1280, **settings: Any) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 900}, **settings)
        contexts.append(context)
        page = context.new_page()
        page.route("**/*", only_ours)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text))
        page.goto(own)
        page.wait_for_selector(".column:nth-child(2)")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [one for one in wrong if "400 (Bad Request)" not in one] == []


def write(page: Page) -> None:
    page.click("#go")
    expect(page.locator("#state")).to_have_text(re.compile("Point at a token"), timeout=30_000)


def colour(page: Page, selector: str, what: str = "color") -> tuple[int, ...]:
    found = page.locator(selector).first.evaluate(f"e => getComputedStyle(e).{what}")
    return tuple(int(x) for x in re.findall(r"\d+", found)[:3])


def test_two_methods_side_by_side_with_their_colours_and_reasons(opened, pair: kad.Pair) -> None:
    page = opened()
    page.fill("#prompt", QUESTION)
    page.fill("#seed", "7")
    page.locator(".column").nth(0).locator(".value").fill("0.3")
    page.locator(".column").nth(0).locator(".temperature").fill("1.3")
    second = page.locator(".column").nth(1)
    second.locator(".method").select_option("mixture")
    second.locator(".solver").select_option("threshold")
    assert "Nudging" not in second.locator(".loss option").all_inner_texts()
    second.locator(".solver").select_option("fractional")
    second.locator(".loss").select_option("Squared")
    second.locator(".window").select_option("0")
    write(page)
    targets = (kad.dual(0.3), 3, 1.3), (kad.Mixture(kad.Squared(), kad.Fractional(0.9)), 0, 0.7)
    for k, (target, window, temperature) in enumerate(targets):
        out = kad.generate(
            pair.base, pair.proxy, [{"role": "user", "content": QUESTION}], target=target, tokenizer=pair.tokenizer,
            window=window, seed=7, max_new_tokens=100, do_sample=True, temperature=temperature,
        )  # fmt: skip
        column, tokens = page.locator(".column").nth(k), out.trace.tokens()
        text = column.locator(".text").evaluate(
            "e => [...e.children].filter(x => x.tagName !== 'DEL').map(x => x.textContent).join('')"
        )
        assert text == pair.tokenizer.decode(out.trace.emitted[0]).removesuffix(" <eos>") + "<eos>"
        origins = [
            re.search("base|proxy|target", c)[0]
            for c in column.locator(".token").evaluate_all("es => es.map(e => e.className)")
        ]
        assert origins == [token.origin for token in tokens]
        assert column.locator(".totals dd").first.inner_text() == str(len(tokens))
    assert colour(page, ".token.base") == BLUE
    assert colour(page, ".token.proxy") == ORANGE
    assert page.locator(".text").nth(0).locator(".token.accepted").count() > 5
    page.locator(".text").nth(0).locator(".token").nth(1).hover()
    detail = page.locator("#detail")
    assert "from the proxy, a draft that stands" in detail.inner_text()
    assert detail.locator("th").all_inner_texts() == ["token", "p", "q*", "π", "deferred", "optimum"]
    assert detail.locator("tbody tr").count() == 6
    page.mouse.move(5, 5)
    expect(detail).to_be_hidden()
    page.locator(".text").nth(0).locator(".token").nth(0).focus()
    page.keyboard.press("ArrowRight")
    assert detail.locator("tr.own td").first.inner_text() == "6"


def test_what_is_wrong_is_said_and_a_page_that_is_left_open_does_not_grow(opened) -> None:
    page = opened()
    sizes = []
    for _ in range(4):
        write(page)
        sizes.append(page.evaluate("() => document.querySelectorAll('*').length"))
    assert len(set(sizes)) == 1
    page.locator(".value").first.fill("7")
    page.click("#go")
    expect(page.locator("#state.bad")).to_have_text(re.compile(r"Dual threshold must lie in \[0, 1\]"))
    page.fill("#prompt", "")
    page.click("#go")
    expect(page.locator("#state.bad")).to_have_text("the prompt is empty.")


def test_stop_stops(opened) -> None:
    page = opened()
    page.fill("#prompt", "count 3 4")
    page.uncheck("#chat")
    page.fill("#tokens", "4000")
    for field in page.locator(".temperature").all():
        field.fill("5")
    page.click("#go")
    page.wait_for_selector(".token:nth-of-type(20)")
    page.click("#stop")
    expect(page.locator("#state")).to_have_text("stopped.")
    written = page.locator(".token").count()
    page.wait_for_timeout(200)
    assert page.locator(".token").count() == written < 4000
    expect(page.locator("#go")).to_be_visible()


def test_in_the_dark_and_on_a_narrow_screen(opened) -> None:
    page = opened(color_scheme="dark")
    assert sum(colour(page, "body", "backgroundColor")) < 150
    assert sum(colour(page, "#legend .base")) > 350
    narrow = opened(390, has_touch=True)
    write(narrow)
    assert narrow.evaluate("() => document.documentElement.scrollWidth") <= 390
    narrow.locator(".token").nth(3).tap()
    box = narrow.locator("#detail").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    assert narrow.locator("#detail").evaluate("e => e.scrollWidth - e.clientWidth") <= 0
    narrow.locator("h1").tap()
    expect(narrow.locator("#detail")).to_be_hidden()
