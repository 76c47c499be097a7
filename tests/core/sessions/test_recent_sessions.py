from __future__ import annotations

import sys
import time
import tracemalloc
from collections.abc import Sequence
from typing import Any

import pytest
from pydantic_core import to_json

from orchestrator_core.provider_api import ToolResultPart
from orchestrator_core.sessions.jobs.beginning import Begun, Limits
from orchestrator_core.sessions.jobs.contexts import Context
from orchestrator_core.sessions.jobs.ending import Ended
from orchestrator_core.sessions.jobs.rows import MessageRow, SessionRow, stored_message, stored_messages
from orchestrator_core.sessions.recent import IDLE, RecentSessions

TEXT = [{"type": "text", "text": "hello"}]


def row(sequence: int, turn_id: str, parts: Sequence[Any] = TEXT, role: Any = "user") -> MessageRow:
    return (f"msg_{sequence}", sequence, turn_id, "pending", role, None, to_json(parts).decode(), 0, None, None)


def session(name: str, **fields: Any) -> SessionRow:
    empty = SessionRow._make([None] * len(SessionRow._fields))._replace(metadata="{}", created_at=0)
    known = {"id": name, "last_turn_id": "turn_1", "last_turn_state": "pending", "last_turn_at": 5, "last_sequence": 1}
    return empty._replace(**{**known, **fields})


def begin(recent: RecentSessions, name: str, parts: Sequence[Any] = TEXT) -> None:
    note(recent, name, [row(1, "turn_1", parts)])


def note(recent: RecentSessions, name: str, rows: Sequence[MessageRow]) -> None:
    """Note a turn that was begun, and what it sees."""
    begun = Begun("turn_1", session(name), Context(rows))
    recent.begun("acme", begun, begun.started("acme", 0, Limits(idle=1, turn=1, key=1)))


def end(recent: RecentSessions, name: str, **fields: Any) -> None:
    answer = row(2, "turn_1", role="assistant")
    left = session(name, **{"last_turn_state": "complete", "last_sequence": 2, **fields})
    recent.ended("acme", Ended(left, answer), stored_message(answer))


async def test_what_a_complete_turn_left_is_all_of_it() -> None:
    recent = RecentSessions()
    begin(recent, "sess_1")
    under_way = recent.find("acme", "sess_1")
    assert under_way is not None
    assert not under_way.are_all(session("sess_1")), "its answer is not there yet"
    end(recent, "sess_1")
    kept = recent.find("acme", "sess_1")
    assert kept is not None
    assert [(stored.sequence, stored.turn_state) for stored in kept.messages] == [(1, "complete"), (2, "pending")]
    assert kept.are_all(session("sess_1", last_turn_state="complete", last_sequence=2))


@pytest.mark.parametrize(
    "other",
    [
        {"last_turn_id": "turn_2"},
        {"last_turn_state": "interrupted"},
        {"last_turn_at": 6},
        {"last_sequence": 3},
        {"summary_id": "sum_1"},
    ],
)
async def test_it_is_not_all_once_anything_else_is_known_of_the_session(other: dict[str, Any]) -> None:
    recent = RecentSessions()
    begin(recent, "sess_1")
    end(recent, "sess_1")
    kept = recent.find("acme", "sess_1")
    assert kept is not None
    assert not kept.are_all(session("sess_1", **{"last_turn_state": "complete", "last_sequence": 2, **other}))
    begin(recent, "sess_1")
    end(recent, "sess_1", **other)
    assert recent.find("acme", "sess_1") is None


SIGNED = {"type": "text", "text": "19", "provider_metadata": {"alpha": {"signature": "S"}}}


