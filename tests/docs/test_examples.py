"""Every example of the documentation and of the READMEs can be copied: it is run, or read by what it is for.

Commands of other programs, such as Docker's, are read as far as they name files of this tree; `nox -s deploy` and the
session `clients` run more of them.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
import pytest_asyncio
import yaml

from command_words import check, simple_commands
from copied_commands import Reader, needs_curl, reader
from documentation import PAGES, ROOT, SHELLS, Block, blocks, inline_commands
from orchestrator_core.config.load import load

pytestmark = pytest.mark.asyncio(loop_scope="module")

OUTPUT = ("text", "nginx")
"""What programs print, and what belongs to other programs."""

NOT_RUN: Mapping[str, str] = {
    "orchestrator serve": "a gateway is what all others run beside",
    "orchestrator new-provider acme": "tests/docs/test_tutorials.py",
    "orchestrator plugins doctor acme": "tests/docs/test_tutorials.py",
    "orchestrator chat --provider acme": "tests/docs/test_tutorials.py",
    "orchestrator check --environment production": "it says what the machine is like: tests/core/cli/test_check.py",
}
ALONE = {"docs/how-to/client-keys.md", "docs/how-to/limits-and-budgets.md", "docs/how-to/caching.md"}
"""Pages whose examples change the gateway, or how it is set up, so that they get one of their own."""

MADE_UP = ("API_KEY", "SERVER_PORT")
"""Settings of examples that are not set where these run."""

NAMES = {str(page.relative_to(ROOT)): page for page in PAGES if blocks(page)}


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="shared")
async def _shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Reader]:
    async with reader(tmp_path_factory.mktemp("reader")) as found:
        yield found


@pytest.mark.parametrize("name", NAMES)
async def test_examples_are_what_they_say(tmp_path: Path, name: str) -> None:
    for block in blocks(NAMES[name]):
        if block.language in SHELLS:
            for command in block.commands():
                check(command)
        elif block.language == "toml":
            (tmp_path / "orchestrator.toml").write_text(block.text)
            load({}, tmp_path)
        elif block.language == "json":
            json.loads(block.text if block.text.startswith("{") else f"{{{block.text}}}")
        elif block.language == "yaml":
            assert yaml.safe_load(block.text)
        else:
            assert block.language in (*OUTPUT, "python"), f"{block}: {block.language or 'no language'}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
async def test_commands_in_the_text_exist(page: Path) -> None:
    for command in inline_commands(page):
        check(command, mentioned=True)


@needs_curl
@pytest.mark.parametrize("name", NAMES)
async def test_examples_work(shared: Reader, tmp_path: Path, name: str) -> None:
    found = blocks(NAMES[name])
    commands = [command for block in found if block.language in SHELLS for command in block.commands() if runs(command)]
    code = "\n".join(block.text for block in found if block.language == "python")
    if not commands and not code:
        return
    if name not in ALONE:
        await follow(shared, commands, code)
        return
    async with reader(tmp_path, **settings(found)) as own:
        await follow(own, commands, code)


async def follow(beside: Reader, commands: list[str], code: str) -> None:
    """Do what a page says, in a conversation that has begun."""
    placeholders = await beside.conversation()
    if commands:
        await beside.shell("\n".join(commands), **placeholders)
    if code:
        assert await beside.python(code, **placeholders)


def runs(command: str) -> bool:
    """Say whether a command calls the gateway, or is its own command."""
    simple = [" ".join(words) for words, _ in simple_commands(command)]
    if any(each.startswith(tuple(NOT_RUN)) for each in simple):
        return False
    return any(each.startswith("orchestrator ") or (each.startswith("curl ") and ":8000/" in each) for each in simple)


def settings(found: list[Block]) -> dict[str, str]:
    """Return what a page sets, where a block does nothing else."""
    return {
        name: value
        for block in found
        if block.language in SHELLS
        for command in block.commands()
        for words, assigned in simple_commands(command)
        if not words
        for name, value in assigned.items()
        if name.isupper() and not name.endswith(MADE_UP) and "$(" not in command
    }
