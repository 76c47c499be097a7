from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from orchestrator_core.cli.group import cli


def test_the_document_is_printed() -> None:
    result = CliRunner().invoke(cli, ["openapi"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["openapi"].startswith("3.1")
    assert "/api/orchestrate" in document["paths"]


def test_the_document_is_written_to_a_file(tmp_path: Path) -> None:
    target = tmp_path / "openapi.json"
    result = CliRunner().invoke(cli, ["openapi", "--output", str(target)])
    assert result.exit_code == 0, result.output
    assert json.loads(target.read_text())["paths"]
    assert result.stdout == ""
