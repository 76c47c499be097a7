"""The files of the page, without a browser: what they may say, and how much of it."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Final

import pytest

from orchestrator_core.security.events import MEANINGS
from orchestrator_core.server.page import OWN

SCRIPTS: Final = sorted(OWN.rglob("*.js"))
CODE: Final = [path for path in SCRIPTS if path.stem not in ("en", "fr")]
FIRST: Final = 80 * 1024
"""Bytes of what a first visit to the overview loads, as they are in the files."""
PACKED: Final = 28 * 1024
LANGUAGES: Final = ("en", "fr")

MADE: Final = {
    "figure": ("provider", "state", "calls", "failed", "latency", "tokens", "cost", "can"),
    "state": ("pending", "interrupted", "failed", "client_closed"),
    "action": ("mapped", "downgraded", "dropped"),
    "health": ("healthy", "degraded", "unhealthy", "away"),
    "provider": ("healthy", "unhealthy", "quarantined", "not_configured"),
    "event": tuple(MEANINGS),
}
"""Words whose names the scripts put together, by what comes before the dot, as the API has them."""


def words(language: str) -> dict[str, str]:
    text = (OWN / f"{language}.js").read_text(encoding="utf-8")
    found: dict[str, str] = json.loads(text.removeprefix("export default ").rstrip().removesuffix(";"))
    return found


def loaded(entry: Path) -> set[Path]:
    """Return a script and all that it imports as it is loaded."""
    found, waiting = set[Path](), [entry]
    while waiting:
        script = waiting.pop()
        if script not in found:
            found.add(script)
            names = re.findall(r'^(?:import\b.*|\}) from "([^"]+)";$', script.read_text(), re.MULTILINE)
            waiting += [(script.parent / name).resolve() for name in names]
    return found


def test_both_languages_have_the_same_words() -> None:
    english, french = (words(language) for language in LANGUAGES)
    assert english.keys() == french.keys()
    places = re.compile(r"\{\w+\}")
    for name, text in english.items():
        assert sorted(places.findall(text)) == sorted(places.findall(french[name])), name
        assert french[name].strip(), name


def test_french_is_written_as_french_is() -> None:
    for name, text in words("fr").items():
        assert not re.search(r"\w[:;?!](?:\s|$)|'", text), f"{name}: a space before the sign, and a curly apostrophe"


def test_every_word_that_is_used_exists_and_every_word_is_used() -> None:
    known = set(words("en"))
    code = "".join(path.read_text(encoding="utf-8") for path in (*CODE, OWN / "index.html"))
    named = set(re.findall(r'"([a-z]+(?:\.[a-z0-9_]+)*)"', code)) & known
    prefixes = set(re.findall(r"`([a-z]+)\.\$\{", code))
    used = {name for name in known if name in named or name.split(".")[0] in prefixes}
    plural = {f"{name}.{form}" for name in re.findall(r'count\("(\w+)"', code) for form in ("one", "other")}
    assert known - used - plural == set()
    assert plural <= known
    for call in re.findall(r'\bt\("([^"]+)"', code):
        assert call in known, call
    for prefix, names in MADE.items():
        assert {f"{prefix}.{name}" for name in names} <= known


@pytest.mark.parametrize("path", [*SCRIPTS, OWN / "index.html", OWN / "style.css"], ids=lambda path: path.name)
def test_nothing_asks_another_host_or_becomes_code(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    text = text.replace("http://www.w3.org/2000/svg", "").replace(r"https?:\/\/", "")
    assert "://" not in text
    assert "@import" not in text
    for word in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "DOMParser",
    ):
        assert word not in text, word
    assert 'setAttribute("style"' not in text


def test_no_script_and_no_style_stands_in_the_page() -> None:
    page = (OWN / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"<script(?![^>]*\bsrc=)", page) == []
    assert re.findall(r"<style|\sstyle=|\son\w+=", page) == []
    assert re.findall(r'(?:src|href)="(?!__files__/|#)', page) == []


def test_what_the_page_preloads_is_what_its_first_script_imports() -> None:
    page = (OWN / "index.html").read_text(encoding="utf-8")
    preloaded = set(re.findall(r'modulepreload" href="__files__/([^"]+)"', page))
    assert preloaded == {path.relative_to(OWN).as_posix() for path in loaded(OWN / "app.js")} - {"app.js"} - {"sse.js"}


def test_a_key_is_kept_in_one_place_and_never_for_good() -> None:
    keeping = {path.name for path in CODE if "sessionStorage" in path.read_text()}
    assert keeping == {"api.js"}
    for path in CODE:
        for line in path.read_text().splitlines():
            assert not ("localStorage" in line and "orchestrator." not in line), line
    assert "credential" not in (OWN / "snippets.js").read_text()


def test_a_first_visit_is_light() -> None:
    first = loaded(OWN / "app.js") | loaded(OWN / "views/overview.js")
    first |= {OWN / name for name in ("index.html", "style.css", "icon.svg", "choices.js", "fr.js")}
    assert sum(path.stat().st_size for path in first) < FIRST
    assert sum(len(gzip.compress(path.read_bytes())) for path in first) < PACKED


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_short_enough_to_be_read(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
