"""A client's own body without what the gateway added to the answers in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from orchestrator_core.provider_api import OPENAI_CHAT, AdjustmentReport, ChatRequest, Json

_OF_MESSAGES: Final = frozenset({"reasoning_content", "reasoning_details", "images", "files"})
_OF_CALLS: Final = frozenset({"extra_content"})


def without_gateway_fields(request: ChatRequest, report: AdjustmentReport) -> ChatRequest:
    """Leave out of earlier answers what Chat Completions has no field for, and refuses as unknown.

    A client keeps an answer whole, also one of the Responses API or of another provider, and sends it back.
    """
    native = request.native
    messages = native.body.get("messages") if native is not None and native.dialect == OPENAI_CHAT else None
    if native is None or not isinstance(messages, list):
        return request
    cleaned = [_cleaned(message) for message in messages]
    if cleaned == messages:
        return request
    report.omitted("reasoning", "Chat Completions takes back no thoughts and no notes of other providers")
    return replace(request, native=replace(native, body={**native.body, "messages": cleaned}))


def _cleaned(message: Json) -> Json:
    if not isinstance(message, Mapping) or message.get("role") != "assistant":
        return message
    kept = {name: value for name, value in message.items() if name not in _OF_MESSAGES}
    if isinstance(calls := kept.get("tool_calls"), list):
        kept["tool_calls"] = [_without(call, _OF_CALLS) for call in calls]
    return kept


def _without(value: Json, names: frozenset[str]) -> Json:
    if not isinstance(value, Mapping):
        return value
    return {name: inner for name, inner in value.items() if name not in names}
