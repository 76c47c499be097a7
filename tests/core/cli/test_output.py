from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from orchestrator_core.cli.output import cell, show, visible

ROWS: Sequence[Mapping[str, Any]] = [
    {"name": "a", "usable": True, "models": ["m", "n"], "hidden": 1},
    {"name": "[b]", "usable": None, "models": [], "hidden": 2},
]
COLUMNS = {"name": "Name", "usable": "Usable", "models": "Models"}


EMPTY = "No thing. Make one."


def test_what_is_no_terminal_gets_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    show(ROWS, title="Things", columns=COLUMNS, as_json=False, empty=EMPTY)
    assert capsys.readouterr().out.splitlines() == ["NAME  USABLE  MODELS", "a     yes     m, n", "[b]   -       -"]


@pytest.mark.parametrize(("as_json", "said", "noted"), [(False, "", f"{EMPTY}\n"), (True, "[]\n", "")])
def test_a_person_is_told_that_there_is_nothing(
    as_json: bool, said: str, noted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show([], title="Things", columns=COLUMNS, as_json=as_json, empty=EMPTY)
    assert capsys.readouterr() == (said, noted)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        (False, "no"),
        (0.1 + 0.2, "0.3"),
        (1e-7, "0"),
        ("2026-11-28T21:14:26.555Z", "2026-11-28 21:14"),
        ("two\nlines", "two lines"),
        ({"usd": 5.0, "tokens": None}, "usd 5"),
        ([], "-"),
    ],
)
def test_values_are_written_for_people(value: Any, shown: str) -> None:
    assert cell(value) == shown


def test_a_terminal_gets_a_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    show(ROWS, title="Things", columns=COLUMNS, as_json=False, empty=EMPTY)
    shown = capsys.readouterr().out
    assert "Things" in shown
    assert "m, n" in shown
    assert "[b]" in shown, "what looks like markup is shown as it is"
    assert "hidden" not in shown


def test_a_terminal_gets_json_where_asked(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    show(ROWS, title="Things", columns=COLUMNS, as_json=True, empty=EMPTY)
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
    show(
        WIDE,
        title="Things",
        columns=HEADINGS,
        as_json=False,
        empty=EMPTY,
        whole=("name", "state", "model"),
        spare=("can",),
    )
    printed = capsys.readouterr()
    shown = re.sub(r"\x1b\[[0-9;]*m", "", printed.out)
    assert max(map(len, shown.splitlines())) <= columns
    row = WIDE[0]
    for word in (row["name"], row["state"], row["model"], "distribution", "uninstall"):
        assert word in shown
    for word in row["can"]:
        assert (word in shown) is capabilities
    assert ("Not shown in 80 columns: Capabilities." in printed.err) is not capabilities


def test_columns_get_what_they_need_before_others_get_more(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "60")
    row = {
        "name": "billing service",
        "id": "0mpsoizu2280",
        "can": ["echo", "openai"],
        "budget": {"usd": 5.0, "period": "month"},
        "expires": "2027-02-26T22:01:00.000Z",
    }
    headings = {"id": "Id", "name": "Name", "can": "Providers", "budget": "Budget", "expires": "Expires, UTC"}
    show([row], title="", columns=headings, as_json=False, empty=EMPTY, whole=("id",))
    lines = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()[1:]
    assert {len(line) for line in lines} == {60}
    assert all(word in " ".join(lines) for word in ("0mpsoizu2280", "billing", "service", "openai", "2027-02-26"))


def test_a_terminal_is_spared_columns_that_say_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    show([{"name": "a", "usable": False, "models": []}], title="", columns=COLUMNS, as_json=False, empty=EMPTY)
    printed = capsys.readouterr()
    assert "Usable" in printed.out
    assert "Models" not in printed.out + printed.err


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_states_have_colours_unless_they_are_not_wanted(
    no_color: str, coloured: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", no_color)
    show([{"name": "a", "state": "usable"}], title="", columns={"state": "State"}, as_json=False, empty=EMPTY)
    assert ("\x1b[32musable" in capsys.readouterr().out) is coloured


HOSTILE = "a\x1b]0;title\x07\x1b[2Jb\x7f\x9bc"
WRITTEN_OUT = r"a\x1b]0;title\x07\x1b[2Jb\x7f\x9bc"


@pytest.mark.parametrize("terminal", [False, True])
def test_nothing_that_was_sent_speaks_to_the_terminal(
    terminal: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal, raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    show([{"name": HOSTILE, "models": [HOSTILE]}], title="Things", columns=COLUMNS, as_json=False, empty=EMPTY)
    said = capsys.readouterr().out
    assert said.count(WRITTEN_OUT) == 2
    assert not set(said) & {"\x07", "\x7f", "\x9b"}
    assert "\x1b]" not in said


def test_json_has_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    show([{"name": HOSTILE}], title="Things", columns=COLUMNS, as_json=True, empty=EMPTY)
    said = capsys.readouterr().out
    assert json.loads(said) == [{"name": HOSTILE}]
    assert all(each.isprintable() or each == "\n" for each in said)


def test_lines_of_a_text_stay_lines() -> None:
    assert visible("a\n\tb\rc", lines=True) == "a\n\tb\\x0dc"
