"""A canonical or native request as the JSON body that a vendor takes."""

from __future__ import annotations

import json
from collections.abc import Container

from orchestrator_core.openai_compatible.dialect import LIMITS, Dialect
from orchestrator_core.openai_compatible.messages import MessageCompiler
from orchestrator_core.openai_compatible.native import NativeCleaner
from orchestrator_core.openai_compatible.notes import merged, taken_inside
from orchestrator_core.openai_compatible.thinking import apply_thinking
from orchestrator_core.provider_api import (
    OPENAI_CHAT,
    AdjustmentReport,
    ChatRequest,
    Json,
    NamedTool,
    NativeRequest,
    ProviderSettings,
    ResponseFormat,
    Tool,
    ToolChoice,
    report_note,
)

_PLAIN = (
    "temperature",
    "top_p",
    "max_tokens",
    "seed",
    "n",
    "presence_penalty",
    "frequency_penalty",
    "reasoning_effort",
    "parallel_tool_calls",
)
"""Parameters whose canonical name is OpenAI's."""


def compile_chat(
    request: ChatRequest,
    dialect: Dialect,
    *,
    provider_id: str,
    settings: ProviderSettings,
    report: AdjustmentReport,
) -> dict[str, Json]:
    """Return the body of `POST /chat/completions`.

    The body of a client that speaks the same protocol is kept, unknown fields and all; only the dialect's
    differences are applied to it.

    Raises:
        UnsupportedParameter: Something would get lost, and the caller is strict.
    """
    native = request.native
    if native is not None and native.dialect == OPENAI_CHAT and dialect.native_request:
        body = _cleaned(request, native, dialect, provider_id, report)
    else:
        body = _canonical(request, dialect, provider_id, report)
    _stream(body, request, dialect, report)
    for name in [name for name in body if name in dialect.foreign]:
        if body.pop(name) is not None:
            report.dropped(name, "this provider does not know it")
    if not dialect.json_schema:
        _schema(body, report)
    _tools(body, dialect, report)
    apply_thinking(body, request.model, dialect, report, budget=request.reasoning_budget)
    _choice(body, dialect, report)
    refused = dialect.refused_for(request.model)
    for name in [name for name in body if name in refused and body[name] is not None]:
        taken, reason = refused[name]
        if taken is None or body[name] != taken:
            report.dropped(name, reason)
            del body[name]
    _defaults(body, settings, refused)
    _limit(body, request, dialect, report)
    for name, theirs in dialect.renamed.items():
        if name in body:
            body[theirs] = body.pop(name)
    if dialect.accepted is not None:
        for name in [name for name in body if name not in dialect.accepted]:
            report.dropped(name, "this provider does not know it")
            del body[name]
    return body


def _cleaned(
    request: ChatRequest, native: NativeRequest, dialect: Dialect, provider_id: str, report: AdjustmentReport
) -> dict[str, Json]:
    body: dict[str, Json] = {**native.body, "model": request.model}
    if not native.plain or (dialect.foreign and "tools" in body):
        NativeCleaner(dialect, provider_id, report).clean(body, request.messages)
    if not dialect.developer:
        _roles(body, report)
    if not dialect.openai_tools:
        _functions(body, report)
    return body


def _canonical(request: ChatRequest, dialect: Dialect, provider_id: str, report: AdjustmentReport) -> dict[str, Json]:
    body: dict[str, Json] = {
        **request.extra,
        "model": request.model,
        "messages": MessageCompiler(dialect, provider_id, report).compile(request.messages),
    }
    for name in _PLAIN:
        value = getattr(request, name)
        if value is not None:
            body[name] = value
    if request.stop is not None:
        body["stop"] = list(request.stop)
    if request.tools:
        others = body.get("tools")  # tools of the vendor's own, which core does not know
        body["tools"] = [
            *(_tool(tool, dialect, provider_id, report) for tool in request.tools),
            *(others if isinstance(others, list) else ()),
        ]
    if request.tool_choice is not None and not isinstance(body.get("tool_choice"), dict):
        body["tool_choice"] = _tool_choice(request.tool_choice)
    if request.response_format is not None:
        body["response_format"] = _response_format(request.response_format)
    return body


def _tool(tool: Tool, dialect: Dialect, provider_id: str, report: AdjustmentReport) -> dict[str, Json]:
    function: dict[str, Json] = {"name": tool.name}
    for name in ("description", "parameters", "strict"):
        value = getattr(tool, name)
        if value is not None:
            function[name] = value
    noted = taken_inside(tool.provider_metadata, dialect, provider_id, report)
    return merged({"type": "function", "function": function}, noted)


def _tool_choice(choice: ToolChoice) -> Json:
    if isinstance(choice, NamedTool):
        return {"type": "function", "function": {"name": choice.name}}
    return choice


def _response_format(form: ResponseFormat) -> dict[str, Json]:
    if form.type != "json_schema":
        return {"type": form.type}
    schema: dict[str, Json] = {"name": form.name or "answer", "schema": form.json_schema or {}}
    if form.description is not None:
        schema["description"] = form.description
    if form.strict is not None:
        schema["strict"] = form.strict
    return {"type": "json_schema", "json_schema": schema}


