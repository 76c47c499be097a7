from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from orchestrator_core.cli.output import show

ROWS: Sequence[Mapping[str, Any]] = [
    {"name": "a", "usable": True, "models": ["m", "n"], "hidden": 1},
    {"name": "[b]", "usable": None, "models": [], "hidden": 2},
]
COLUMNS = {"name": "Name", "usable": "Usable", "models": "Models"}


def test_what_is_no_terminal_gets_json(capsys: pytest.CaptureFixture[str]) -> None:
    show(ROWS, title="Things", columns=COLUMNS, as_json=False)
    assert json.loads(capsys.readouterr().out) == ROWS


def test_a_terminal_gets_a_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    show(ROWS, title="Things", columns=COLUMNS, as_json=False)
    shown = capsys.readouterr().out
    assert "Things" in shown
    assert "m, n" in shown
    assert "[b]" in shown, "what looks like markup is shown as it is"
    assert "hidden" not in shown


def test_a_terminal_gets_json_where_asked(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    show(ROWS, title="Things", columns=COLUMNS, as_json=True)
    assert json.loads(capsys.readouterr().out) == ROWS


WIDE: Sequence[Mapping[str, Any]] = [
    {
        "name": "openai-compatible",
        "state": "quarantined",
        "model": "mistral-small-latest-2026",
        "can": ["chat", "embeddings", "function_calling", "structured_output"],
        "reason": "another distribution claims openai-compatible too: uninstall one of them",
    }
]
HEADINGS = {"name": "Name", "can": "Capabilities", "state": "State", "model": "Model", "reason": "Reason"}


@pytest.mark.parametrize(("columns", "capabilities"), [(80, False), (100, True), (200, True)])
def test_a_narrow_table_can_be_read(
    columns: int, capabilities: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(columns))
    show(WIDE, title="Things", columns=HEADINGS, as_json=False, whole=("name", "state", "model"), spare=("can",))
    shown = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert max(map(len, shown.splitlines())) <= columns
    row = WIDE[0]
    for word in (row["name"], row["state"], row["model"], "distribution", "uninstall"):
        assert word in shown
    for word in row["can"]:
        assert (word in shown) is capabilities
    assert ("Not shown in 80 columns: Capabilities." in shown) is not capabilities
