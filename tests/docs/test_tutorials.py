"""What the tutorials show works as they say."""

from __future__ import annotations

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


def test_the_provider_of_the_tutorial_checks_its_key(orchestrator: RunCommand, acme: str) -> None:
    assert orchestrator("keys", "check", PYTHONPATH=acme, ACME_API_KEY=KEY).stdout == "acme  acme-****cdef  valid\n"
    assert orchestrator("keys", "check", PYTHONPATH=acme, ACME_API_KEY="acme-1").returncode == 1
