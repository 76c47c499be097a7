"""What a vendor was told, read from its wire into one form, so that a test says it once for all of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from fake_upstreams.strict import Asked

Told = tuple[str, ...]
"""Who, or `call`, `result`, `thought`, `picture`; then what. Calls and results have the tool's name or the id first."""


def told(asked: Asked) -> list[Told]:
    """Return the conversation of a request, in order, with the system's words first."""
    if "contents" in asked.body:
        return list(_of_gemini(asked.body))
    return list(_of_anthropic(asked.body) if asked.path == "/v1/messages" else _of_openai(asked.body))


def model(asked: Asked) -> str:
    """Return the model that was asked for."""
    return str(asked.body.get("model") or asked.path.rpartition("/")[2].partition(":")[0])


def tools(asked: Asked) -> dict[str, Any]:
    """Return the schemas of the tools, by name."""
    found: dict[str, Any] = {}
    for tool in asked.body.get("tools") or ():
        for one in tool.get("functionDeclarations") or [tool.get("function", tool)]:
            schema = next(one[key] for key in ("parameters", "input_schema", "parametersJsonSchema") if key in one)
            found[one["name"]] = schema
    return found


def schema(asked: Asked) -> Any:
    """Return the schema that the answer must have."""
    body = asked.body
    if "contents" in body:
        return body["generationConfig"]["responseJsonSchema"]
    if asked.path == "/v1/messages":
        return body["output_config"]["format"]["schema"]
    return body["response_format"]["json_schema"]["schema"]


def _parts(content: Any) -> list[Any]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def _of_openai(body: Mapping[str, Any]) -> Iterator[Told]:
    for message in body["messages"]:
        role = message["role"]
        for part in _parts(message.get("content") or []):
            if role == "tool":
                yield "result", message["tool_call_id"], part["text"]
            elif part["type"] == "thinking":
                yield "thought", "".join(inner["text"] for inner in part["thinking"])
            elif part["type"] == "image_url":
                yield "picture", part["image_url"]["url"]
            else:
                yield role, part["text"]
        for call in message.get("tool_calls") or ():
            yield "call", call["function"]["name"], json.dumps(json.loads(call["function"]["arguments"])), call["id"]


def _of_anthropic(body: Mapping[str, Any]) -> Iterator[Told]:
    for block in _parts(body.get("system") or []):
        yield "system", block["text"]
    for message in body["messages"]:
        for block in _parts(message["content"]):
            if block["type"] == "tool_use":
                yield "call", block["name"], json.dumps(block["input"]), block["id"]
            elif block["type"] == "tool_result":
                said = block["content"]
                yield "result", block["tool_use_id"], said if isinstance(said, str) else said[0]["text"]
            elif block["type"] == "thinking":
                yield "thought", block["thinking"]
            elif block["type"] == "image":
                yield "picture", f"data:{block['source']['media_type']};base64,{block['source']['data']}"
            else:
                yield message["role"], block["text"]


def _of_gemini(body: Mapping[str, Any]) -> Iterator[Told]:
    for part in (body.get("systemInstruction") or {}).get("parts", ()):
        yield "system", part["text"]
    for content in body["contents"]:
        for part in content["parts"]:
            if "functionCall" in part:
                yield "call", part["functionCall"]["name"], json.dumps(part["functionCall"]["args"])
            elif "functionResponse" in part:
                yield "result", part["functionResponse"]["name"], part["functionResponse"]["response"]["result"]
            elif "inlineData" in part:
                yield "picture", f"data:{part['inlineData']['mimeType']};base64,{part['inlineData']['data']}"
            elif part.get("thought"):
                yield "thought", part["text"]
            else:
                yield {"model": "assistant"}.get(content["role"], content["role"]), part["text"]
