"""Checks what was built: that the distributions fit together, and have in them what they should and nothing else.

Usage: python scripts/distributions.py FOLDER NAME...     with the names of all that has to be there, core first
"""

from __future__ import annotations

import re
import sys
import tarfile
import zipfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from packaging.metadata import Metadata
from packaging.utils import canonicalize_name
from packaging.version import Version

LICENCE, LICENCE_FILE = "MIT", "LICENSE"
SOURCES = frozenset({".gitignore", LICENCE_FILE, "PKG-INFO", "README.md", "pyproject.toml", "src"})
"""What a source distribution has at its top."""

TEMPLATES = "orchestrator_core/testing/templates/"
"""What `new-provider` copies: a package of its own, with tests and files of a repository."""

UNWANTED = re.compile(r"(^|/)(tests?|__pycache__|\.[^/]+|conftest\.py|test_[^/]*\.py|[^/]*\.(pyc|so|db|env))(/|$)")


@dataclass(frozen=True)
class Built:
    """A distribution, as it was built.

    Attributes:
        name: Its normalized name.
        metadata: What it says of itself.
        files: The paths in it; in a source distribution without the folder that all are in.
        wheel: Whether it is a wheel.
    """

    name: str
    metadata: Metadata
    files: Collection[str]
    wheel: bool

    @property
    def package(self) -> str:
        """The name of what one imports."""
        return self.name.replace("-", "_")


def read(path: Path) -> Built:
    """Read a distribution.

    Raises:
        ExceptionGroup: Its metadata are not what the specification of core metadata allows.
    """
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            files = wheel.namelist()
            (place,) = (name for name in files if name.endswith(".dist-info/METADATA"))
            text = wheel.read(place)
    else:
        with tarfile.open(path) as source:
            files = [member.name.partition("/")[2] for member in source.getmembers() if member.isfile()]
            member = source.extractfile(f"{path.name.removesuffix('.tar.gz')}/PKG-INFO")
            text = member.read() if member else b""
    metadata = Metadata.from_email(text)
    return Built(canonicalize_name(metadata.name), metadata, files, path.suffix == ".whl")


def problems(distributions: Sequence[Built], names: Sequence[str]) -> Iterator[str]:
    """Yield what is wrong with a release of some names, of which the first is core's."""
    for wheel in (False, True):
        kind = "wheel" if wheel else "source distribution"
        found = sorted(each.name for each in distributions if each.wheel == wheel)
        if found != sorted(names):
            yield f"a {kind} of each is {', '.join(sorted(names))}, and there is {', '.join(found) or 'none'}"
    versions = {each.metadata.version for each in distributions}
    if len(versions) != 1:
        yield f"they have versions {', '.join(map(str, sorted(versions)))}, and not one"
    if len({str(each.metadata.requires_python) for each in distributions}) != 1:
        yield "they do not all ask for the same Python"
    core = next((each.metadata.version for each in distributions if each.name == names[0]), None)
    for each in distributions:
        inside = wheel_problems(each) if each.wheel else source_problems(each)
        needs = () if each.name == names[0] or core is None else need_problems(each, names[0], core)
        for problem in (*metadata_problems(each), *inside, *needs):
            yield f"{'wheel' if each.wheel else 'source distribution'} of {each.name}: {problem}"


def metadata_problems(built: Built) -> Iterator[str]:
    """Yield what is wrong with what a distribution says of itself."""
    metadata = built.metadata
    if metadata.license_expression != LICENCE or metadata.license_files != [LICENCE_FILE]:
        yield f"its licence is {metadata.license_expression}, in {metadata.license_files}"
    if not metadata.summary or not metadata.description or metadata.description_content_type != "text/markdown":
        yield "it does not say what it is, in a line and in Markdown"
    if "Typing :: Typed" not in (metadata.classifiers or ()):
        yield "it does not say that it is typed"


def need_problems(built: Built, core: str, version: Version) -> Iterator[str]:
    """Yield what is wrong with the version of core that a plugin asks for.

    While the major version is 0, each minor version may break what stands on it, and so each major version later.
    """
    needs = [need for need in built.metadata.requires_dist or () if canonicalize_name(need.name) == core]
    if len(needs) != 1:
        yield f"it needs {core} {len(needs)} times"
        return
    later = f"{version.major}.{version.minor + 1}" if version.major == 0 else f"{version.major + 1}.0"
    (need,) = needs
    if not need.specifier.contains(version, prereleases=True) or need.specifier.contains(later):
        yield f"it needs {need}, which has to admit {version} and not {later}"


def wheel_problems(built: Built) -> Iterator[str]:
    """Yield what is in a wheel and should not be, and what is missing."""
    info = f"{built.package}-{built.metadata.version}.dist-info"
    tops = {PurePosixPath(name).parts[0] for name in built.files}
    if tops != {built.package, info}:
        yield f"at its top are {', '.join(sorted(tops))}"
    for needed in (f"{built.package}/py.typed", f"{info}/licenses/{LICENCE_FILE}"):
        if needed not in built.files:
            yield f"{needed} is missing"
    yield from unwanted(built.files)


def source_problems(built: Built) -> Iterator[str]:
    """Yield what is in a source distribution and should not be, and what is missing."""
    tops = {PurePosixPath(name).parts[0] for name in built.files}
    if tops != SOURCES:
        yield f"at its top are {', '.join(sorted(tops))}"
    yield from unwanted(name for name in built.files if name.startswith("src/"))


def unwanted(files: Iterable[str]) -> Iterator[str]:
    """Yield the files that nobody who installs a package needs."""
    for name in files:
        if TEMPLATES not in name and UNWANTED.search(name):
            yield f"{name} is in it"


def main(folder: Path, names: Sequence[str]) -> int:
    """Print what is wrong, or what was built, and return the exit code."""
    distributions = [read(path) for path in sorted((*folder.glob("*.whl"), *folder.glob("*.tar.gz")))]
    found = list(problems(distributions, [canonicalize_name(name) for name in names]))
    for problem in found:
        print(problem)
    if not found:
        size = sum(path.stat().st_size for path in folder.glob("*.whl"))
        print(f"{len(names)} distributions fit together; their wheels have {size / 1024:.0f} KiB.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
