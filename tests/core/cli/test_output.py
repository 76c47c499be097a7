from __future__ import annotations

import json
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
