"""The reader of examples finds what cannot be copied."""

from __future__ import annotations

from pathlib import Path

import pytest

from command_words import check
from documentation import parse


@pytest.mark.parametrize(
    "command",
    [
        "orchestrator serve --prot 8005",
        "orchestrator server",
        "orchestrator clients",
        "nox -s nothing",
        "nox -s docs && nox -s nothing",
        "pip install ./plugins/nobody",
        "pip install 'orchestrator-core[nothing]'",
        "pip install --group nothing",
        "export ORCHESTRATOR_NOTHING=1",
        "ORCHESTRATOR_NOTHING=1 orchestrator serve",
        "OPENAI_API_KYE=sk-...",
        "pytest tests/core/nothing",
        "docker build -f deploy/Dockerfil .",
        "frobnicate --all",
    ],
)
def test_what_does_not_exist_is_found(command: str) -> None:
    with pytest.raises(AssertionError):
        check(command)


def test_what_exists_is_taken() -> None:
    check('OPENAI_API_KEY=sk-... orchestrator serve --port 8005 | grep "a; b" > docs.txt')
    check("orchestrator clients", mentioned=True)


def test_commands_have_all_of_their_lines() -> None:
    fenced = "```console\n$ curl \\\n    -d '{\n  \"a\": 1}'\nprinted\n$ orchestrator serve  # here\n```\n"
    console, indented = parse(Path("page.md"), f"{fenced}\n    nox -s docs\n")
    assert list(console.commands()) == ["curl \\\n    -d '{\n  \"a\": 1}'", "orchestrator serve  # here"]
    assert (indented.language, list(indented.commands())) == ("shell", ["nox -s docs"])
