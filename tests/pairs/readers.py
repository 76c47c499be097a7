"""Reads what a provider was sent, whatever its wire: the texts in order, and each call with its result."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Exchange = tuple[str, Any, str]
"""A tool's name, its arguments, and the result."""


def turns(body: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The conversation itself."""
    found = body.get("contents", body.get("messages"))
    assert isinstance(found, list)
    return found


def strings(value: Any) -> Iterator[str]:
    """Every text in a JSON value, in order."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)


def system(body: Mapping[str, Any]) -> str:
    """The instructions, wherever they stand."""
    spoken = [turn["content"] for turn in turns(body) if turn["role"] == "system"]
    return "\n".join(strings([body.get("system"), body.get("systemInstruction"), spoken]))


def exchanges(body: Mapping[str, Any]) -> list[Exchange]:
    """Each call with the result that belongs to it, in the order of the calls.

    Raises:
        AssertionError: One of the two is alone, or two calls have one id.
    """
    if "contents" in body:
        return _gemini(turns(body))
    tools = body.get("tools") or ()
    blocks = "max_tokens" in body and not any("function" in tool for tool in tools)
    return _anthropic(turns(body)) if blocks else _openai(turns(body))


def _openai(messages: Sequence[Mapping[str, Any]]) -> list[Exchange]:
    found: list[Exchange] = []
    for place, message in enumerate(messages):
        calls = message.get("tool_calls") or ()
        results = messages[place + 1 : place + 1 + len(calls)]
        assert [call["id"] for call in calls] == [result["tool_call_id"] for result in results]
        assert len({call["id"] for call in calls}) == len(calls)
        for call, result in zip(calls, results, strict=True):
            function = call["function"]
            found.append((function["name"], _arguments(function["arguments"]), _text(result["content"])))
    assert len(found) == sum(message["role"] == "tool" for message in messages)
    return found


def _anthropic(messages: Sequence[Mapping[str, Any]]) -> list[Exchange]:
    found: list[Exchange] = []
    given = 0
    for place, message in enumerate(messages):
        blocks = message["content"] if isinstance(message["content"], list) else []
        given += sum(block["type"] == "tool_result" for block in blocks)
        for call in (block for block in blocks if block["type"] == "tool_use"):
            (result,) = (
                block
                for block in messages[place + 1]["content"]
                if block["type"] == "tool_result" and block["tool_use_id"] == call["id"]
            )
            found.append((call["name"], call["input"], _text(result.get("content"))))
    assert len(found) == given
    return found


def _gemini(contents: Sequence[Mapping[str, Any]]) -> list[Exchange]:
    found: list[Exchange] = []
    given = 0
    for place, content in enumerate(contents):
        given += sum("functionResponse" in part for part in content["parts"])
        calls = [part["functionCall"] for part in content["parts"] if "functionCall" in part]
        if not calls:
            continue
        responses = [part["functionResponse"] for part in contents[place + 1]["parts"]]
        if all("id" in call for call in calls):
            order = [call["id"] for call in calls]
            responses.sort(key=lambda response: order.index(response["id"]))
        for call, response in zip(calls, responses, strict=True):
            assert (call["name"], call.get("id")) == (response["name"], response.get("id"))
            found.append((call["name"], call["args"], "".join(strings(response["response"]))))
    assert len(found) == given
    return found


def _arguments(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _text(content: Any) -> str:
    parts = content if isinstance(content, list) else [{"text": content or ""}]
    return "".join(part.get("text", "") for part in parts)
