"""The table of providers in the documentation has every plugin of this tree."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLUGINS = sorted(path.parent.name for path in (ROOT / "plugins").glob("*/pyproject.toml"))


@pytest.fixture
def lines() -> list[str]:
    spec = spec_from_file_location("provider_table", ROOT / "docs" / "_ext" / "provider_table.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return list(module.provider_lines())


def test_every_plugin_has_a_row(lines: list[str]) -> None:
    rows = {row.split(" | ")[1]: row for row in lines if "`orchestrator-" in row}
    assert set(rows) == {f"`orchestrator-{name}`" for name in PLUGINS}
    assert "`OPENAI_API_KEY`" in rows["`orchestrator-openai`"]
    assert "`https://api.openai.com/v1`" in rows["`orchestrator-openai`"]
    assert "function_calling" in rows["`orchestrator-openai`"]
    assert "| none |" in rows["`orchestrator-echo`"]


def test_a_retired_model_names_what_replaces_it(lines: list[str]) -> None:
    [row] = [row for row in lines if row.startswith("| `gpt-4` |")]
    assert "2026-10-31 | `gpt-6-luna`" in row
