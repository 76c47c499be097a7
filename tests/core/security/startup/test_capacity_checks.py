"""Bounds that contradict each other."""

from __future__ import annotations

from pathlib import Path

from orchestrator_core.config import load
from orchestrator_core.security.startup import check


def warnings(directory: Path, **environ: str) -> list[str]:
    report = check(load(environ, directory), None)
    return [warning for warning in report.warnings if "CONNECTIONS" in warning]


def test_calls_need_connections(tmp_path: Path) -> None:
    assert warnings(tmp_path) == []
    (found,) = warnings(tmp_path, ORCHESTRATOR_MAX_CALLS_IN_FLIGHT="1000")
    assert found.startswith("ORCHESTRATOR_MAX_CONNECTIONS: ")
    both = {"ORCHESTRATOR_MAX_CALLS_IN_FLIGHT": "1000", "ORCHESTRATOR_MAX_CONNECTIONS": "1000"}
    assert warnings(tmp_path, **both) == []
