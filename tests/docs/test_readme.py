"""The READMEs say the same in two languages, and no figure that the page behind it does not say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from markdown_it import MarkdownIt

from documentation import ROOT, SHELLS, blocks

ENGLISH, FRENCH = ROOT / "README.md", ROOT / "README.fr.md"
LINK = re.compile(r"\]\(([^)#\s]+)(#[^)]*)?\)")


def structure(page: Path) -> Sequence[str]:
    """Return the kinds of what a page has, in its order, with the levels of headings and the languages of code."""
    return [
        f"{token.type} {token.tag} {token.info}"
        for token in MarkdownIt().enable("table").parse(page.read_text())
        if token.type not in ("inline", "paragraph_open", "paragraph_close", "softbreak")
    ]


def targets(page: Path) -> list[str]:
    return [target for target, _ in LINK.findall(page.read_text()) if not target.startswith("README")]


def test_both_have_the_same_structure() -> None:
    assert structure(FRENCH) == structure(ENGLISH)


def test_both_lead_to_the_same_pages_and_pictures() -> None:
    assert targets(FRENCH) == targets(ENGLISH)


def test_both_have_the_same_commands() -> None:
    def commands(page: Path) -> list[str]:
        shell = [block for block in blocks(page) if block.language in SHELLS]
        return [re.sub(r"\s+#.*|\"message\": \"[^\"]*\"", "", each) for block in shell for each in block.commands()]

    assert commands(FRENCH) == commands(ENGLISH)
    assert len(commands(ENGLISH)) > 6


def promises(page: Path) -> list[tuple[list[str], list[Path]]]:
    """Return the figures of each row of promises, and the pages that the row names."""
    rows = [line for line in page.read_text().splitlines() if line.startswith("| **")]
    return [
        (figures(row.split(" | ")[1]), [ROOT / target for target, _ in LINK.findall(row.split(" | ")[2])])
        for row in rows
    ]


def figures(text: str) -> list[str]:
    return re.findall(r"\d+", re.sub(r"(?<=\d)[,  ](?=\d{3}\b)", "", text))


def test_figures_of_the_promises_are_those_of_the_pages_behind_them() -> None:
    found = promises(ENGLISH)
    assert len(found) == 4
    for named, pages in found:
        said = {figure for page in pages for figure in figures(page.read_text())}
        unknown = [figure for figure in named if figure not in said]
        assert unknown == [], (
            f"the READMEs name figures that {[page.name for page in pages]} do not: bring them up to date"
        )
    assert promises(FRENCH) == found
