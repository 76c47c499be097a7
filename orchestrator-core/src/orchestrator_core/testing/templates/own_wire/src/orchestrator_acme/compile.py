"""The canonical request as the body that Acme takes.

What Acme cannot take is reported, and refused where the caller is strict. Each call stands before its result, and each
result behind its call. What only another provider reads stays behind.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence

from orchestrator_core.provider_api import (
    AdjustmentReport,
    ChatRequest,
    EmbeddingRequest,
    ImagePart,
    Json,
    Message,
    NamedTool,
    Part,
    ProviderSettings,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)

TAKEN = ("temperature", "top_p", "max_tokens")
UNKNOWN = ("n", "seed", "presence_penalty", "frequency_penalty", "parallel_tool_calls", "reasoning_effort")
TOOL_USE = {"auto": "auto", "none": "none", "required": "any"}
NO_RESULT = "no result was given"


def compile_chat(
    request: ChatRequest, provider_id: str, settings: ProviderSettings, report: AdjustmentReport
) -> dict[str, Json]:
    """Return the body of `POST /answers`.

    Raises:
        UnsupportedParameter: Something would get lost, and the caller is strict.
    """
    body: dict[str, Json] = {**request.extra, "model": request.model, "stream": request.stream}
    defaults = {"temperature": settings.default_temperature, "max_tokens": settings.default_max_tokens}
    for name in TAKEN:
        value = getattr(request, name)
        value = defaults.get(name) if value is None else value
        if value is not None:
            body[name] = value
    for name in UNKNOWN:
        if getattr(request, name) is not None:
            report.dropped(name, "Acme does not know it")
    if request.stop:
        body["stop"] = list(request.stop)
    if request.tools:
        body["tools"] = [
            {"name": tool.name, "description": tool.description or "", "schema": tool.parameters or {"type": "object"}}
            for tool in request.tools
        ]
    if request.tool_choice is not None:
        choice = request.tool_choice
        body["tool_use"] = choice.name if isinstance(choice, NamedTool) else TOOL_USE[choice]
    if request.response_format is not None and request.response_format.type != "text":
        body["schema"] = request.response_format.json_schema or {"type": "object"}
    system = [message.text for message in request.messages if message.role == "system"]
    if system:
        body["system"] = "\n\n".join(system)
    body["turns"] = Compiler(provider_id, report).turns(request.messages)
    return body


def compile_embeddings(request: EmbeddingRequest, report: AdjustmentReport) -> dict[str, Json]:
    """Return the body of `POST /embeddings`."""
    if request.dimensions is not None:
        report.dropped("dimensions", "Acme's vectors have one length")
    return {**request.extra, "model": request.model, "texts": list(request.input)}


class Compiler:
    """Compiles one conversation."""

    def __init__(self, provider_id: str, report: AdjustmentReport) -> None:
        self.provider_id, self.report = provider_id, report

    def turns(self, messages: Sequence[Message]) -> list[Json]:
        """Return the turns."""
        turns: list[Json] = []
        called: set[str] = set()
        for position, message in enumerate(messages):
            if message.role == "user":
                turns.append({"from": "user", "content": self.content(message.parts)})
            elif message.role == "assistant":
                content = self.content(message.parts)
                if content:
                    turns.append({"from": "model", "content": content})
                else:
                    self.report.mapped("message", "an empty answer says nothing and is left out")
                if message.tool_calls:
                    turns.append({"from": "tools", "content": self.results(message, messages[position + 1 :])})
                called = {call.id for call in message.tool_calls}
            elif message.role == "tool":
                for part in message.parts:
                    if isinstance(part, ToolResultPart) and part.tool_call_id not in called:
                        self.report.dropped("tool_result", f"no call has the id {part.tool_call_id}")
        return turns

    def content(self, parts: Sequence[Part]) -> list[Json]:
        """Return the blocks of a turn."""
        return [block for part in parts if (block := self.block(part)) is not None]

    def block(self, part: Part) -> Json:
        """Return a part as a block, or None where it is left out."""
        own = (part.provider_metadata or {}).get(self.provider_id, {})
        if isinstance(part, TextPart | RefusalPart):
            return {"type": "text", "text": part.text} if part.text else None
        if isinstance(part, ToolCallPart):
            return {"type": "call", "id": call_id(part.id), "tool": part.name, "input": self.arguments(part)}
        if isinstance(part, ImagePart):
            source = {"url": part.url} if part.url else {"media_type": part.media_type, "data": part.data}
            return {"type": "image", **source}
        if isinstance(part, ReasoningPart) and "seal" in own:
            return {"type": "thought", "text": part.text, "seal": own["seal"]}
        if part.type in ("reasoning", "opaque"):
            self.report.omitted(part.type, "only the provider that made it can read it")
        else:
            self.report.dropped(part.type, "Acme does not take it")
        return None

    def arguments(self, call: ToolCallPart) -> Json:
        """Return the arguments as the object that Acme wants; a call that was cut off has none."""
        try:
            given = json.loads(call.arguments or "{}")
        except (ValueError, RecursionError):
            given = None
        if isinstance(given, dict):
            return given
        self.report.mapped("tool_call", "arguments that are no JSON object are sent inside of one")
        return {"unparsed": call.arguments}

    def results(self, message: Message, later: Sequence[Message]) -> list[Json]:
        """Return a result for each call of a message."""
        given: dict[str, ToolResultPart] = {}
        for following in later:
            if following.role == "assistant":
                break
            for part in following.parts:
                if isinstance(part, ToolResultPart):
                    given.setdefault(part.tool_call_id, part)
        return [self.result(call, given) for call in message.tool_calls]

    def result(self, call: ToolCallPart, given: Mapping[str, ToolResultPart]) -> Json:
        """Return the result of a call, or an error where it has none."""
        result = given.get(call.id)
        if result is None:
            self.report.mapped("tool_call", f"the call of {call.name} has no result: it gets an error for one")
            result = ToolResultPart(tool_call_id=call.id, content=NO_RESULT, is_error=True)
        output: Json = result.content
        if not isinstance(output, str):
            output = self.content(output)
        return {"type": "result", "call": call_id(call.id), "output": output, "failed": result.is_error}


def call_id(canonical: str) -> str:
    """Return the id under which Acme takes a call, the same for the same id."""
    if re.fullmatch(r"[A-Za-z0-9_-]{1,40}", canonical):
        return canonical
    return hashlib.sha256(canonical.encode()).hexdigest()[:24]
