"""What a request to a provider must have of a conversation that others took part in, whoever kept the history."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from fake_upstreams.strict import Asked
from pairs.readers import Exchange, exchanges, strings, system, turns
from pairs.script import IMAGE, SYSTEM, TURNS, Turn
from pairs.wires import WIRES

NO_RESULT = "no result was given"
CUT_NAMES = {"incomplete", "INVALID_JSON", "unparsed"}
# Thoughts that work on calls which are not finished: docs.x.ai/docs/guides/reasoning, and Model Studio's deep-thinking.
WHILE_WORKING = {"grok", "qwen"}


def texts(names: Sequence[str], upto: int, said: Sequence[Turn]) -> list[str]:
    """What was said before the request number `upto`, and in it, but for results of calls."""
    found: list[str] = []
    for number, turn in enumerate(said[: upto + 1]):
        found += [turn.asked] if isinstance(turn.asked, str) else []
        if number < upto:
            refused = WIRES[names[number]].refuses != "nowhere"
            found += [turn.answer.text, *([turn.answer.refusal] if refused else [])]
    return [text for text in found if text]


def called(upto: int, said: Sequence[Turn]) -> list[Exchange]:
    """The calls before a request, each with its result."""
    return [
        (call.name, {"city": call.city}, call.result or NO_RESULT) for turn in said[:upto] for call in turn.answer.calls
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


def check_request(
    number: int, turn: Turn, target: str, asked: Asked, names: Sequence[str], said: Sequence[Turn] = TURNS
) -> None:
    """Check one request.

    Args:
        number: The turn's number.
        turn: The turn.
        target: Who was asked.
        asked: What its server got.
        names: Who was asked in each turn.
        said: What the history holds of the turns.
    """
    body = asked.body
    written = json.dumps(body)
    assert asked.problems == []
    assert SYSTEM in system(body)
    assert in_order(texts(names, number, said), list(strings(turns(body)))), written
    assert without_cut(exchanges(body)) == called(number, said)
    assert (IMAGE in written) is (target != "deepseek")
    for name, before in zip(names[:number], TURNS, strict=False):
        if name != target:
            assert [mark for mark in WIRES[name].marks(before.answer) if mark in written] == []
    for frame in ("provider_metadata", "extra_content", "reasoning_details"):
        assert frame not in written
