"""Canonical requests as bodies of an Anthropic-shaped wire (docs.anthropic.com, Messages API)."""

from __future__ import annotations

import json

from fake_providers.shaped_wire import Side, Wire, drop_parameters, inner_text, own, plain_id, sides, system_texts
from orchestrator_core.provider_api import (
    AdjustmentReport,
    ChatRequest,
    FilePart,
    ImagePart,
    NamedTool,
    OpaquePart,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)

DEFAULT_MAX_TOKENS = 4096
"""Sent where the caller sets none: the wire demands a number."""

NOTHING = "(nothing was said)"
"""What stands where a side of the conversation must say something and did not."""


def compile_request(request: ChatRequest, provider_id: str, report: AdjustmentReport) -> Wire:
    """Return the body of a request."""
    drop_parameters(request, ("n", "seed", "presence_penalty", "frequency_penalty"), report)
    body: Wire = {
        "model": request.model,
        "max_tokens": request.max_tokens or DEFAULT_MAX_TOKENS,
        "messages": Compiler(provider_id, report).messages(request),
        "stream": request.stream,
    }
    if system := system_texts(request.messages, report):
        body["system"] = [{"type": "text", "text": text} for text in system]
    for name in ("temperature", "top_p"):
        if getattr(request, name) is not None:
            body[name] = getattr(request, name)
    if request.stop:
        body["stop_sequences"] = list(request.stop)
    if request.tools:
        body["tools"] = [
            {
                "name": tool.name,
                "input_schema": dict(tool.parameters or {"type": "object"}),
                **({"description": tool.description} if tool.description else {}),
                **(tool.provider_metadata or {}).get(provider_id, {}),
            }
            for tool in request.tools
        ]
        body["tool_choice"] = _tool_choice(request)
    if request.response_format is not None and request.response_format.json_schema is not None:
        schema = dict(request.response_format.json_schema)
        body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    return body


def _tool_choice(request: ChatRequest) -> Wire:
    choice = request.tool_choice or "auto"
    if isinstance(choice, NamedTool):
        wire: Wire = {"type": "tool", "name": choice.name}
    else:
        wire = {"type": {"auto": "auto", "none": "none", "required": "any"}[choice]}
    if request.parallel_tool_calls is False and choice != "none":
        wire["disable_parallel_tool_use"] = True
    return wire


class Compiler:
    """Compiles one conversation."""

    def __init__(self, provider_id: str, report: AdjustmentReport) -> None:
        self._provider_id = provider_id
        self._report = report

    def messages(self, request: ChatRequest) -> list[Wire]:
        """Return the turns: alternating, the user first, none empty."""
        turns: list[Wire] = []
        for side in sides(request.messages, plain_id, self._report):
            role = "assistant" if side.assistant else "user"
            content = self._assistant(side) if side.assistant else self._user(side)
            if not content:
                continue
            if turns and turns[-1]["role"] == role:
                turns[-1]["content"] += content
            else:
                turns.append({"role": role, "content": content})
        if not turns or turns[0]["role"] != "user":
            self._report.mapped("message", "a conversation begins with the user here")
            turns.insert(0, {"role": "user", "content": [{"type": "text", "text": NOTHING}]})
        return turns

    def _assistant(self, side: Side) -> list[Wire]:
        ids = iter(side.calls)
        compiled = []
        for part in side.parts:
            block = self._call(part, next(ids)) if isinstance(part, ToolCallPart) else self._said(part)
            if block is not None:
                compiled.append(block)
        return compiled

    def _user(self, side: Side) -> list[Wire]:
        content: list[Wire] = []
        for wire_id, _, result in side.results:
            block: Wire = {"type": "tool_result", "tool_use_id": wire_id, "content": self._inner(result)}
            content.append({**block, "is_error": True} if result.is_error else block)
        for part in side.parts:
            if isinstance(part, ToolResultPart):
                self._report.mapped("tool_result", "a result without a call is said as text")
                block = {"type": "text", "text": f"[result of {part.tool_call_id}] {inner_text(part)}"}
                content += [block, *(piece for piece in self._inner(part) if piece["type"] != "text")]
            elif isinstance(part, ImagePart | FilePart):
                content.append({**_media(part), **own(part, self._provider_id)})
            elif (said := self._said(part)) is not None:
                content.append(said)
        return content

    def _call(self, part: ToolCallPart, wire_id: str) -> Wire:
        try:
            given = json.loads(part.arguments or "{}")
        except ValueError:
            given = None
        if not isinstance(given, dict):
            self._report.mapped("tool_call", "arguments that are no JSON object are sent inside of one")
            given = {"unparsed": part.arguments}
        return {"type": "tool_use", "id": wire_id, "name": part.name, "input": given, **own(part, self._provider_id)}

    def _said(self, part: Part) -> Wire | None:
        """Return the block of a part that either side may say."""
        mine = own(part, self._provider_id)
        if isinstance(part, TextPart | RefusalPart):
            # Empty text and white space alone are refused with 400.
            return {"type": "text", "text": part.text, **mine} if part.text.strip() else None
        if isinstance(part, ReasoningPart) and "redacted" in mine:
            return {"type": "redacted_thinking", "data": mine["redacted"]}
        if isinstance(part, ReasoningPart) and "signature" in mine:
            return {"type": "thinking", "thinking": part.text, "signature": mine["signature"]}
        if isinstance(part, OpaquePart) and "block" in mine:
            return dict(mine["block"])
        if isinstance(part, ImagePart | FilePart):
            self._report.downgraded(part.type, "an earlier answer can hold no media here")
            return {"type": "text", "text": f"[{part.type}]"}
        self._report.omitted(part.type, "only the provider that made it can read it")
        return None

    def _inner(self, result: ToolResultPart) -> list[Wire]:
        if isinstance(result.content, str):
            return [{"type": "text", "text": result.content}] if result.content.strip() else []
        blocks = [
            {"type": "text", "text": part.text} if isinstance(part, TextPart) else _media(part)
            for part in result.content
        ]
        return [block for block in blocks if block.get("text", "x").strip()]


def _media(part: ImagePart | FilePart) -> Wire:
    source: Wire
    if isinstance(part, FilePart) and part.file_id:
        source = {"type": "file", "file_id": part.file_id}
    elif part.data is not None:
        source = {"type": "base64", "media_type": part.media_type or "application/octet-stream", "data": part.data}
    else:
        source = {"type": "url", "url": part.url}
    return {"type": "image" if isinstance(part, ImagePart) else "document", "source": source}
