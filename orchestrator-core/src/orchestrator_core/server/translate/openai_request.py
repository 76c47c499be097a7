"""The body of OpenAI's `POST /chat/completions` to a canonical request."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

from orchestrator_core.provider_api import (
    OPENAI_CHAT,
    ChatRequest,
    Deadline,
    Json,
    NamedTool,
    NativeRequest,
    ResponseFormat,
    Tool,
    ToolChoice,
)
from orchestrator_core.server.translate.fields import Fields, invalid
from orchestrator_core.server.translate.late import Late
from orchestrator_core.server.translate.openai_messages import PlainMessages, read_messages
from orchestrator_core.server.translate.openai_notes import has_notes
from orchestrator_core.server.translate.openai_parts import notes, others
from orchestrator_core.server.translate.openai_shapes import are_tools

_KNOWN = frozenset(
    (
        "model",
        "messages",
        "stream",
        "stream_options",
        "parallel_tool_calls",
        "reasoning_effort",
        "temperature",
        "top_p",
        "max_tokens",
        "max_completion_tokens",
        "stop",
        "seed",
        "n",
        "presence_penalty",
        "frequency_penalty",
        "functions",
        "function_call",
    )
)

_CHOICES: Mapping[str, Literal["auto", "none", "required"]] = {
    "auto": "auto",
    "none": "none",
    "required": "required",
    "any": "required",  # Mistral's word (API reference, `tool_choice`)
}


_PLAIN: Mapping[str, Callable[[Fields, str], Any]] = {
    "parallel_tool_calls": Fields.boolean,
    "reasoning_effort": Fields.string,
    "temperature": Fields.number,
    "top_p": Fields.number,
    "seed": Fields.integer,
    "n": partial(Fields.integer, least=1),
    "presence_penalty": Fields.number,
    "frequency_penalty": Fields.number,
}
"""Fields that canonical requests have too, and how each is read."""


def read_chat(
    body: Mapping[str, Json], *, deadline: Deadline, strict: bool = False, request_id: str | None = None
) -> ChatRequest:
    """Read a chat request.

    Ranges are the provider's to check, since they differ and its errors are exact. `model` may be missing; in
    `extra` are the fields that core does not know, and the kinds of tools, choices and formats that only this
    dialect has.

    Args:
        body: The client's JSON.
        deadline: When the call must end.
        strict: Whether a parameter that would have to be left out is an error.
        request_id: The gateway's id of the request.

    Returns:
        The request. Its `native` is None where the conversation has notes that only the gateway can read, which a
        provider of this dialect would refuse; its `native_options` is always there.

    Raises:
        InvalidRequest: A field is missing or of the wrong type; `param` is its dotted path.
    """
    fields = Fields(body)
    extra = {key: value for key, value in body.items() if key not in _KNOWN and value is not None}
    messages = read_messages(fields)
    native = NativeRequest(OPENAI_CHAT, body, plain=isinstance(messages, PlainMessages))
    noted = not isinstance(messages, Late) and any(has_notes(message) for message in fields.objects("messages"))
    given: dict[str, Any] = {name: read(fields, name) for name, read in _PLAIN.items() if name in body}
    for field, (names, read) in _READ.items():
        if not names.isdisjoint(body):
            given[field] = read(fields, extra)
    return ChatRequest(
        model=fields.string("model") or "",
        messages=messages,
        deadline=deadline,
        stream=fields.boolean("stream") or False,
        strict=strict,
        extra=extra,
        native=None if noted else native,
        native_options=native,
        request_id=request_id,
        **given,
    )


def wants_usage(body: Mapping[str, Json]) -> bool:
    """Read `stream_options.include_usage`.

    Raises:
        InvalidRequest: It is malformed.
    """
    options = Fields(body).object("stream_options")
    return options is not None and bool(options.boolean("include_usage"))


def _limit(fields: Fields, _: dict[str, Json]) -> int | None:
    """Read the limit on the answer's length. Two that differ are refused, as OpenAI refuses any two."""
    old, new = fields.integer("max_tokens", least=1), fields.integer("max_completion_tokens", least=1)
    if old is not None and new is not None and old != new:
        raise invalid(fields.at("max_tokens"), "max_completion_tokens says something else: send one of them")
    return old if new is None else new


