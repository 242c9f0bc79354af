"""Look into dist/: what is in the sdist and the wheel, and whether the one builds the other: first half of `make release-check`.

python -m release.check
"""

from __future__ import annotations

import email
import hashlib
import runpy
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from datetime import UTC, datetime
from pathlib import Path

from .make import DIST, ROOT, build, git

VERSION: str = runpy.run_path(str(ROOT / "kad" / "version.py"))["VERSION"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SDIST, WHEEL = DIST / f"kad_align-{VERSION}.tar.gz", DIST / f"kad_align-{VERSION}-py3-none-any.whl"
INFO = f"kad_align-{VERSION}.dist-info/"
WRITTEN = {
    INFO + name for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "top_level.txt", "licenses/LICENSE")
}
MEBIBYTES = 8  # a wheel above that holds something that it should not


class Wrong(Exception):
    """What is not as it must be, in one sentence."""


def must(good: bool, sentence: str) -> None:
    """Raise what is wrong, unless all is well."""
    if not good:
        raise Wrong(sentence)


def listing(names: set[str]) -> str:
    """A few of some names, in order."""
    return ", ".join(sorted(names)[:8]) + (" ..." if len(names) > 8 else "")


def wheel_files() -> dict[str, bytes]:
    """The wheel's files."""
    with zipfile.ZipFile(WHEEL) as wheel:
        must(wheel.testzip() is None, f"{WHEEL.name} is damaged.")
        return {name: wheel.read(name) for name in wheel.namelist() if not name.endswith("/")}


def sdist_files() -> dict[str, bytes]:
    """The sdist's files, without the folder that they lie in."""
    found = {}
    with tarfile.open(SDIST) as sdist:
        for member in sdist:
            top, _, name = member.name.partition("/")
            must(top == f"kad_align-{VERSION}", f"{SDIST.name} has {member.name} outside its folder.")
            must(member.isdir() or member.isfile(), f"{SDIST.name} has {member.name}, which is a link or a device.")
            if stream := sdist.extractfile(member):
                found[name] = stream.read()
    return found


