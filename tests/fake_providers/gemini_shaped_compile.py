"""Canonical requests as bodies of a Gemini-shaped wire (ai.google.dev, `generateContent`)."""

from __future__ import annotations

import json

from fake_providers.shaped_wire import Side, Wire, drop_parameters, inner_text, own, sides, system_texts
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

NOTHING = "(nothing was said)"
"""What stands where a side of the conversation must say something and did not."""

PARAMETERS = {
    "temperature": "temperature",
    "top_p": "topP",
    "max_tokens": "maxOutputTokens",
    "stop": "stopSequences",
    "seed": "seed",
    "n": "candidateCount",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}


def compile_request(request: ChatRequest, provider_id: str, report: AdjustmentReport) -> Wire:
    """Return the body of a request."""
    drop_parameters(request, ("parallel_tool_calls",), report)
    body: Wire = {"contents": Compiler(provider_id, report).contents(request)}
    if system := system_texts(request.messages, report):
        body["systemInstruction"] = {"parts": [{"text": text} for text in system]}
    config = {wire: getattr(request, name) for name, wire in PARAMETERS.items() if getattr(request, name) is not None}
    if request.response_format is not None and request.response_format.type != "text":
        config["responseMimeType"] = "application/json"
        if request.response_format.json_schema is not None:
            config["responseJsonSchema"] = dict(request.response_format.json_schema)
    if config:
        body["generationConfig"] = config
    if request.tools:
        declarations = [
            {
                "name": tool.name,
                "description": tool.description or "",
                "parametersJsonSchema": dict(tool.parameters or {"type": "object"}),
            }
            for tool in request.tools
        ]
        body["tools"] = [{"functionDeclarations": declarations}]
        body["toolConfig"] = {"functionCallingConfig": _calling(request)}
    return body


def _calling(request: ChatRequest) -> Wire:
    choice = request.tool_choice or "auto"
    if isinstance(choice, NamedTool):
        return {"mode": "ANY", "allowedFunctionNames": [choice.name]}
    return {"mode": {"auto": "AUTO", "none": "NONE", "required": "ANY"}[choice]}


class Compiler:
    """Compiles one conversation."""

    def __init__(self, provider_id: str, report: AdjustmentReport) -> None:
        self._provider_id = provider_id
        self._report = report

    def contents(self, request: ChatRequest) -> list[Wire]:
        """Return the contents: alternating, the user first, none empty."""
        contents: list[Wire] = []
        for side in sides(request.messages, lambda canonical: canonical, self._report):
            role = "model" if side.assistant else "user"
            parts = self._parts(side)
            if not parts:
                continue
            if contents and contents[-1]["role"] == role:
                contents[-1]["parts"] += parts
            else:
                contents.append({"role": role, "parts": parts})
        if not contents or contents[0]["role"] != "user":
            self._report.mapped("message", "a conversation begins with the user here")
            contents.insert(0, {"role": "user", "parts": [{"text": NOTHING}]})
        return contents

    def _parts(self, side: Side) -> list[Wire]:
        parts: list[Wire] = []
        for _, call, result in side.results:
            response = {"error" if result.is_error else "result": inner_text(result)}
            answered: Wire = {"name": call.name, "response": response, **_wire_id(call, self._provider_id)}
            parts.append({"functionResponse": answered})
            parts += self._media_of(result)
        for part in side.parts:
            if isinstance(part, ToolResultPart):
                self._report.mapped("tool_result", "a result without a call is said as text")
                parts += [{"text": f"[result of {part.tool_call_id}] {inner_text(part)}"}, *self._media_of(part)]
            elif (compiled := self._part(part)) is not None:
                parts.append(compiled)
        return parts

    def _part(self, part: Part) -> Wire | None:
        mine = own(part, self._provider_id)
        signed = {"thoughtSignature": mine["thoughtSignature"]} if "thoughtSignature" in mine else {}
        if isinstance(part, TextPart | RefusalPart):
            return {"text": part.text, **signed} if part.text or signed else None
        if isinstance(part, ToolCallPart):
            call: Wire = {"name": part.name, "args": self._arguments(part), **_wire_id(part, self._provider_id)}
            return {"functionCall": call, **signed}
        if isinstance(part, ImagePart | FilePart):
            return {**self._media(part), **signed}
        if isinstance(part, ReasoningPart) and signed:
            return {"text": part.text, "thought": True, **signed}
        if isinstance(part, OpaquePart) and "part" in mine:
            return dict(mine["part"])
        self._report.omitted(part.type, "only the provider that made it can read it")
        return None

    def _arguments(self, part: ToolCallPart) -> Wire:
        try:
            given = json.loads(part.arguments or "{}")
        except ValueError:
            given = None
        if isinstance(given, dict):
            return given
        self._report.mapped("tool_call", "arguments that are no JSON object are sent inside of one")
        return {"unparsed": part.arguments}

    def _media_of(self, result: ToolResultPart) -> list[Wire]:
        pieces = () if isinstance(result.content, str) else result.content
        return [self._media(piece) for piece in pieces if not isinstance(piece, TextPart)]

    def _media(self, part: ImagePart | FilePart) -> Wire:
        if part.data is not None:
            return {"inlineData": {"mimeType": part.media_type or "application/octet-stream", "data": part.data}}
        uri = part.url or (part.file_id if isinstance(part, FilePart) else None)
        return {"fileData": {"fileUri": uri, **({"mimeType": part.media_type} if part.media_type else {})}}


def _wire_id(call: ToolCallPart, provider_id: str) -> Wire:
    """Return the id of a call where the vendor itself gave one: those made here are not sent."""
    mine = own(call, provider_id)
    return {"id": mine["id"]} if "id" in mine else {}
