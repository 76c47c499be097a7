"""What the tutorials show works as they say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fake_packages import install_plugin
from processes import RunCommand, inherited_environment

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial"
KEY = "acme-0123456789abcdef"


@pytest.fixture
def acme(tmp_path: Path) -> str:
    code = (TUTORIAL / "acme_provider.py").read_text(encoding="utf-8")
    return install_plugin(tmp_path, "orchestrator-acme", "acme", code, cls="AcmeProvider")


def test_the_first_conversation_can_be_held() -> None:
    done = subprocess.run(
        [sys.executable, TUTORIAL / "first_conversation.py"],
        env=inherited_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 messages of yours" in done.stdout
    assert "Count to five" in done.stdout.partition("Stream an answer")[2]


def test_the_provider_of_the_tutorial_answers(orchestrator: RunCommand, acme: str) -> None:
    done = orchestrator("chat", "--provider", "acme", said="Hello, Acme\n", PYTHONPATH=acme, ACME_API_KEY=KEY)
    assert done.stdout == "emcA ,olleH\n", done.stderr
    assert "acme/backwards-1" in done.stderr


@pytest.mark.parametrize(
    ("before", "after", "row"),
    [
        ("", "", ["structured_output", "yes", "yes, by 1 checks"]),
        ('"chat",', '"chat", "vision",', ["vision", "yes", "yes, by 1 checks"]),
        (
            'example/v1")',
            'example/v1", refused=(Refused(parameters={"response_format": None}),))',
            ["structured_output", "yes", "NO: test_a_schema_reaches_the_upstream"],
        ),
    ],
    ids=["as it stands", "with vision", "without schemas"],
)
def test_the_generated_provider_is_proven_as_the_tutorial_says(
    orchestrator: RunCommand, tmp_path: Path, before: str, after: str, row: list[str]
) -> None:
    assert orchestrator("new-provider", "acme").returncode == 0
    package = tmp_path / "orchestrator-acme"
    source = package / "src" / "orchestrator_acme" / "provider.py"
    code = source.read_text().replace(before, after) if before else source.read_text()
    source.write_text(code.replace("import Dialect, OpenAI", "import Dialect, Refused, OpenAI"))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:asyncio", "-q", "-k", "schema or images"],
        cwd=package,
        env={**inherited_environment(), "PYTHONPATH": os.pathsep.join([str(package / "src"), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert row in [line.split(maxsplit=2) for line in done.stdout.splitlines()], done.stdout


def test_the_provider_of_the_tutorial_checks_its_key(orchestrator: RunCommand, acme: str) -> None:
    checked = orchestrator("keys", "check", PYTHONPATH=acme, ACME_API_KEY=KEY).stdout.splitlines()
    assert [line.split()[:3] for line in checked[1:]] == [["acme", "acme-****cdef", "valid"]]
    assert orchestrator("keys", "check", PYTHONPATH=acme, ACME_API_KEY="acme-1").returncode == 1
