"""The body of Anthropic's `POST /v1/messages` to a canonical request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import groupby

from orchestrator_core.provider_api import (
    ANTHROPIC_MESSAGES,
    ChatRequest,
    Deadline,
    Json,
    Message,
    NamedTool,
    NativeRequest,
    Part,
    ResponseFormat,
    Tool,
    ToolChoice,
    ToolResultPart,
)
from orchestrator_core.server.translate.anthropic_blocks import BlockReader
from orchestrator_core.server.translate.anthropic_shapes import is_conversation
from orchestrator_core.server.translate.fields import Fields, invalid
from orchestrator_core.server.translate.late import Late

_READ = frozenset(
    (
        "model",
        "messages",
        "system",
        "max_tokens",
        "stop_sequences",
        "stream",
        "temperature",
        "top_p",
        "tools",
        "tool_choice",
        "thinking",
        "output_config",
        "output_format",
    )
)
_ONLY = (
    "billing_policy",
    "cache_control",
    "compaction",
    "container",
    "context_management",
    "diagnostics",
    "fallback_credit_token",
    "fallbacks",
    "inference_geo",
    "mcp_servers",
    "metadata",
    "service_tier",
    "speed",
    "thread",
)
"""Parameters of the Messages API that no other dialect has. `top_k` is not one: several vendors have it."""

_TOOL_FIELDS = ("cache_control", "defer_loading", "allowed_callers", "input_examples", "eager_input_streaming")
_LOW_BUDGET = 4_096
_MEDIUM_BUDGET = 16_384
"""Thinking budgets, in tokens, below which the effort is called low and medium."""


def read_message_request(
    body: Mapping[str, Json],
    *,
    deadline: Deadline,
    headers: Mapping[str, str] | None = None,
    strict: bool = False,
    request_id: str | None = None,
) -> ChatRequest:
    """Read a request for a message.

    Ranges are the provider's to check. `model` may be missing, and `max_tokens` too: most providers have a default. In
    `extra` are the fields that neither core nor the dialect knows.

    Args:
        body: The client's JSON.
        deadline: When the call must end.
        headers: The client's headers that belong to the dialect.
        strict: Whether a parameter that would have to be left out is an error.
        request_id: The gateway's id of the request.

    Returns:
        The request. Its `native` is None where the conversation has traces of providers of other dialects, which one of
        this dialect would refuse; its `native_options` is always there.

    Raises:
        InvalidRequest: A field is missing or of the wrong type; `param` is its dotted path.
    """
    fields, reader = Fields(body), BlockReader()
    conversation = _Conversation(fields)
    moved = not is_conversation(body) and conversation.moved
    tools = _tools(fields, reader)
    choice, parallel = _tool_choice(fields)
    reader.asks(fields, *_ONLY)
    native = NativeRequest(
        ANTHROPIC_MESSAGES, body, headers or {}, Late(lambda: tuple({**conversation.only, **reader.only}))
    )
    return ChatRequest(
        model=fields.string("model") or "",
        messages=Late(lambda: conversation.messages),
        deadline=deadline,
        stream=fields.boolean("stream") or False,
        strict=strict,
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=parallel,
        response_format=_response_format(fields),
        reasoning_effort=_effort(fields),
        reasoning_budget=_budget(fields),
        temperature=fields.number("temperature"),
        top_p=fields.number("top_p"),
        max_tokens=fields.integer("max_tokens", least=1),
        stop=_stop(fields),
        extra={name: value for name, value in body.items() if name not in (*_READ, *_ONLY) and value is not None},
        native=None if moved else native,
        native_options=native,
        request_id=request_id,
    )


class _Conversation:
    """What is said in a body, which is read when somebody asks for any of it.

    Args:
        fields: The body.
    """

    def __init__(self, fields: Fields) -> None:
        self._fields = fields
        self._reader = BlockReader()

    @cached_property
    def messages(self) -> Sequence[Message]:
        """The messages, the system prompt first."""
        return [*_system(self._fields, self._reader), *_messages(self._fields, self._reader)]

    @property
    def moved(self) -> bool:
        """See `BlockReader.moved`."""
        return bool(self.messages) and self._reader.moved

    @property
    def only(self) -> Mapping[str, None]:
        """See `BlockReader.only`."""
        return self._reader.only if self.messages else {}


def _system(fields: Fields, reader: BlockReader) -> Sequence[Message]:
    parts = reader.content(fields, "system")
    return [Message(role="system", parts=tuple(parts))] if parts else []


def _messages(fields: Fields, reader: BlockReader) -> Sequence[Message]:
    if not fields.items("messages"):
        raise invalid(fields.at("messages"), "a list with at least one message is required")
    messages: list[Message] = []
    for message in fields.objects("messages"):
        role = message.required("role")
        if "content" not in message.data:
            raise invalid(message.at("content"), "a string or a list of blocks is required")
        parts = reader.content(message)
        match role:
            case "assistant":
                messages.append(Message(role="assistant", parts=tuple(parts)))
            case "system":
                messages.append(Message(role="system", parts=tuple(parts)))
            case "user":
                messages.extend(_said(parts))
            case _:
                raise invalid(message.at("role"), "expected 'user', 'assistant' or 'system'")
    return messages


def _said(parts: Sequence[Part]) -> Sequence[Message]:
    """Part a turn of the user into results of tools and what the user says, in their order."""
    if not parts:
        return [Message(role="user", parts=())]
    return [
        Message(role="tool" if results else "user", parts=tuple(run))
        for results, run in groupby(parts, key=lambda part: isinstance(part, ToolResultPart))
    ]


def _tools(fields: Fields, reader: BlockReader) -> Sequence[Tool]:
    tools: list[Tool] = []
    for entry in fields.objects("tools"):
        name = entry.required("name", empty=False) if entry.data.get("type") in (None, "custom") else None
        if name is None:
            # The vendor's own tools: it executes them, or the model was trained on them.
            reader.only[f"tools.{entry.string('name') or entry.required('type')}"] = None
            continue
        reader.asks(entry, *_TOOL_FIELDS)
        schema = entry.object("input_schema")
        read = ("type", "name", "description", "input_schema", "strict")
        own = {key: value for key, value in entry.data.items() if key not in read and value is not None}
        tools.append(
            Tool(
                name=name,
                description=entry.string("description"),
                parameters=None if schema is None else schema.data,
                strict=entry.boolean("strict"),
                provider_metadata={ANTHROPIC_MESSAGES: own} if own else None,
            )
        )
    return tools


def _tool_choice(fields: Fields) -> tuple[ToolChoice | None, bool | None]:
    """Return the choice, and False where only one call may come at once."""
    choice = fields.object("tool_choice")
    if choice is None:
        return None, None
    parallel = False if choice.boolean("disable_parallel_tool_use") else None
    match choice.required("type"):
        case "auto":
            return "auto", parallel
        case "any":
            return "required", parallel
        case "none":
            return "none", None
        case "tool":
            return NamedTool(name=choice.required("name", empty=False)), parallel
        case _:
            raise invalid(choice.at("type"), "expected 'auto', 'any', 'tool' or 'none'")


def _response_format(fields: Fields) -> ResponseFormat | None:
    config = fields.object("output_config")
    form = None if config is None else config.object("format")
    form = form or fields.object("output_format")  # its name while the feature was a beta
    if form is None:
        return None
    if form.required("type") != "json_schema":
        raise invalid(form.at("type"), "expected 'json_schema'")
    return ResponseFormat(type="json_schema", name=form.string("name"), json_schema=form.need("schema").data)


def _effort(fields: Fields) -> str | None:
    """Return how much to think; of a budget, about what it means in words. None where the model decides."""
    thinking, config = fields.object("thinking"), fields.object("output_config")
    if thinking is not None and thinking.required("type") == "disabled":
        return "none"
    effort = None if config is None else config.string("effort")
    if effort is not None:
        return effort
    if (budget := _budget(fields)) is None:
        return None
    if budget < _LOW_BUDGET:
        return "low"
    return "medium" if budget < _MEDIUM_BUDGET else "high"


def _budget(fields: Fields) -> int | None:
    """Return the most tokens of thought."""
    thinking = fields.object("thinking")
    enabled = thinking is not None and thinking.required("type") == "enabled"
    return thinking.integer("budget_tokens") if enabled and thinking is not None else None


def _stop(fields: Fields) -> Sequence[str] | None:
    if fields.data.get("stop_sequences") is None:
        return None
    for index, item in enumerate(fields.items("stop_sequences")):
        if not isinstance(item, str):
            raise invalid(fields.at(f"stop_sequences.{index}"), "expected a string")
    return tuple(fields.items("stop_sequences"))
