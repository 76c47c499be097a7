"""What the echo says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import pydantic_core

from orchestrator_core.provider_api import (
    ChatRequest,
    FilePart,
    FinishReason,
    ImagePart,
    Message,
    NamedTool,
    Part,
    TextPart,
    ToolResultPart,
)
from orchestrator_echo import words
from orchestrator_echo.schema import instance

_CALL = re.compile(r"\bcall (?P<name>[\w-]+)\s*")
_WORD = re.compile(r"\s*\S+\s*?")
_SUMMARY = "Summary of the conversation"

MAX_WORDS = 16_384
"""The longest answer."""

MAX_STRING = 4096
"""The most characters of what was said that stand in a value of a schema, which may repeat them."""

MAX_CALLS = 128
"""The most calls of one answer."""


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """A tool call that the echo makes."""

    id: str
    name: str
    arguments: str


def plan_calls(request: ChatRequest) -> list[PlannedCall]:
    """Return the tool calls that the last message asks for: `call <tool> {json}`, or what `tool_choice` demands."""
    names = {tool.name for tool in request.tools}
    last = request.messages[-1] if request.messages else None
    if not names or request.tool_choice == "none" or last is None or last.role != "user":
        return []
    said = last.text[: words.READ]
    asked = (match for match in _CALL.finditer(said) if match["name"] in names)
    wanted = [(match["name"], _arguments(said, match.end())) for match in islice(asked, MAX_CALLS)]
    if isinstance(request.tool_choice, NamedTool):
        wanted = [call for call in wanted if call[0] == request.tool_choice.name] or [(request.tool_choice.name, "{}")]
    elif request.tool_choice == "required" and not wanted:
        wanted = [(request.tools[0].name, "{}")]
    if request.parallel_tool_calls is False:
        wanted = wanted[:1]
    made = sum(len(message.tool_calls) for message in request.messages)
    return [PlannedCall(f"call_{made + index}", name, arguments) for index, (name, arguments) in enumerate(wanted)]


def compose(request: ChatRequest) -> str:
    """Return the text of the answer."""
    said = _said(request.messages)
    if request.response_format is not None and request.response_format.type != "text":
        schema = request.response_format.json_schema
        value = {"echo": said} if schema is None else instance(schema, said[:MAX_STRING])
        return pydantic_core.to_json(value).decode()
    results = _results(request.messages)
    text = "\n".join(results) if results else f"You said: {said}"
    number = sum(message.role == "user" for message in request.messages)
    if number > 1:
        text += f" (I can see {number} of your messages.)"
    for message in request.messages:
        if message.role == "system" and message.text.startswith(_SUMMARY):
            text += f" (I remember: {message.text.partition(chr(10))[2][:120]})"
    return text


def limit(text: str, request: ChatRequest) -> tuple[list[str], FinishReason]:
    """Return the words of a text up to the first stop text and the limit of tokens, and why they end there."""
    for stop in request.stop or ():
        text = text.partition(stop)[0] if stop else text
    most = MAX_WORDS if request.max_tokens is None else min(request.max_tokens, MAX_WORDS)
    found = [match[0] for match in islice(_WORD.finditer(text), most + 1)]
    return found[:most], "length" if len(found) > most else "stop"


def count_words(messages: Sequence[Message]) -> int:
    """Return the words of a conversation, which are the echo's tokens."""
    return words.count(text for message in messages for part in message.parts for text in _texts(part))


def _arguments(text: str, start: int) -> str:
    """Return the JSON object that stands at `start`, as it is written there; `{}` where there is none."""
    try:
        value, end = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        return "{}"
    return text[start:end] if isinstance(value, dict) else "{}"


def _said(messages: Sequence[Message]) -> str:
    """Return what the user said last, and what came with it."""
    message = next((message for message in reversed(messages) if message.role == "user"), None)
    if message is None:
        return ""
    counts = {kind: sum(isinstance(part, cls) for part in message.parts) for kind, cls in _MEDIA.items()}
    notes = [f"[{count} {kind}{'s' if count > 1 else ''}]" for kind, count in counts.items() if count]
    return " ".join([message.text, *notes]).strip()


_MEDIA = {"image": ImagePart, "file": FilePart}


def _results(messages: Sequence[Message]) -> list[str]:
    """Return a line for each result of a tool that came last."""
    last = len(messages)
    while last and messages[last - 1].role == "tool":
        last -= 1
    return [
        f"The tool {part.name or part.tool_call_id} returned: {' '.join(_texts(part))}"
        for message in messages[last:]
        for part in message.parts
        if isinstance(part, ToolResultPart)
    ]


def _texts(part: Part) -> Iterator[str]:
    if isinstance(part, TextPart):
        yield part.text
    elif isinstance(part, ToolResultPart):
        if isinstance(part.content, str):
            yield part.content
        else:
            yield from (piece.text for piece in part.content if isinstance(piece, TextPart))
