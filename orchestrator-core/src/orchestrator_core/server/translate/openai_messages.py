"""OpenAI's messages (API reference, Chat Completions, `messages`) to canonical ones.

What a message says beyond them is kept in a note, for a provider that knows the field; others report it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import TypeGuard

from orchestrator_core.provider_api import (
    FIELDS,
    OPENAI_CHAT,
    THOUGHT,
    FilePart,
    ImagePart,
    Json,
    Message,
    OpaquePart,
    Part,
    ProviderMetadata,
    ReasoningPart,
    RefusalPart,
    Role,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    fields_of,
    noted_message,
    text_message,
)
from orchestrator_core.server.translate.fields import Fields, invalid
from orchestrator_core.server.translate.late import Late
from orchestrator_core.server.translate.openai_notes import GATEWAY, has_notes, restore
from orchestrator_core.server.translate.openai_parts import (
    metadata,
    notes,
    opaque,
    others,
    read_content,
    read_media,
)
from orchestrator_core.server.translate.openai_shapes import are_messages

_SAID = frozenset(("role", "content", "name"))
_ANSWERED = _SAID.union(
    ("refusal", "audio", "tool_calls", "function_call", "reasoning_content", "reasoning_details", "extra_content"),
    ("images", "files", "index"),
)


_PLAIN_ROLES: Mapping[Json, Role] = {"system": "system", "user": "user", "assistant": "assistant"}


def are_plain(messages: Json) -> TypeGuard[list[dict[str, str]]]:
    """Whether messages are nothing but a role and a text each, as most are."""
    if type(messages) is not list or not messages:
        return False
    for message in messages:
        if type(message) is not dict or len(message) != 2:
            return False
        role, content = message.get("role"), message.get("content")
        if type(role) is not str or role not in _PLAIN_ROLES or type(content) is not str or not content:
            return False
    return True


class PlainMessages(Late[Message]):
    """Messages that are nothing but a role and a text each."""


def read_messages(body: Fields, key: str = "messages") -> Sequence[Message]:
    """Read the conversation.

    Raises:
        InvalidRequest: It is missing, empty or malformed.
    """
    given = body.data.get(key)
    if are_plain(given):
        return PlainMessages(partial(_read_plain, given), len(given))
    if are_messages(given):
        return Late(partial(_read, body, key), len(given))
    if not body.items(key):
        raise invalid(body.at(key), "a list with at least one message is required")
    return _read(body, key)


def _read_plain(messages: Sequence[Mapping[str, str]]) -> Sequence[Message]:
    return [text_message(_PLAIN_ROLES[each["role"]], each["content"]) for each in messages]


def _read(body: Fields, key: str) -> Sequence[Message]:
    reader = _Reader()
    return [reader.read(message, index) for index, message in enumerate(body.objects(key))]


class _Reader:
    """Reads messages in order, since a result of the retired `function` role names no call, but follows one."""

    def __init__(self) -> None:
        self._calls: dict[str, str] = {}

    def read(self, message: Fields, index: int) -> Message:
        role = message.required("role")
        match role:
            case "system" | "developer":
                return Message(role="system", parts=self._said(message), name=message.string("name"))
            case "user":
                return Message(role="user", parts=self._said(message), name=message.string("name"))
            case "assistant":
                return Message(role="assistant", parts=self._answer(message, index), name=message.string("name"))
            case "tool":
                result = _result(message, message.required("tool_call_id"), message.string("name"))
                return Message(role="tool", parts=(result,))
            case "function":
                name = message.required("name", empty=False)
                result = _result(message, self._calls.pop(name, f"call_{name}"), name)
                return Message(role="tool", parts=(result,))
            case _:
                raise invalid(message.at("role"), "expected 'system', 'developer', 'user', 'assistant' or 'tool'")

    def _said(self, message: Fields) -> tuple[Part, ...]:
        parts = read_content(message)
        if not parts:
            raise invalid(message.at("content"), "a string or a list of parts is required")
        return (*parts, *_noted(message, _SAID))

    def _answer(self, message: Fields, index: int) -> tuple[Part, ...]:
        parts: list[Part] = [*_reasoning(message), *read_content(message), *read_media(message)]
        if refusal := message.string("refusal"):
            parts.append(RefusalPart(text=refusal))
        if audio := message.object("audio"):
            parts.extend(_spoken(audio, written=any(isinstance(part, TextPart) and part.text for part in parts)))
        parts.extend(_call(call) for call in message.objects("tool_calls"))
        if legacy := message.object("function_call"):
            name, call_id = legacy.required("name", empty=False), f"call_{index}"
            self._calls[name] = call_id
            parts.append(ToolCallPart(id=call_id, name=name, arguments=_arguments(legacy)))
        if not (marks := metadata(message)):
            return (*parts, *_noted(message, _ANSWERED))
        if left := _without_owner(marks):
            parts.append(OpaquePart(provider_metadata=left))
        owned = {owner: fields_of(marks, owner) for owner in marks}
        for owner, names in owned.items():
            # What the gateway has in the notes on its parts is not its plain field once more.
            read = _ANSWERED.union(("annotations",) if has_notes(message) else ())
            if fields := {name: message.data[name] for name in names if name in message.data and name not in read}:
                parts.append(noted_message(fields, owner))
        others = (name for names in owned.values() for name in names)
        return tuple(restore(message, [*parts, *_noted(message, _ANSWERED.union(others))]))


def _noted(message: Fields, read: Collection[str]) -> Sequence[OpaquePart]:
    rest = {name: value for name, value in message.data.items() if name not in read and value is not None}
    return [noted_message(rest)] if rest else []


def _reasoning(message: Fields) -> Sequence[ReasoningPart]:
    """Read `reasoning_details`, which answers have where a provider signed its thoughts, or the text alone.

    A stream gives the text apart from what is signed, so that the details of a joined message may have none of it.
    """
    text = message.string("reasoning_content") or ""
    if details := message.objects("reasoning_details"):
        parts = [ReasoningPart(text=each.string("text") or "", provider_metadata=metadata(each)) for each in details]
        if text and not any(part.text for part in parts):
            parts[0] = parts[0].model_copy(update={"text": text})
        return parts
    marks = metadata(message) or {}
    if not text:
        return []
    owners = {name: noted for name, noted in marks.items() if THOUGHT in noted}
    owner = {name: {THOUGHT: noted[THOUGHT]} for name, noted in owners.items()} or None
    return [ReasoningPart(text=text, provider_metadata=owner)]


def _spoken(audio: Fields, *, written: bool) -> Sequence[Part]:
    """Read a spoken answer: what was said in it, and the sound, which its provider knows by an id."""
    said = "" if written else audio.string("transcript")
    return (*([TextPart(text=said)] if said else ()), opaque({"audio": audio.data}))


def _without_owner(marks: ProviderMetadata) -> ProviderMetadata:
    """Return the notes on a message that are on nothing else in it: whose thoughts and fields it has, they say."""
    left = {
        provider: {name: value for name, value in noted.items() if name not in (THOUGHT, FIELDS)}
        for provider, noted in marks.items()
        if provider != GATEWAY
    }
    return {provider: noted for provider, noted in left.items() if noted}


def _call(call: Fields) -> ToolCallPart:
    call_id = call.required("id", empty=False)
    kind = call.string("type") or "function"
    if kind not in ("function", "custom"):
        raise invalid(call.at("type"), "expected 'function' or 'custom'")
    inner, noted = call.need(kind), notes(call, "id", "index", kind)
    said = ("name", "input" if kind == "custom" else "arguments")
    if rest := {**({"type": kind} if kind == "custom" else {}), **others(inner, kind, *said)}:
        noted = {**(noted or {}), OPENAI_CHAT: {**(noted or {}).get(OPENAI_CHAT, {}), **rest}}
    arguments = (inner.string("input") or "") if kind == "custom" else _arguments(inner)
    name = inner.required("name", empty=False)
    return ToolCallPart(id=call_id, name=name, arguments=arguments, provider_metadata=noted)


def _arguments(function: Fields) -> str:
    """Read arguments as JSON text; Mistral takes the object itself too."""
    value: Json = function.data.get("arguments")
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return function.string("arguments") or ""


def _result(message: Fields, call_id: str, name: str | None) -> ToolResultPart:
    said = message.data.get("content")
    parts = [] if isinstance(said, str) else read_content(message)
    noted = notes(message, "role", "content", "tool_call_id", "name")
    if isinstance(said, str):
        return ToolResultPart(tool_call_id=call_id, content=said, name=name, provider_metadata=noted)
    if all(isinstance(part, TextPart) and not part.provider_metadata for part in parts) and len(parts) <= 1:
        text = "".join(part.text for part in parts if isinstance(part, TextPart))
        return ToolResultPart(tool_call_id=call_id, content=text, name=name, provider_metadata=noted)
    kept: list[TextPart | ImagePart | FilePart] = []
    for index, part in enumerate(parts):
        if not isinstance(part, TextPart | ImagePart | FilePart):
            raise invalid(f"{message.at('content')}.{index}.type", "a tool's result is text, images or files")
        kept.append(part)
    return ToolResultPart(tool_call_id=call_id, content=tuple(kept), name=name, provider_metadata=noted)
