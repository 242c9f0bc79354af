"""Every link of the built site leads somewhere, and no page loads anything from elsewhere.

python docs/check_links.py site
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADS = {("script", "src"), ("img", "src"), ("link", "href"), ("iframe", "src"), ("source", "src")}
NOT_LOADED = {"canonical", "prev", "next"}  # relations, not resources


class Page(HTMLParser):
    """What a page links to, what it loads, and the anchors that it has."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = {""}
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if "href" in given and tag == "a":
            self.links.append(given["href"])
        for name, value in given.items():
            if (tag, name) in LOADS and given.get("rel") not in NOT_LOADED:
                self.loads.append(value)


def problems(site: Path) -> list[str]:
    """One sentence per broken link or foreign resource."""
    pages = {file: Page(file) for file in site.rglob("*.html")}
    found = []
    for file, page in pages.items():
        if file.name == "404.html":
            continue  # its links start at the server's root
        name = file.relative_to(site)
        for target in page.loads:
            if urlsplit(target).netloc:
                found.append(f"{name} loads {target} from the network")
        for target in [*page.links, *page.loads]:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            goal = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            if goal.is_dir():
                goal /= "index.html"
            if not goal.exists():
                found.append(f"{name} links to {target}, which does not exist")
            elif goal in pages and parts.fragment and unquote(parts.fragment) not in pages[goal].anchors:
                found.append(f"{name} links to {target}, which has no such anchor")
    return found


if __name__ == "__main__":
    folder = Path(sys.argv[1]).resolve()
    trouble = problems(folder)
    print("\n".join(trouble) or f"{len(list(folder.rglob('*.html')))} pages, all links lead somewhere")
    sys.exit(bool(trouble))
