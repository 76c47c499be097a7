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


def promises(page: Path) -> list[tuple[str, list[Path]]]:
    """Return what each row of promises measured, and the pages that the row names."""
    rows = [line.split(" | ") for line in page.read_text().splitlines() if line.startswith("| **")]
    return [(row[1], [ROOT / target for target, _ in LINK.findall(row[2])]) for row in rows]


def figures(text: str) -> list[str]:
    return re.findall(r"\d+", re.sub(r"(?<=\d)[,  ](?=\d{3}\b)", "", text))


def words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]{4,}", text.lower()))


def unfounded(measured: str, page: str) -> list[str]:
    """Return the figures that no line or paragraph of a page has beside a word of what the figure is said of."""
    said = [block for part in page.split("\n\n") for block in (part.splitlines() if part.startswith("|") else [part])]
    return [
        figure
        for clause in re.split("[;:]", measured)
        for figure in figures(clause)
        if not any(figure in figures(block) and (figure == "0" or words(clause) & words(block)) for block in said)
    ]


def test_figures_of_the_promises_are_those_of_the_pages_behind_them() -> None:
    found = promises(ENGLISH)
    assert len(found) == 4
    for measured, pages in found:
        unknown = unfounded(measured, "\n\n".join(page.read_text() for page in pages))
        assert unknown == [], (
            f"the READMEs name figures that {[page.name for page in pages]} do not: bring them up to date"
        )
    assert [(figures(measured), pages) for measured, pages in promises(FRENCH)] == [
        (figures(measured), pages) for measured, pages in found
    ]


def test_a_figure_of_something_else_is_no_foundation() -> None:
    page = "| Configurations | 74 refused |\n| Requests | 64 at a time: 0 lost |\n\nOf 1,000 pairs\nnone is lost."
    assert unfounded("64 unsafe configurations: 0 start", page) == ["64"]
    assert unfounded("74 unsafe configurations: 0 start; 1,000 pairs", page) == []
