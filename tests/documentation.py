"""The code blocks of the documentation and of the READMEs, as their readers copy them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES: Sequence[Path] = sorted(
    [
        *(page for page in DOCS.rglob("*.md") if "_build" not in page.parts),
        *ROOT.glob("*.md"),
        *ROOT.glob("plugins/*/README.md"),
        *ROOT.glob("orchestrator-core/README.md"),
    ]
)
SHELLS = ("shell", "bash", "console")
"""What blocks of commands say they are; in a `console` the commands begin with `$`."""

COMMANDS = ("orchestrator ", "nox -s ", "pytest ", "python tests/", "python scripts/", "pip install ")
"""How commands in a text begin."""


@dataclass(frozen=True)
class Block:
    """A fenced or an indented block of code.

    Attributes:
        page: The file that has it.
        line: Its first line there, counted from 1.
        language: What it says it is. An indented one is `shell`.
        text: The code.
    """

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    def commands(self) -> Iterator[str]:
        """Yield the commands of a shell, each with all of its lines, and without comments.

        Raises:
            ValueError: A quotation is not closed.
        """
        waiting = ""
        for line in self.text.splitlines():
            if self.language == "console" and not waiting and not line.startswith("$ "):
                continue  # what a command printed
            waiting += line.removeprefix("$ ") if self.language == "console" and not waiting else line
            try:
                words = shlex.split(waiting, comments=True)
            except ValueError:  # a quotation goes on in the next line
                waiting += "\n"
                continue
            if waiting.endswith("\\"):
                waiting += "\n"
                continue
            if words:
                yield waiting
            waiting = ""
        if waiting:
            shlex.split(waiting)
            raise ValueError(f"{self}: the last command goes on")


@cache
def blocks(page: Path) -> Sequence[Block]:
    """Return the blocks of a page; directives of Sphinx are none."""
    return parse(page, page.read_text(encoding="utf-8"))


def parse(page: Path, text: str) -> Sequence[Block]:
    """Return the blocks of a text that belongs to a page."""
    found = []
    for token in MarkdownIt().parse(text):
        if token.type not in ("fence", "code_block") or token.map is None:
            continue
        language = token.info.split()[0] if token.info.strip() else ""
        block = Block(page, token.map[0] + 1, language, token.content)
        if token.type == "code_block":
            block = replace(block, language="shell")
        if not language.startswith("{"):
            found.append(block)
    return found


def inline_commands(page: Path) -> Iterator[str]:
    """Yield the commands of this project that a page names in its text."""
    for token in MarkdownIt().enable("table").parse(page.read_text(encoding="utf-8")):
        for child in token.children or ():
            if child.type == "code_inline" and child.content.startswith(COMMANDS):
                yield child.content
