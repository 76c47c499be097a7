"""What of Python itself, and of the libraries that it brings, is looked at before a start."""

from __future__ import annotations

from pathlib import Path

import certifi

from orchestrator_core.config import load
from orchestrator_core.security.startup.interpreter import lost_authorities
from orchestrator_core.security.startup.runtime import Runtime
from orchestrator_core.security.startup.subject import Subject


def test_authorities_that_cannot_be_read_are_said_without_their_path(tmp_path: Path) -> None:
    canary = tmp_path / "canary.pem"
    canary.write_text("no certificate")
    for path in (canary, tmp_path / "canary", tmp_path):
        subject = Subject(load({}, tmp_path), runtime=Runtime({"SSL_CERT_FILE": str(path)}))
        (found,) = lost_authorities(subject)
        assert found.startswith("SSL_CERT_FILE: ")
        assert "canary" not in found


def test_authorities_that_can_be_read_are_fine(tmp_path: Path) -> None:
    for environ in ({}, {"SSL_CERT_FILE": ""}, {"SSL_CERT_FILE": certifi.where()}):
        assert list(lost_authorities(Subject(load({}, tmp_path), runtime=Runtime(environ)))) == []
