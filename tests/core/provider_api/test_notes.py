"""Notes of clients: taken by name, reported by name."""

from __future__ import annotations

import pytest

from orchestrator_core.provider_api import (
    OPENAI_CHAT,
    Adjustment,
    AdjustmentReport,
    Message,
    ToolCallPart,
    UnsupportedParameter,
    is_message_note,
    last_answer,
    message_notes,
    noted_message,
    taken_notes,
    text_message,
)

NOTED = {OPENAI_CHAT: {"mark": 1, "other": 2, "function": {"inner": 3}, "type": "custom", "no": False, "empty": []}}


def test_what_is_not_taken_is_reported_by_its_name_and_what_says_nothing_is_not() -> None:
    report = AdjustmentReport(strict=False)
    assert taken_notes(NOTED, OPENAI_CHAT, report, known=("mark",), read=("type",)) == {"mark": 1}
    assert [(each.subject, each.action) for each in report.adjustments] == [
        ("other", "dropped"),
        ("function.inner", "dropped"),
    ]
    report = AdjustmentReport(strict=True)
    taken = taken_notes(NOTED, OPENAI_CHAT, report, known=None, without=("other", "function"), asked=False)
    assert taken == {"mark": 1, "type": "custom", "no": False, "empty": []}
    assert isinstance(report.adjustments[0], Adjustment)
    with pytest.raises(UnsupportedParameter, match="mark"):
        taken_notes(NOTED, OPENAI_CHAT, AdjustmentReport(strict=True))
    assert taken_notes(None, OPENAI_CHAT, report) == taken_notes(NOTED, "another", report) == {}


def test_fields_of_a_message_stand_in_a_part_of_their_own() -> None:
    part = noted_message({"mark": 1})
    message = Message(role="user", parts=(*text_message("user", "Hi").parts, part))
    assert message_notes(message) == {"mark": 1}
    assert message_notes(text_message("user", "Hi")) == {}
    assert [is_message_note(each) for each in message.parts] == [False, True]


def test_what_follows_the_last_answer_is_asked_now() -> None:
    said = [text_message(role, "x") for role in ("user", "assistant", "user")]
    assert (last_answer(said), last_answer(said[:1]), last_answer(())) == (1, -1, -1)


def test_a_call_of_a_custom_tool_says_so_by_whoever_noted_it() -> None:
    calls = [ToolCallPart(id="a", name="f", provider_metadata=noted) for noted in (NOTED, {"p": {"type": "x"}}, None)]
    assert [call.is_custom for call in calls] == [True, False, False]
