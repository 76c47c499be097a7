"""Every ordered pair of providers holds one conversation: what one says reaches the other, and is its own again later.

A begins, B takes over in the middle of A's calls, A refuses, says nothing and breaks off, B calls, A takes that call
over. The servers refuse what their vendors refuse.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from itertools import permutations

import pytest
import pytest_asyncio

from orchestrator_core.provider_api import AdjustmentReport
from pairs.checks import WHILE_WORKING, check_request
from pairs.dialogue import Dialogue, Held, dialogues
from pairs.reports import TAKES_OLD_THOUGHTS, Past, expected
from pairs.script import NAMES, TURNS, Turn
from pairs.wires import WIRES

PAIRS = list(permutations(NAMES, 2))

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="dialogue")
async def _dialogue(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Dialogue]:
    async with dialogues(tmp_path_factory.mktemp("pairs") / "test.db") as running:
        yield running


def past(names: Sequence[str], upto: int) -> list[Past]:
    return [Past(name, turn.answer) for name, turn in zip(names[:upto], TURNS, strict=False)]


def check(number: int, turn: Turn, held: Held, names: Sequence[str]) -> None:
    """Check one request, and what came of it."""
    check_request(number, turn, held.by, held.asked, names)
    assert held.report == expected(held.by, past(names, number))
    assert held.after[: len(held.before)] == held.before
    assert len(held.after) == len(held.before) + 2


@pytest.mark.parametrize(("one", "other"), PAIRS, ids=[f"{one}->{other}" for one, other in PAIRS])
async def test_a_conversation_of_two(dialogue: Dialogue, one: str, other: str) -> None:
    held = await dialogue.hold(TURNS, {"A": one, "B": other})

    names = [each.by for each in held]
    for number, (turn, each) in enumerate(zip(TURNS, held, strict=True)):
        check(number, turn, each, names)
    if one in TAKES_OLD_THOUGHTS | {"anthropic"}:
        for number in (2, 3, 4, 6, 7):
            written = json.dumps(held[number].asked.body)
            mine = [turn.answer for name, turn in zip(names[:number], TURNS, strict=False) if name == one]
            assert [mark for said in mine for mark in WIRES[one].replayed(said) if mark not in written] == []
    elif one in WHILE_WORKING:
        assert WIRES[one].thought(TURNS[6].answer) in json.dumps(held[7].asked.body)


async def test_a_report_that_calls_everything_dropped_is_found(
    dialogue: Dialogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AdjustmentReport, "mapped", AdjustmentReport.omitted)
    held = await dialogue.hold(TURNS, {"A": "openai", "B": "mistral"})

    with pytest.raises(AssertionError):
        check(5, TURNS[5], held[5], [each.by for each in held])
