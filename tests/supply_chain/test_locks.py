"""What is locked: everything that is declared and what that needs, within the declared ranges, each with hashes."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
AGAIN = "run `nox -s lock` and commit what it writes"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DISTRIBUTIONS = [
    tomllib.loads(path.read_text())["project"]
    for path in (ROOT / "orchestrator-core/pyproject.toml", *sorted(ROOT.glob("plugins/*/pyproject.toml")))
]
OWN = {canonicalize_name(project["name"]) for project in DISTRIBUTIONS}


@dataclass(frozen=True)
class Pinned:
    version: Version
    hashes: int


def read(name: str) -> dict[str, Pinned]:
    pinned = {}
    for entry in (ROOT / "requirements" / f"{name}.txt").read_text().replace("\\\n", " ").splitlines():
        if entry and not entry.startswith("#"):
            line, *hashes = re.split(r"\s+--hash=sha256:[0-9a-f]{64}(?=\s|$)", entry)
            (specifier,) = Requirement(line).specifier
            assert specifier.operator == "==", line
            assert not any(rest.strip() for rest in hashes), line
            pinned[canonicalize_name(Requirement(line).name)] = Pinned(Version(specifier.version), len(hashes))
    return pinned


def declared() -> Iterator[Requirement]:
    """Yield what the distributions need, with every extra that a gateway may have."""
    for project in DISTRIBUTIONS:
        extras: dict[str, list[str]] = project.get("optional-dependencies", {})
        for texts in (project["dependencies"], *(needs for extra, needs in extras.items() if extra != "testing")):
            yield from map(Requirement, texts)


def group(name: str) -> Iterator[Requirement]:
    entry: Any
    for entry in PROJECT["dependency-groups"][name]:
        if isinstance(entry, str):
            yield Requirement(entry)
        else:
            yield from group(entry["include-group"])


def unlocked(pinned: dict[str, Pinned], roots: list[Requirement]) -> Iterator[str]:
    """Yield what is needed and not locked, or locked in a version that is not good for it.

    What a package needs is known where its locked version is installed here; of others nothing is guessed.
    """
    waiting, seen = list(roots), set()
    while waiting:
        needed = waiting.pop()
        name = canonicalize_name(needed.name)
        if name in OWN or str(needed) in seen:
            continue
        seen.add(str(needed))
        if name not in pinned:
            yield f"{name} is not locked"
            continue
        if not needed.specifier.contains(pinned[name].version, prereleases=True):
            yield f"{name} is locked as {pinned[name].version}, which is not {needed.specifier}"
        try:
            installed = distribution(name)
        except PackageNotFoundError:
            continue
        if Version(installed.version) == pinned[name].version:
            waiting += [need for need in map(Requirement, installed.requires or ()) if _applies(need, needed.extras)]


def _applies(need: Requirement, extras: set[str]) -> bool:
    return need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in ("", *extras))


@pytest.mark.parametrize("name", ["container", "development"])
def test_everything_that_is_declared_is_locked_within_its_range(name: str) -> None:
    roots = [*declared(), *(group("dev") if name == "development" else ())]
    assert sorted(unlocked(read(name), roots)) == [], AGAIN


def test_what_the_distributions_are_built_with_is_locked() -> None:
    files = (ROOT / "orchestrator-core/pyproject.toml", *ROOT.glob("plugins/*/pyproject.toml"))
    needs = {need for path in files for need in tomllib.loads(path.read_text())["build-system"]["requires"]}
    assert sorted(unlocked(read("build"), list(map(Requirement, needs)))) == [], AGAIN


@pytest.mark.parametrize("name", ["build", "container", "development"])
def test_every_entry_has_hashes_and_names_no_place(name: str) -> None:
    assert all(entry.hashes for entry in read(name).values())
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    assert not re.search(r"://|^-|^\.|/", text, re.MULTILINE)


def test_both_lock_the_same_versions() -> None:
    container, development = read("container"), read("development")
    assert {name: entry.version for name, entry in container.items()} == {
        name: development[name].version for name in container
    }, AGAIN


def test_a_gap_would_be_found() -> None:
    pinned = read("container")
    roots = list(declared())
    assert "aiohttp is not locked" in set(unlocked({n: e for n, e in pinned.items() if n != "aiohttp"}, roots))
    outside = [*roots, Requirement("aiohttp<3")]
    assert any(problem.startswith("aiohttp is locked as") for problem in unlocked(pinned, outside))
    without = {n: e for n, e in pinned.items() if n != "yarl"}
    if Version(distribution("aiohttp").version) == pinned["aiohttp"].version:
        assert "yarl is not locked" in set(unlocked(without, roots))