def check_names() -> str:
    """Two files, of this version, with the sums that were written when they were made; texts name the version too."""
    expected = {SDIST.name, WHEEL.name, "SHA256SUMS"}
    there = {file.name for file in DIST.glob("*")}
    must(
        there == expected,
        f"dist/ holds {listing(there) or 'nothing'} and not {listing(expected)}: `make release` first.",
    )
    for line in (DIST / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split()
        must(hashlib.sha256((DIST / name).read_bytes()).hexdigest() == digest, f"{name} is not what was built.")
    must(
        f"\nversion: {VERSION}\n" in (ROOT / "CITATION.cff").read_text(),
        f"CITATION.cff has another version than {VERSION}.",
    )
    changes = (ROOT / "CHANGELOG.md").read_text()
    must(f"## {VERSION}" in changes, f"CHANGELOG.md has no heading for {VERSION}.")
    note = f"; CHANGELOG.md still calls {VERSION} unreleased" if f"## {VERSION} (unreleased)" in changes else ""
    return f"sdist {SDIST.stat().st_size / 2**20:.1f} MiB, wheel {WHEEL.stat().st_size / 2**20:.1f} MiB{note}"


def check_sdist(sdist: dict[str, bytes]) -> str:
    """The repository, file by file, and what setuptools writes."""
    tracked = set(git("ls-files").splitlines())
    written = {name for name in sdist if name in ("PKG-INFO", "setup.cfg") or name.startswith("kad_align.egg-info/")}
    lacking, more = tracked - sdist.keys(), sdist.keys() - tracked - written
    must(not lacking, f"the sdist lacks {listing(lacking)}: see MANIFEST.in.")
    must(not more, f"the sdist has {listing(more)}, which git does not have.")
    other = {name for name in tracked if sdist[name] != (ROOT / name).read_bytes()}
    must(not other, f"the sdist was built of another commit: {listing(other)}.")
    return f"the sdist is the repository: {len(tracked)} files"


def check_wheel(wheel: dict[str, bytes], sdist: dict[str, bytes]) -> str:
    """The package and nothing else, with its marker of types, its licence, and the models that were released."""
    package = {name: text for name, text in sdist.items() if name.startswith("kad/")}
    must(wheel.keys() >= package.keys(), f"the wheel lacks {listing(package.keys() - wheel.keys())}: see package-data.")
    more = wheel.keys() - package.keys() - WRITTEN
    must(not more, f"the wheel has {listing(more)}, which is no part of the package.")
    must(all(wheel[name] == text for name, text in package.items()), "the wheel's package is not the sdist's.")
    must("kad/py.typed" in wheel, "the wheel lacks kad/py.typed: type checkers would ignore its types.")
    must(wheel[INFO + "licenses/LICENSE"] == (ROOT / "LICENSE").read_bytes(), "the wheel's licence is another one.")
    must(WHEEL.stat().st_size < MEBIBYTES * 2**20, f"the wheel is larger than {MEBIBYTES} MiB.")
    lines = wheel["kad/demo/models/SHA256SUMS"].decode().splitlines()
    for digest, name in (line.split() for line in lines):
        found = hashlib.sha256(wheel[f"kad/demo/models/{name}"]).hexdigest()
        must(found == digest, f"the wheel's {name} is not the one that was released.")
    return f"the wheel is the package: {len(package)} files, of them {len(lines)} of the embedded models, as released"


def check_metadata(wheel: dict[str, bytes]) -> str:
    """What an index would show and an installer read."""
    said = email.message_from_bytes(wheel[INFO + "METADATA"])
    for field, expected in (
        ("Name", "kad-align"), ("Version", VERSION), ("License-Expression", "Apache-2.0"),
        ("Requires-Python", PROJECT["requires-python"]), ("Description-Content-Type", "text/markdown"),
    ):  # fmt: skip
        must(said[field] == expected, f"the wheel's {field} is {said[field]} and not {expected}.")
    extras = set(said.get_all("Provides-Extra") or ())
    must(extras == set(PROJECT["optional-dependencies"]), f"the wheel's extras are {listing(extras)}.")
    needed = [one for one in said.get_all("Requires-Dist") or () if "extra ==" not in one]
    must(len(needed) == len(PROJECT["dependencies"]), f"the wheel needs {needed}.")
    must(str(said.get_payload()).startswith("# kad\n"), "the wheel's description is not the README.")
    must("kad = kad.cli.main:entry" in wheel[INFO + "entry_points.txt"].decode(), "the wheel has no command kad.")
    return f"kad-align {VERSION}, Apache-2.0, {len(needed)} required dependencies, {len(extras)} extras"


def check_rebuilt() -> str:
    """The sdist, unpacked elsewhere, builds the same wheel, byte for byte."""
    with zipfile.ZipFile(WHEEL) as wheel:
        year, month, day, hour, minute, second = wheel.infolist()[0].date_time
    moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    with tempfile.TemporaryDirectory() as place, tarfile.open(SDIST) as sdist:
        sdist.extractall(place, filter="data")
        build(Path(place) / f"kad_align-{VERSION}", Path(place) / "built", int(moment.timestamp()), "--wheel")
        again = (Path(place) / "built" / WHEEL.name).read_bytes()
    must(again == WHEEL.read_bytes(), "the sdist builds another wheel.")
    return "the sdist builds the same wheel, byte for byte"


def main() -> None:
    """All of it; the first thing that is wrong ends it."""
    try:
        print("ok:", check_names())
        wheel, sdist = wheel_files(), sdist_files()
        print("ok:", check_sdist(sdist))
        print("ok:", check_wheel(wheel, sdist))
        print("ok:", check_metadata(wheel))
        print("ok:", check_rebuilt(), flush=True)
    except Wrong as wrong:
        sys.exit(f"release-check: {wrong}")


if __name__ == "__main__":
    main()
