from __future__ import annotations

from typing import Any

import pytest

from orchestrator_core.sessions.jobs import contexts
from orchestrator_core.sessions.jobs.contexts import Context, read_newest, read_oldest
from orchestrator_core.sessions.jobs.rows import MessageRow, SessionRow
from orchestrator_core.sessions.steps import Steps

SESSION = SessionRow._make([None] * len(SessionRow._fields))._replace(
    id="sess_1", last_sequence=3, last_turn_id="turn_3"
)


def message(number: int, size: int) -> MessageRow:
    return (f"msg_{number}", number, f"turn_{number}", "complete", "user", None, "x" * size, 0, None, None)


def read(steps: Steps[Context], rows: list[MessageRow]) -> Context:
    """Answer the one statement of some steps."""
    next(steps)
    with pytest.raises(StopIteration) as ended:
        steps.send(rows)
    found: Context = ended.value.value
    return found


@pytest.mark.parametrize("newest", [True, False])
def test_the_size_is_that_of_the_messages_there_was_room_for(newest: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contexts, "CONTEXT_BYTES", 100)
    large = message(1 if newest else 3, 90)
    rows: list[Any] = [message(3, 10), message(2, 10), large] if newest else [message(1, 10), message(2, 10), large]
    found = read((read_newest if newest else read_oldest)("acme", SESSION), rows)
    assert (len(found.rows), found.size, found.whole) == (2, 20, False)