def _schema(body: dict[str, Json], report: AdjustmentReport) -> None:
    """Say a schema in words."""
    form = body.get("response_format")
    if not isinstance(form, dict) or form.get("type") != "json_schema":
        return
    inner = form.get("json_schema")
    schema = inner.get("schema") if isinstance(inner, dict) else None
    report.downgraded("response_format", "this provider gives JSON, but is only asked to follow the schema")
    body["response_format"] = {"type": "json_object"}
    told = f"Answer with a JSON object that follows this JSON Schema: {json.dumps(schema, ensure_ascii=False)}"
    body["messages"] = [{"role": "system", "content": told}, *(body.get("messages") or ())]


def _roles(body: dict[str, Json], report: AdjustmentReport) -> None:
    messages = body.get("messages")
    if not isinstance(messages, list) or not any(_by_developer(message) for message in messages):
        return
    report.mapped("messages", "this provider knows the role system, not developer")
    body["messages"] = [{**each, "role": "system"} if _by_developer(each) else each for each in messages]


def _functions(body: dict[str, Json], report: AdjustmentReport) -> None:
    """Say the retired `functions` and `function_call` as tools (API reference, Chat Completions)."""
    functions, choice = body.pop("functions", None), body.pop("function_call", None)
    if isinstance(functions, list):
        report.mapped("functions", "this provider knows functions as tools")
        tools = body.get("tools")
        body["tools"] = [
            *(tools if isinstance(tools, list) else ()),
            *({"type": "function", "function": each} for each in functions),
        ]
    if isinstance(choice, str | dict):
        report.mapped("function_call", "this provider knows it as tool_choice")
        body.setdefault("tool_choice", choice if isinstance(choice, str) else {"type": "function", "function": choice})


def _by_developer(message: Json) -> bool:
    return isinstance(message, dict) and message.get("role") == "developer"


def _defaults(body: dict[str, Json], settings: ProviderSettings, refused: Container[str]) -> None:
    """Apply the operator's defaults to what the caller did not set and the model takes."""
    temperature, limit = settings.default_temperature, settings.default_max_tokens
    if temperature is not None and body.get("temperature") is None and "temperature" not in refused:
        body["temperature"] = temperature
    if limit is not None and all(body.get(name) is None for name in LIMITS):
        body["max_tokens"] = limit


def _stream(body: dict[str, Json], request: ChatRequest, dialect: Dialect, report: AdjustmentReport) -> None:
    if not request.stream:
        body.pop("stream", None)
        body.pop("stream_options", None)
        return
    body["stream"] = True
    theirs = request.native_options or request.native
    options = theirs.body.get("stream_options") if theirs is not None and theirs.dialect == OPENAI_CHAT else None
    asked = dict(options) if isinstance(options, dict) else {}
    if dialect.stream_usage:
        body["stream_options"] = {**asked, "include_usage": True}
        return
    body.pop("stream_options", None)  # usage comes unasked there
    for name in asked.keys() - {"include_usage"}:
        report_note(f"stream_options.{name}", asked[name], report)


def _limit(body: dict[str, Json], request: ChatRequest, dialect: Dialect, report: AdjustmentReport) -> None:
    """Say the limit on the answer's length in a word that the model takes."""
    taken = dialect.limits_for(request.model)
    for name in LIMITS:
        if name in body and name not in taken:
            value = body.pop(name)
            body.setdefault(taken[0], value)
            if request.native is not None and name in request.native.body:
                report.mapped(name, f"this model calls it {taken[0]}")


def _tools(body: dict[str, Json], dialect: Dialect, report: AdjustmentReport) -> None:
    """Leave out tools and choices of kinds that the vendor does not have."""
    kinds, tools, choice = dialect.tool_kinds, body.get("tools"), body.get("tool_choice")
    kind = choice.get("type") if isinstance(choice, dict) else None
    if kind == "allowed_tools" and not dialect.openai_tools and isinstance(choice, dict):
        allowed = choice.get("allowed_tools")
        among = allowed.get("tools") if isinstance(allowed, dict) else None
        mode = allowed.get("mode") if isinstance(allowed, dict) else None
        if isinstance(tools, list) and isinstance(among, list):
            report.mapped("tool_choice", "only the tools that may be called are given to this provider")
            names = {_called(each) for each in among}
            tools = body["tools"] = [tool for tool in tools if _called(tool) in names]
        kind = choice = body["tool_choice"] = mode if mode == "required" else "auto"
    if kinds is None:
        return
    if isinstance(tools, list):
        for tool in tools:
            if (its := _kind(tool)) not in kinds:
                report.dropped(f"tools.{its}", "this provider has no tools of this kind")
        body["tools"] = tools = [tool for tool in tools if _kind(tool) in kinds]
    if isinstance(choice, dict) and kind not in (None, *kinds):
        report.dropped("tool_choice", f"this provider has no tools of the kind {kind}")
        del body["tool_choice"]
    if tools == []:
        for name in ("tools", "tool_choice"):
            body.pop(name, None)


def _kind(tool: Json) -> str:
    kind = tool.get("type") if isinstance(tool, dict) else None
    return kind if isinstance(kind, str) else "function"


def _called(tool: Json) -> tuple[str, str | None]:
    """Return the kind and the name of a tool, or of a choice of one."""
    inner = tool.get(_kind(tool)) if isinstance(tool, dict) else None
    name = inner.get("name") if isinstance(inner, dict) else None
    return _kind(tool), name if isinstance(name, str) else None


def _choice(body: dict[str, Json], dialect: Dialect, report: AdjustmentReport) -> None:
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and not dialect.named_tool_choice:
        report.downgraded("tool_choice", "this provider cannot be held to one tool")
        choice = "required"
    if isinstance(choice, str):
        body["tool_choice"] = dialect.tool_choices.get(choice, choice)