def _tools(fields: Fields, extra: dict[str, Json]) -> Sequence[Tool]:
    extra.pop("tools", None)
    given = fields.data.get("tools")
    if "functions" not in fields.data and are_tools(given):
        return Late(lambda: [_tool(each.need("function"), each) for each in fields.objects("tools")], len(given))
    tools = [_tool(function) for function in fields.objects("functions")]
    others: list[Json] = []
    for entry in fields.objects("tools"):
        if (entry.string("type") or "function") == "function":
            tools.append(_tool(entry.need("function"), entry))
        else:
            others.append(entry.data)
    if others:
        extra["tools"] = others
    return tools


def _tool(function: Fields, entry: Fields | None = None) -> Tool:
    parameters, noted = function.object("parameters"), None if entry is None else notes(entry, "function")
    if rest := others(function, "function", "name", "description", "parameters", "strict"):
        noted = {**(noted or {}), OPENAI_CHAT: {**(noted or {}).get(OPENAI_CHAT, {}), **rest}}
    return Tool(
        name=function.required("name", empty=False),
        description=function.string("description"),
        parameters=None if parameters is None else parameters.data,
        strict=function.boolean("strict"),
        provider_metadata=noted,
    )


def _tool_choice(fields: Fields, extra: dict[str, Json]) -> ToolChoice | None:
    extra.pop("tool_choice", None)
    choice = fields.data.get("tool_choice")
    if choice is None:
        return _function_call(fields)
    if isinstance(choice, str):
        if choice not in _CHOICES:
            raise invalid(
                fields.at("tool_choice"), "expected 'none', 'auto', 'required' or an object that names a tool"
            )
        return _CHOICES[choice]
    named = fields.need("tool_choice")
    if named.required("type") == "function":
        return NamedTool(name=named.need("function").required("name", empty=False))
    extra["tool_choice"] = choice
    allowed = named.object("allowed_tools")
    return None if allowed is None else _CHOICES.get(allowed.required("mode"))


def _function_call(fields: Fields) -> ToolChoice | None:
    """Read the retired form of `tool_choice`."""
    choice = fields.data.get("function_call")
    if choice is None or isinstance(choice, str):
        return _CHOICES.get(choice or "")
    return NamedTool(name=fields.need("function_call").required("name", empty=False))


def _response_format(fields: Fields, extra: dict[str, Json]) -> ResponseFormat | None:
    extra.pop("response_format", None)
    form = fields.object("response_format")
    if form is None:
        return None
    match form.required("type"):
        case "text":
            return ResponseFormat(type="text")
        case "json_object":
            return ResponseFormat(type="json_object")
        case "json_schema":
            inner = form.need("json_schema")
            schema = inner.object("schema")
            return ResponseFormat(
                type="json_schema",
                name=inner.string("name"),
                description=inner.string("description"),
                json_schema=None if schema is None else schema.data,
                strict=inner.boolean("strict"),
            )
        case _:
            extra["response_format"] = form.data
            return None


def _stop(fields: Fields, _: dict[str, Json]) -> Sequence[str] | None:
    stop = fields.data.get("stop")
    if stop is None:
        return None
    if isinstance(stop, str):
        return (stop,)
    for index, item in enumerate(fields.items("stop")):
        if not isinstance(item, str):
            raise invalid(fields.at(f"stop.{index}"), "expected a string")
    return tuple(stop)


_READ: Mapping[str, tuple[frozenset[str], Callable[[Fields, dict[str, Json]], Any]]] = {
    "tools": (frozenset(("tools", "functions")), _tools),
    "tool_choice": (frozenset(("tool_choice", "function_call")), _tool_choice),
    "response_format": (frozenset(("response_format",)), _response_format),
    "max_tokens": (frozenset(("max_tokens", "max_completion_tokens")), _limit),
    "stop": (frozenset(("stop",)), _stop),
}
"""Canonical fields that are made of several, or of what only this dialect has: of which, and how."""
