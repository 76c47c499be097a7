"""Every link leads somewhere: files and headings are there, addresses are well-formed. The network is not asked.

Sphinx checks the links between the pages of the site as well; it does not see the READMEs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from documentation import PAGES, ROOT

WELL_FORMED = re.compile(r"https://[a-z0-9-]+(\.[a-z0-9-]+)+(:\d+)?(/[^\s<>\"]*)?")
LOCAL = re.compile(r"http://(127\.0\.0\.1|localhost)(:\d+)?(/\S*)?")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    wrong = [link for link in links(page) if not leads_somewhere(page, link)]
    assert wrong == []


def leads_somewhere(page: Path, link: str) -> bool:
    parts = urlsplit(link)
    if parts.scheme:
        return bool(WELL_FORMED.fullmatch(link) or LOCAL.fullmatch(link) or parts.scheme == "mailto")
    target = (page.parent / parts.path).resolve() if parts.path else page
    if not target.exists() or not target.is_relative_to(ROOT):
        return False
    return not parts.fragment or target.suffix != ".md" or parts.fragment in anchors(target)


def links(page: Path) -> Iterator[str]:
    for token in tokens(page):
        for child in token.children or ():
            address = child.attrs.get("href") or child.attrs.get("src")
            if isinstance(address, str):
                yield address


@cache
def anchors(page: Path) -> frozenset[str]:
    """Return the anchors of the headings of a page, as GitHub and MyST make them."""
    found = set()
    parsed = tokens(page)
    for before, token in pairwise(parsed):
        if before.type == "heading_open":
            text = "".join(child.content for child in token.children or () if child.type in ("text", "code_inline"))
            found.add(re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-"))
    return frozenset(found)


@cache
def tokens(page: Path) -> list[Token]:
    text = page.read_text(encoding="utf-8")
    included = re.findall(r"```\{include\} (\S+)", text)  # their headings belong to the page
    whole = "\n\n".join([text, *((page.parent / name).read_text(encoding="utf-8") for name in included)])
    return MarkdownIt().enable("table").parse(whole)


def test_wrong_links_are_found() -> None:
    page = ROOT / "README.md"
    for link in (
        "docs/nothing.md",
        "docs/index.md#nothing",
        "../elsewhere.md",
        "https://",
        "http://example.com/",
        "ftp:x",
    ):
        assert not leads_somewhere(page, link)
