"""Every ordered pair of providers holds one conversation: what one says reaches the other, and is its own again later.

A begins, B takes over in the middle of A's calls, A refuses, says nothing and breaks off, B calls, A takes that call
over. The servers refuse what their vendors refuse.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from itertools import permutations
from typing import Any

import pytest
import pytest_asyncio

from orchestrator_core.provider_api import AdjustmentReport
from pairs.dialogue import Dialogue, Held, dialogues
from pairs.readers import Exchange, exchanges, strings, system, turns
from pairs.reports import TAKES_OLD_THOUGHTS, Past, expected
from pairs.script import IMAGE, NAMES, SYSTEM, TURNS, Turn
from pairs.wires import WIRES

PAIRS = list(permutations(NAMES, 2))
NO_RESULT = "no result was given"
CUT_NAMES = {"incomplete", "INVALID_JSON", "unparsed"}
# Thoughts that work on calls which are not finished: docs.x.ai/docs/guides/reasoning, and Model Studio's deep-thinking.
WHILE_WORKING = {"grok", "qwen"}

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="dialogue")
async def _dialogue(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Dialogue]:
    async with dialogues(tmp_path_factory.mktemp("pairs") / "test.db") as running:
        yield running


def past(names: Sequence[str], upto: int) -> list[Past]:
    return [Past(name, turn.answer) for name, turn in zip(names[:upto], TURNS, strict=False)]


def texts(names: Sequence[str], upto: int) -> list[str]:
    """What was said before the request number `upto`, and in it, but for results of calls."""
    found: list[str] = []
    for number, turn in enumerate(TURNS[: upto + 1]):
        found += [turn.asked] if isinstance(turn.asked, str) else []
        if number < upto:
            refused = WIRES[names[number]].refuses != "nowhere"
            found += [turn.answer.text, *([turn.answer.refusal] if refused else [])]
    return [text for text in found if text]


def called(upto: int) -> list[Exchange]:
    """The calls before a request, each with its result."""
    return [
        (call.name, {"city": call.city}, call.result or NO_RESULT)
        for turn in TURNS[:upto]
        for call in turn.answer.calls
    ]


def without_cut(found: Sequence[Exchange]) -> list[Exchange]:
    """The exchanges with cut arguments as they would have been, and errors without the word for it."""
    whole: list[Exchange] = []
    for name, given, result in found:
        arguments: Any = given
        text = given if isinstance(given, str) else next((given[key] for key in CUT_NAMES if key in given), None)
        if text is not None:
            assert json.dumps({"city": "Paris"}).startswith(text)
            assert text
            arguments = {"city": "Paris"}
        whole.append((name, arguments, result.removeprefix("Error: ")))
    return whole


def in_order(wanted: Sequence[str], sent: Sequence[str]) -> bool:
    """Whether the texts come one after the other."""
    rest = iter(sent)
    return all(any(text in said for said in rest) for text in wanted)


def check(number: int, turn: Turn, held: Held, names: Sequence[str]) -> None:
    """Check one request, and what came of it."""
    target, body = held.by, held.asked.body
    written = json.dumps(body)
    assert held.asked.problems == []
    assert SYSTEM in system(body)
    assert in_order(texts(names, number), list(strings(turns(body)))), written
    assert without_cut(exchanges(body)) == called(number)
    assert (IMAGE in written) is (target != "deepseek")
    for name, before in zip(names[:number], TURNS, strict=False):
        if name != target:
            assert [mark for mark in WIRES[name].marks(before.answer) if mark in written] == []
    assert "provider_metadata" not in written
    assert held.report == expected(target, past(names, number))
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
