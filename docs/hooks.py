"""What the site's build does besides MkDocs: formulas become MathML, and every public name must be documented.

MathML needs no script and no network; the font it is shown in is cut to the characters that the pages use and copied
into the site. A picture is a link to itself, for who wants it larger. The search leaves out tests and proofs that a page
quotes, and finds an interface by its whole name.
"""

import html
import inspect
import json
import re
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import latex2mathml.converter
from fontTools import subset
from mkdocs.exceptions import PluginError
from sphobjinv import Inventory

import kad
import kad.evaluation

FORMULA = re.compile(r'<(span|div) class="arithmatex">\s*\\([(\[])(.*?)\\[)\]]\s*</\1>', re.DOTALL)
PICTURE = re.compile(r'(<a [^>]*>)?(<img [^>]*src="([^"]+)"[^>]*>)')
QUOTED = '<details class="example"'
BOOST = 10  # the glossary's too, by its front matter
used: set[str] = set()


def mathml(found: re.Match[str]) -> str:
    latex = html.unescape(found[3]).strip()
    display = "block" if found[2] == "[" else "inline"
    text = latex2mathml.converter.convert(latex, display=display)
    if "\\" in re.sub(r"&#\w+;", "", text) or "<mi>&</mi>" in text:
        raise PluginError(f"this formula was not understood: {latex}")
    used.update(html.unescape(re.sub(r"<[^>]*>", "", text)))
    return text


def linked(found: re.Match[str]) -> str:
    """A picture that leads to itself, unless it leads elsewhere already."""
    return found[0] if found[1] else f'<a class="picture" href="{found[3]}" title="the picture alone">{found[2]}</a>'


def on_page_content(content: str, **_: object) -> str:
    content = content.replace(QUOTED, f'{QUOTED} data-search-exclude="true"')
    return PICTURE.sub(linked, FORMULA.sub(mathml, content))


def name_wholly(index: Path) -> None:
    """Entries of the API are found by ``kad.dual``, not only by ``dual``."""
    found = json.loads(index.read_text(encoding="utf-8"))
    for entry in found["docs"]:
        whole = entry["location"].partition("#")[2]
        short = whole.rpartition(".")[2]
        if whole.startswith("kad.") and entry["title"].startswith(short):
            entry["title"] = whole + entry["title"].removeprefix(short)
            if whole.count(".") == 1:  # what is typed most, as the glossary's words are
                entry["boost"] = BOOST
    index.write_text(json.dumps(found, separators=(",", ":")), encoding="utf-8")


def public_names() -> set[str]:
    """Everything that a user may import: of kad itself, and of its modules that are part of the interface."""
    modules: list[ModuleType] = [kad, kad.cascades, kad.evaluation, kad.theory, kad.testing, kad.plots, kad.demo]
    names = set()
    for module in modules:
        for name in getattr(module, "__all__", dir(module)):
            thing = getattr(module, name)
            ours = getattr(thing, "__module__", "").startswith(module.__name__)
            if ours and not name.startswith("_") and (inspect.isclass(thing) or inspect.isfunction(thing)):
                names.add(f"{module.__name__}.{name}")
    return names


def on_post_build(config: dict, **_: object) -> None:
    site = Path(config["site_dir"])
    documented = {item.name for item in Inventory(str(site / "objects.inv")).objects}
    missing = sorted(public_names() - documented)
    if missing:
        raise PluginError(f"public names without a place in docs/api: {', '.join(missing)}")
    name_wholly(site / "search" / "search_index.json")
    package = find_spec("ziamath")  # its font is wanted, not its code
    if package is None or package.origin is None:
        raise PluginError("the formulas' font comes with the package ziamath: pip install 'kad-align[docs]'")
    font = Path(package.origin).parent / "fonts" / "STIXTwoMath-Regular.ttf"
    options = subset.Options(flavor="woff", layout_features=["*"])
    loaded = subset.load_font(str(font), options)
    cutter = subset.Subsetter(options)
    # Letters stand in formulas as mathematical italics, which MathML makes of plain ones.
    cutter.populate(unicodes=[*map(ord, used), *range(0x20, 0x7F), *range(0x1D400, 0x1D800), *range(0x2200, 0x2300)])
    cutter.subset(loaded)
    subset.save_font(loaded, str(site / "assets" / "math.woff"), options)
