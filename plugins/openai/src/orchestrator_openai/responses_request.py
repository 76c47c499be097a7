"""A canonical request as the body of `POST /responses`.

Parameters go through the dialect of Chat Completions first, so that what a model refuses there is left out here too,
and are then renamed. Source: https://platform.openai.com/docs/api-reference/responses/create and the guide
https://platform.openai.com/docs/guides/migrate-to-responses, as of November 2026.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from orchestrator_core.openai_compatible import LIMITS, Dialect
from orchestrator_core.openai_compatible.compile import compile_chat
from orchestrator_core.provider_api import (
    AdjustmentReport,
    ChatRequest,
    Json,
    ProviderSettings,
    report_note,
)
from orchestrator_openai.responses_input import InputCompiler

_LEAST_OUTPUT: Final = 16
"""A smaller `max_output_tokens` is refused."""

_UNKNOWN: Final[Mapping[str, Json]] = {
    "n": 1,
    "stop": None,
    "seed": None,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "logit_bias": {},
    "logprobs": False,
    "top_logprobs": 0,
    "modalities": ["text"],
    "audio": None,
    "prediction": None,
    "web_search_options": None,
}
"""What only Chat Completions knows, with the value that says nothing."""


def compile_responses(
    request: ChatRequest,
    dialect: Dialect,
    *,
    provider_id: str,
    settings: ProviderSettings,
    report: AdjustmentReport,
) -> dict[str, Json]:
    """Return the body of `POST /responses`. Fields that core does not know are passed on.

    Nothing is kept at OpenAI, unless the caller sets `store`, and so the thoughts come encrypted, to be given back.

    Raises:
        UnsupportedParameter: Something would get lost, and the caller is strict.
    """
    parameters = replace(request, native=None, messages=())
    body = compile_chat(parameters, dialect, provider_id=provider_id, settings=settings, report=report)
    del body["messages"]
    _stream(body, request, report)
    for name, nothing in _UNKNOWN.items():
        value = body.pop(name, None)
        if value is not None and value != nothing:
            report.dropped(name, "the Responses API, which this request needs, does not know it")
    _limit(body, report)
    _form(body)
    if (effort := body.pop("reasoning_effort", None)) is not None:
        body["reasoning"] = {**(body.get("reasoning") or {}), "effort": effort}
    if "tools" in body:
        body["tools"] = [_tool(tool) for tool in body["tools"]]
    if "tool_choice" in body:
        body["tool_choice"] = _choice(body["tool_choice"])
    included = body.get("include")
    wanted = list(included) if isinstance(included, list) else []
    body["include"] = list(dict.fromkeys([*wanted, "reasoning.encrypted_content"]))
    body.setdefault("store", False)
    body["input"] = InputCompiler(dialect, provider_id, report).compile(request.messages)
    return body


def _stream(body: dict[str, Json], request: ChatRequest, report: AdjustmentReport) -> None:
    """Keep the one option that both APIs have; usage always comes."""
    asked = body.pop("stream_options", None)
    if not request.stream or not isinstance(asked, Mapping):
        return
    for name, value in asked.items():
        if name == "include_obfuscation":
            body["stream_options"] = {name: value}
        elif name != "include_usage":
            report_note(f"stream_options.{name}", value, report)


def _limit(body: dict[str, Json], report: AdjustmentReport) -> None:
    for name in LIMITS:
        limit = body.pop(name, None)
        if limit is not None:
            if limit < _LEAST_OUTPUT:
                report.downgraded("max_tokens", f"the Responses API takes no limit below {_LEAST_OUTPUT}")
            body["max_output_tokens"] = max(limit, _LEAST_OUTPUT)


def _form(body: dict[str, Json]) -> None:
    text = dict(body.get("text") or {})
    if (form := body.pop("response_format", None)) is not None:
        text["format"] = _flat(form)
    if (verbosity := body.pop("verbosity", None)) is not None:
        text["verbosity"] = verbosity
    if text:
        body["text"] = text


def _tool(tool: Json) -> Json:
    flat = _flat(tool)
    if isinstance(flat, dict) and flat.get("type") == "function":
        # Both are required here; functions are strict unless they say otherwise, while Chat Completions is lenient.
        return {"parameters": {"type": "object", "properties": {}}, "strict": False, **flat}
    if isinstance(flat, dict) and "format" in flat:
        return {**flat, "format": _flat(flat["format"])}
    return flat


def _choice(choice: Json) -> Json:
    flat = _flat(choice)
    if isinstance(flat, dict) and isinstance(flat.get("tools"), list):
        return {**flat, "tools": [_flat(tool) for tool in flat["tools"]]}
    return flat


def _flat(value: Json) -> Json:
    """Undo Chat Completions' nesting: `{"type": "function", "function": {...}}`."""
    if not isinstance(value, Mapping):
        return value
    kind = value.get("type")
    inner = value.get(kind) if isinstance(kind, str) else None
    if not isinstance(inner, Mapping):
        return dict(value)
    return {**{name: other for name, other in value.items() if name != kind}, **inner}