@pytest.mark.parametrize("part", [SIGNED, {"type": "tool_result", "tool_call_id": "c", "content": [SIGNED]}])
async def test_what_a_provider_still_holds_of_its_answer_is_kept_apart(part: Any) -> None:
    recent = RecentSessions()
    begin(recent, "sess_1")
    given = row(2, "turn_1", [part], role="assistant")
    answer = stored_message(given)
    recent.ended("acme", Ended(session("sess_1", last_turn_state="complete", last_sequence=2), given), answer)
    (noted,) = answer.message.parts
    if isinstance(noted, ToolResultPart) and not isinstance(noted.content, str):
        (noted,) = noted.content
    assert isinstance(noted.provider_metadata, dict)
    noted.provider_metadata.clear()
    kept = recent.find("acme", "sess_1")
    assert kept is not None
    assert kept.messages[-1] == stored_message(given)
    recent.clear()


async def test_a_session_that_was_dropped_does_not_come_back_with_the_end_of_its_turn() -> None:
    recent = RecentSessions()
    begin(recent, "sess_1")
    recent.drop("acme", "sess_1")
    end(recent, "sess_1")
    assert len(recent) == 0


async def test_those_without_a_turn_for_longest_make_room() -> None:
    recent = RecentSessions(max_bytes=20_000)
    for number in range(50):
        begin(recent, f"sess_{number}")
        begin(recent, "sess_0")
    assert 5 < len(recent) < 20
    assert recent.find("acme", "sess_0") is not None
    assert recent.find("acme", "sess_49") is not None
    assert recent.find("acme", "sess_1") is None


async def test_one_that_would_push_out_most_others_is_not_kept() -> None:
    recent = RecentSessions(max_bytes=20_000)
    begin(recent, "sess_1")
    begin(recent, "sess_2", [{"type": "text", "text": "x" * 5000}])
    assert recent.find("acme", "sess_1") is not None
    assert recent.find("acme", "sess_2") is None


async def test_what_is_too_large_to_be_kept_is_not_counted_to_its_end() -> None:
    recent = RecentSessions()
    noted = [{"type": "opaque", "provider_metadata": {"alpha": {"items": [0] * 300_000}}}]
    rows = [row(number, "turn_1", noted) for number in range(1, 6)]
    begun = Begun("turn_1", session("sess_1"), Context(rows))
    started = begun.started("acme", 0, Limits(idle=1, turn=1, key=1))
    before = time.thread_time()
    recent.begun("acme", begun, started)
    assert time.thread_time() - before < 0.05
    assert recent.find("acme", "sess_1") is None


async def test_what_nobody_goes_on_with_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    recent = RecentSessions(clock=lambda: now)
    begin(recent, "sess_1")
    now = IDLE - 1
    begin(recent, "sess_2")
    now = IDLE
    recent.drop_idle()
    assert recent.find("acme", "sess_1") is None
    assert recent.find("acme", "sess_2") is not None
    recent.clear()
    assert len(recent) == 0


@pytest.mark.parametrize(
    "parts",
    [
        TEXT,
        TEXT * 30,
        [{"type": "text", "text": "ж" * 5000}],
        [{"type": "tool_call", "id": "call_1", "name": "f", "arguments": "x" * 1000}] * 5,
        [{"type": "opaque", "provider_metadata": {"alpha": {"items": [[], {}] * 400}}}],
        [{"type": "opaque", "provider_metadata": {"alpha": {f"{n}": {"a": [n + 0.5]} for n in range(200)}}}],
        [{"type": "tool_result", "tool_call_id": "c", "content": TEXT * 100}],
    ],
    ids=["short", "many", "cyrillic", "calls", "empty", "nested", "results"],
)
async def test_the_bytes_that_are_counted_are_there(parts: Sequence[Any]) -> None:
    copies = 50
    rows = [row(number, f"turn_{number}", parts) for number in range(copies)]
    stored_messages(rows)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    read = stored_messages(rows)
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    recent = RecentSessions(max_bytes=1 << 40)
    note(recent, "sess_1", rows)
    kept = recent.find("acme", "sess_1")
    assert kept is not None
    assert used <= kept.size <= 3 * used + copies * 2 * sys.getsizeof(rows[0][6])
    assert list(kept.messages) == read
    recent.clear()
