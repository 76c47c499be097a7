"""Where a conversation is cut: never between a call and its result, never within the last turn."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_core.orchestration.context import SUMMARY_HEADING, View, build_context, cut_for_summary
from orchestrator_core.orchestration.estimate import weigh_request
from orchestrator_core.provider_api import (
    ChatRequest,
    Deadline,
    Message,
    TextPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
    text_message,
)
from orchestrator_core.sessions.models import Session, StartedTurn, StoredMessage, StoredSummary
from orchestrator_core.sessions.weights import weigh

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def calling(*ids: str) -> Message:
    return Message(role="assistant", parts=tuple(ToolCallPart(id=call, name="look") for call in ids))


def results(*ids: str) -> Message:
    return Message(role="tool", parts=tuple(ToolResultPart(tool_call_id=call, content="found") for call in ids))


def stored(turns: list[list[Message]]) -> list[StoredMessage]:
    placed = [(number, message) for number, turn in enumerate(turns) for message in turn]
    return [
        StoredMessage(
            id=f"msg_{index}",
            sequence=index + 1,
            turn_id=f"turn_{number}",
            turn_state="complete",
            message=message,
            created_at=NOW,
        )
        for index, (number, message) in enumerate(placed)
    ]


@st.composite
def conversations(draw: st.DrawFn) -> list[StoredMessage]:
    """Draw what the gateway stores: calls of the newest answer get their results next, or the user goes on."""
    turns: list[list[Message]] = []
    waiting: list[str] = []
    for number in range(draw(st.integers(0, 25))):
        if waiting and draw(st.booleans()):
            given_now = draw(st.integers(1, len(waiting)))
            said, waiting = results(*waiting[:given_now]), waiting[given_now:]
        else:
            said, waiting = text_message("user", "x" * draw(st.integers(0, 400))), []
        turn = [said]
        if not waiting and draw(st.integers(0, 9)):
            calls = draw(st.integers(0, 3))
            waiting = [f"call_{number if draw(st.booleans()) else 0}_{index}" for index in range(calls)]
            turn.append(calling(*waiting) if calls else text_message("assistant", "y" * draw(st.integers(0, 400))))
        turns.append(turn)
    return stored(turns)


def waits_at(messages: list[StoredMessage], place: int) -> list[str]:
    """Return the calls before a place whose results come after it."""
    newest = next((m for m in reversed(messages[:place]) if m.message.role != "tool"), None)
    calls = [call.id for call in newest.message.tool_calls] if newest else []
    for later in messages[messages.index(newest) + 1 if newest else 0 : place]:
        for part in later.message.parts:
            if isinstance(part, ToolResultPart) and part.tool_call_id in calls:
                calls.remove(part.tool_call_id)
    answered = []
    for later in messages[place:]:
        if later.message.role != "tool":
            break
        answered += [part.tool_call_id for part in later.message.parts if isinstance(part, ToolResultPart)]
    return [call for call in calls if call in answered]


@given(conversations(), st.integers(0, 20), st.none() | st.integers(0, 2000))
def test_no_call_is_parted_from_its_result_and_the_last_turn_stays(
    messages: list[StoredMessage], keep: int, room: int | None
) -> None:
    cut = cut_for_summary(messages, keep=keep, room=room)

    assert 0 <= cut < max(1, len(messages))
    if cut:
        assert waits_at(messages, cut) == []
        assert messages[cut].message.role != "tool"
        assert messages[cut - 1].turn_id != messages[-1].turn_id
        assert messages[cut - 1].turn_id != messages[cut].turn_id or messages[cut - 1].message.role == "tool"


@given(conversations(), st.integers(1, 10), st.none() | st.integers(50, 2000))
def test_what_stays_is_bounded_wherever_it_can_be(messages: list[StoredMessage], keep: int, room: int | None) -> None:
    cut = cut_for_summary(messages, keep=keep, room=room)
    left = messages[cut:]

    fits = room is None or weigh(stored.message for stored in left).total <= room
    if len(left) <= 2 * keep and fits:
        return
    # More stays only where nothing later can be cut, or what could be would leave less than is to be kept.
    later = range(cut + 1, len(messages))
    allowed = [
        place
        for place in later
        if messages[place].message.role != "tool"
        and not waits_at(messages, place)
        and messages[place - 1].turn_id != messages[-1].turn_id
        and (messages[place - 1].turn_id != messages[place].turn_id or messages[place - 1].message.role == "tool")
    ]
    assert not allowed


@given(st.integers(1, 30), st.integers(1, 12))
def test_plain_questions_leave_as_many_as_are_to_be_kept(turns: int, keep: int) -> None:
    messages = stored([[text_message("user", "q"), text_message("assistant", "a")] for _ in range(turns)])

    cut = cut_for_summary(messages, keep=keep)

    assert cut % 2 == 0
    assert len(messages) - cut in {min(2 * turns, keep + change) for change in (-1, 0, 1)}


def test_a_long_chain_of_calls_is_cut_between_calls() -> None:
    chain = [[text_message("user", "find it"), calling("c0")]]
    chain += [[results(f"c{number}"), calling(f"c{number + 1}")] for number in range(20)]
    messages = stored(chain)

    cut = cut_for_summary(messages, keep=6)

    assert messages[cut].message.tool_calls
    assert 6 <= len(messages) - cut <= 12


def started(messages: list[StoredMessage], *, whole: bool = True) -> StartedTurn:
    """Return a turn of a conversation whose beginning was summarised."""
    session = Session(
        id="sess_1",
        tenant="default",
        user_id=None,
        metadata={},
        status="active",
        created_at=NOW,
        last_turn_at=NOW,
        message_count=1,
        summary="looked",
    )
    summary = StoredSummary(id="sum_1", from_sequence=1, upto_sequence=3, text="looked", created_at=NOW)
    weight = weigh(stored.message for stored in messages)
    return StartedTurn(
        turn_id="turn_1", since=0, session=session, summary=summary, messages=messages, weight=weight, whole=whole
    )


def test_after_a_cut_in_a_chain_the_summary_is_what_the_user_said() -> None:
    turn = started(stored([[calling("c1")], [results("c1")]]))

    context = build_context([text_message("system", "be brief")], turn)

    assert [message.role for message in context] == ["system", "user", "assistant", "tool"]
    assert context[1].parts == (TextPart(text=f"{SUMMARY_HEADING}\nlooked"),)


@pytest.mark.parametrize("whole", [True, False])
def test_a_view_weighs_what_its_request_weighs(whole: bool) -> None:
    turn = started(
        stored([[results("c1"), calling("c2")], [results("c2")], [text_message("user", "so?")]]), whole=whole
    )
    template = ChatRequest(
        model="m",
        messages=[text_message("system", "be brief")],
        deadline=Deadline.after(9.0),
        tools=[Tool(name="look", parameters={"type": "object"})],
    )

    view = View.of(template, turn)

    assert len(view.request.messages) == 2 + (4 if whole else 1)
    assert view.weight.text == pytest.approx(weigh_request(view.request).text)
