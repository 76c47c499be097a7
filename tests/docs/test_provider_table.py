"""The table of providers in the documentation has every plugin of this tree."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
PLUGINS = sorted(path.parent.name for path in (ROOT / "plugins").glob("*/pyproject.toml"))


@pytest.fixture
def table() -> ModuleType:
    spec = spec_from_file_location("provider_table", ROOT / "docs" / "_ext" / "provider_table.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_plugin_has_a_row(table: ModuleType) -> None:
    rows = {row.split(" | ")[1]: row for row in table.provider_lines() if "`orchestrator-" in row}
    assert set(rows) == {f"`orchestrator-{name}`" for name in PLUGINS}
    assert "`OPENAI_API_KEY`" in rows["`orchestrator-openai`"]
    assert "`https://api.openai.com/v1`" in rows["`orchestrator-openai`"]
    assert "function_calling" in rows["`orchestrator-openai`"]
    assert "| none |" in rows["`orchestrator-echo`"]


def test_a_retired_model_names_what_replaces_it(table: ModuleType) -> None:
    lines = list(table.model_lines("openai"))
    assert "| `gpt-4` | 2026-10-31 | `gpt-6-luna` |" in lines
    (row,) = [row for row in lines if row.startswith("| `gpt-4o` |")]
    assert row.endswith("; until 2027-01-31, then `gpt-6-luna` |")


def test_prices_are_those_of_the_bills(table: ModuleType) -> None:
    (row,) = [row for row in table.model_lines("qwen") if row.startswith("| `qwen3.8-flash` |")]
    assert "| 0.15 | 0.016 | 0.47 |" in row
    (unknown,) = [row for row in table.model_lines("qwen") if row.startswith("| `qwen3.7-plus` |")]
    assert "| - | - | - |" in unknown
