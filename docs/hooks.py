"""What the site's build does besides MkDocs: formulas become MathML, and every public name must be documented.

MathML needs no script and no network; the font it is shown in is cut to the characters that the pages use and copied
into the site.
"""

import html
import inspect
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
used: set[str] = set()


def mathml(found: re.Match[str]) -> str:
    latex = html.unescape(found[3]).strip()
    display = "block" if found[2] == "[" else "inline"
    text = latex2mathml.converter.convert(latex, display=display)
    if "\\" in re.sub(r"&#\w+;", "", text) or "<mi>&</mi>" in text:
        raise PluginError(f"this formula was not understood: {latex}")
    used.update(html.unescape(re.sub(r"<[^>]*>", "", text)))
    return text


def on_page_content(content: str, **_: object) -> str:
    return FORMULA.sub(mathml, content)


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
