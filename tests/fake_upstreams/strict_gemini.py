"""Gemini's server, as strict as the newest models are.

`reference`: https://ai.google.dev/api/generate-content. `[R] name`: the record of that name among the recordings.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from aiohttp import web

from fake_upstreams.strict import Body, Rule, StrictVendor

SKIPPED = {"skip_thought_signature_validator", "context_engineering_is_the_way_to_go"}
"""What stands for a signature in calls that Gemini did not make."""

DATA = {
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
    "toolCall",
    "toolResponse",
}
FIELDS = {
    "contents",
    "systemInstruction",
    "tools",
    "toolConfig",
    "safetySettings",
    "generationConfig",
    "cachedContent",
    "model",
    "serviceTier",
}
CONFIG = {
    "candidateCount",
    "enableEnhancedCivicAnswers",
    "frequencyPenalty",
    "imageConfig",
    "logprobs",
    "maxOutputTokens",
    "mediaResolution",
    "presencePenalty",
    "responseJsonSchema",
    "responseLogprobs",
    "responseMimeType",
    "responseModalities",
    "responseSchema",
    "seed",
    "speechConfig",
    "stopSequences",
    "temperature",
    "thinkingConfig",
    "topK",
    "topP",
}
MODES = {"AUTO", "ANY", "NONE", "VALIDATED"}
# https://ai.google.dev/api/caching#Schema: the dialect of `parameters` and `responseSchema`.
DIALECT = {
    "anyOf",
    "default",
    "description",
    "enum",
    "example",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "nullable",
    "pattern",
    "properties",
    "propertyOrdering",
    "required",
    "title",
    "type",
}


def contents(body: Body) -> Sequence[Mapping[str, Any]]:
    return body.get("contents") or []


def parts(content: Mapping[str, Any], kind: str | None = None) -> list[Any]:
    found = content.get("parts") or []
    return [part[kind] for part in found if kind in part] if kind else list(found)


def declarations(body: Body) -> list[Mapping[str, Any]]:
    return [each for tool in body.get("tools") or [] for each in tool.get("functionDeclarations") or []]


def unknown_names(body: Body, headers: Mapping[str, str]) -> Iterator[str]:
    if "requests" in body:
        return
    for name in body.keys() - FIELDS:
        yield f'Unknown name "{name}": Cannot find field.'
    for name in (body.get("generationConfig") or {}).keys() - CONFIG:
        yield f'Unknown name "{name}" at generation_config: Cannot find field.'
    for content in contents(body):
        for name in content.keys() - {"role", "parts"}:
            yield f'Unknown name "{name}" at contents: Cannot find field.'
        for part in parts(content):
            for name in part.keys() - DATA - {"thought", "thoughtSignature", "videoMetadata", "mediaResolution"}:
                yield f'Unknown name "{name}" at contents.parts: Cannot find field.'


def filled_contents(body: Body, headers: Mapping[str, str]) -> Iterator[str]:
    if "requests" in body:
        return
    if not contents(body):
        yield "contents is not specified"
    for content in contents(body):
        if content.get("role") not in {"user", "model"}:
            yield "Please use a valid role: user, model."
        if not parts(content):
            yield "contents.parts must not be empty."
        for part in parts(content):
            data = part.keys() & DATA
            if len(data) != 1:
                yield f"required oneof field 'data' must have one initialized field: {sorted(data)}"
            elif part.get("text") == "" and "thoughtSignature" not in part:
                yield "Unable to submit request because it must have a text parameter."


def a_user_begins(body: Body, headers: Mapping[str, str]) -> Iterator[str]:
    if contents(body) and contents(body)[0].get("role") != "user":
        yield "Please ensure that the conversation begins with a user role."


def calls_and_responses(body: Body, headers: Mapping[str, str]) -> Iterator[str]:
    said = contents(body)
    if said and parts(said[-1], "functionCall"):
        yield "Please ensure that multiturn requests end with a user role or a function response."
    for before, content in pairwise(({}, *said)):
        called, answered = parts(before, "functionCall"), parts(content, "functionResponse")
        if parts(content, "functionCall") and (content.get("role") != "model" or before.get("role") == "model"):
            yield "function call turn comes immediately after a user turn or after a function response turn."
        if answered and (not called or content.get("role") != "user"):
            yield "function response turn comes immediately after a function call turn."
        elif len(called) != len(answered):
            yield "the number of function response parts is equal to the number of function call parts."
        named = [[(each["name"], each.get("id")) for each in side] for side in (called, answered)]
        if answered and (
            sorted(named[0]) != sorted(named[1]) if all("id" in each for each in called) else named[0] != named[1]
        ):
            yield f"calls {named[0]} have the responses {named[1]}"
        for response in answered:
            if not isinstance(response.get("response"), dict):
                yield "Invalid value at function_response.response: a Struct is expected"
        for call in called:
            if not isinstance(call.get("args", {}), dict):
                yield "Invalid value at function_call.args: a Struct is expected"


def signed_calls(body: Body, headers: Mapping[str, str]) -> Iterator[str]:
    said = contents(body)
    asked = [n for n, each in enumerate(said) if each.get("role") == "user" and not parts(each, "functionResponse")]
    for content in said[asked[-1] if asked else 0 :]:
        first = next((part for part in parts(content) if "functionCall" in part), None)
        if first is not None and not first.get("thoughtSignature"):
            yield "Function call is missing a thought_signature in functionCall parts."


def declared_functions(body: Body, headers: Mapping[str, str]) -> Iterator[str]:
    names = [each.get("name", "") for each in declarations(body)]
    for name in names:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}", name):
            yield f"Invalid function name {name!r}."
        if names.count(name) > 1:
            yield f"Duplicate function declaration found: {name}"
    for each in declarations(body):
        if "parameters" in each and "parametersJsonSchema" in each:
            yield "only one of parameters and parameters_json_schema may be set"
        yield from outside_dialect(each.get("parameters"))
        for name in each.keys() - {
            "name",
            "description",
            "parameters",
            "parametersJsonSchema",
            "response",
            "responseJsonSchema",
            "behavior",
        }:
            yield f'Unknown name "{name}" at function_declarations: Cannot find field.'
    calling = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    if calling.get("mode", "AUTO") not in MODES:
        yield "Invalid value at function_calling_config.mode"
    allowed = calling.get("allowedFunctionNames") or []
    if allowed and calling.get("mode") not in {"ANY", "VALIDATED"}:
        yield "allowed_function_names should only be set when the mode is ANY or VALIDATED"
    for name in set(allowed) - set(names):
        yield f"allowed_function_names has {name}, which is not declared"


def outside_dialect(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        for name in schema.keys() - DIALECT:
            yield f'Unknown name "{name}" at function_declarations.parameters: Cannot find field.'
        for inner in (schema.get("properties") or {}).values():
            yield from outside_dialect(inner)
        for inner in (schema.get("items"), *(schema.get("anyOf") or [])):
            yield from outside_dialect(inner)


def formatted_answers(body: Body, headers: Mapping[str, str]) -> Iterator[str]:
    config = body.get("generationConfig") or {}
    if "responseSchema" in config and "responseJsonSchema" in config:
        yield "only one of response_schema and response_json_schema may be set"
    if config.keys() & {"responseSchema", "responseJsonSchema"} and config.get("responseMimeType") in {
        None,
        "text/plain",
    }:
        yield "response_mime_type must be application/json with a response schema"
    if "logprobs" in config and not config.get("responseLogprobs"):
        yield "logprobs needs response_logprobs"
    thinking = config.get("thinkingConfig") or {}
    if "thinkingBudget" in thinking and "thinkingLevel" in thinking:
        yield "You can only set only one of thinking budget and thinking level."
    if thinking.get("thinkingLevel", "low").lower() not in {"minimal", "low", "medium", "high"}:
        yield "Invalid value at thinking_config.thinking_level"


def system_text(body: Body, headers: Mapping[str, str]) -> Iterator[str]:
    instruction = body.get("systemInstruction")
    if instruction is not None and not all(set(part) == {"text"} and part["text"] for part in parts(instruction)):
        yield "system_instruction takes text only"


def media(body: Body, headers: Mapping[str, str]) -> Iterator[str]:
    for content in contents(body):
        inner = [part for each in parts(content, "functionResponse") for part in each.get("parts") or []]
        for part in (*parts(content), *inner):
            if "inlineData" in part and not (part["inlineData"].get("mimeType") and part["inlineData"].get("data")):
                yield "Unable to process input: inline_data needs mime_type and data"
            if "fileData" in part and not re.match(r"(https|gs)://", part["fileData"].get("fileUri") or ""):
                yield "Invalid or unsupported file uri"


def known_key(body: Body, headers: Mapping[str, str]) -> Iterator[str]:
    if "x-goog-api-key" not in headers or "authorization" in headers:
        yield "Method doesn't allow unregistered callers."


def embedded_texts(body: Body, headers: Mapping[str, str]) -> Iterator[str]:
    if len(body.get("requests") or []) > 100:
        yield "BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch"
    for each in body.get("requests") or []:
        if not str(each.get("model")).startswith("models/"):
            yield "BatchEmbedContentsRequest.requests: unexpected model name format"
        if not parts(each.get("content") or {}):
            yield "content is required"


class StrictGemini(StrictVendor):
    """Answers on `/v1beta`.

    Attributes:
        issued: The thought signatures that it gave, and so takes back. Those of its scripted answers are added.
    """

    rules: Sequence[Rule] = (
        Rule("key", "https://ai.google.dev/api#authentication; [R] gemini-error-4281b49cc2 for a bad one", known_key),
        Rule("names", 'reference; the API answers 400 "Cannot find field"', unknown_names),
        Rule("contents", "reference, Content and Part", filled_contents),
        Rule("begin", "https://ai.google.dev/gemini-api/docs/text-generation#multi-turn-conversations", a_user_begins),
        Rule(
            "calls",
            "https://ai.google.dev/gemini-api/docs/function-calling; github.com/google-gemini/gemini-cli/issues/26486",
            calls_and_responses,
        ),
        Rule(
            "signatures",
            "https://ai.google.dev/gemini-api/docs/thought-signatures; github.com/nanbingxyz/5ire/issues/405",
            signed_calls,
        ),
        Rule("functions", "https://ai.google.dev/api/caching#FunctionDeclaration and #ToolConfig", declared_functions),
        Rule("format", "https://ai.google.dev/api/generate-content#generationconfig", formatted_answers),
        Rule("system", "reference, systemInstruction: currently, text only", system_text),
        Rule("media", "https://ai.google.dev/api/caching#Part", media),
        Rule("embeddings", "https://ai.google.dev/api/embeddings#method:-models.batchembedcontents", embedded_texts),
    )

    def __init__(self) -> None:
        super().__init__()
        self.issued: set[str] = set()
        self.rules = (*self.rules, Rule("issued", "as `signatures`: signatures are given back untouched", self.known))

    def known(self, body: Body, headers: Mapping[str, str]) -> Iterator[str]:
        for signature in signatures(body):
            try:
                base64.b64decode(signature.translate(str.maketrans("-_", "+/")), validate=True)
            except binascii.Error:
                yield "Invalid value at thought_signature: Base64 decoding failed"
            if signature not in self.issued | SKIPPED:
                yield "Corrupted thought signature."

    def routes(self) -> Mapping[str, str]:
        model = "/v1beta/models/{model:[^/:]+}:"
        return {
            f"{model}generateContent": "chat",
            f"{model}streamGenerateContent": "chat",
            f"{model}batchEmbedContents": "embeddings",
        }

    def streams(self, request: web.Request, body: Body) -> bool:
        return request.path.endswith(":streamGenerateContent")

    async def handle(self, request: web.Request, operation: str) -> web.StreamResponse:
        if "key" in request.query or (self.streams(request, {}) and request.query.get("alt") != "sse"):
            raise web.HTTPBadRequest(text="the key travels in a header, and streams are asked for as events")
        return await super().handle(request, operation)

    def refusal(self, problems: Sequence[str]) -> tuple[int, Any]:
        return 400, {"error": {"code": 400, "message": "; ".join(problems), "status": "INVALID_ARGUMENT"}}

    def healthy(self, operation: str, body: Body, *, stream: bool) -> Any:
        if operation == "embeddings":
            size = body["requests"][0].get("outputDimensionality", 3072)
            return {"embeddings": [{"values": [0.5] * size} for _ in body["requests"]]}
        answer = gemini_answer([{"text": "Hello."}])
        return [answer] if stream else answer

    def frame(self, event: Any) -> bytes:
        return event if isinstance(event, bytes) else f"data: {json.dumps(event)}\r\n\r\n".encode()

    def give(self, *answers: Any) -> None:
        """Script answers; their signatures are taken back from then on."""
        self.answers.extend(answers)
        self.issued.update(signature for answer in answers for signature in signatures(answer))


def signatures(value: Any) -> Iterator[str]:
    """Yield every thought signature in a JSON value."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == "thoughtSignature":
                yield inner
            else:
                yield from signatures(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from signatures(inner)


def gemini_answer(parts: Sequence[Any], finish: str | None = "STOP", *, index: int = 0, **usage: int) -> dict[str, Any]:
    """Return an answer, or a chunk of one."""
    candidate = {"content": {"parts": list(parts), "role": "model"}, "index": index}
    return {
        "candidates": [{**candidate, "finishReason": finish} if finish else candidate],
        "usageMetadata": usage or {"promptTokenCount": 4, "candidatesTokenCount": 2, "totalTokenCount": 6},
        "modelVersion": "gemini-3.8-flash",
        "responseId": "answer-1",
    }
