"""Wire answers with everything in them that another provider could not read."""

from __future__ import annotations

import json

from fake_providers.shaped_wire import Wire

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

ANTHROPIC_CONTENT: list[Wire] = [
    {"type": "thinking", "thinking": "Two cities, so two calls.", "signature": "c2lnLTE="},
    {"type": "redacted_thinking", "data": "ZW5jcnlwdGVk"},
    {"type": "text", "text": "Let me look"},
    {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "weather"}},
    {
        "type": "web_search_tool_result",
        "tool_use_id": "srvtoolu_1",
        "content": [{"type": "web_search_result", "url": "https://example.org", "encrypted_content": "eA=="}],
    },
    {"type": "text", "text": "It rains.", "citations": [{"type": "web_search_result_location", "cited_text": "rain"}]},
    {"type": "thinking", "thinking": "", "signature": "c2lnLTI="},
    {"type": "tool_use", "id": "toolu_01A", "name": "weather", "input": {"city": "Paris"}},
    {"type": "tool_use", "id": "toolu_01B", "name": "weather", "input": {}, "caller": {"type": "direct"}},
]


def anthropic_message(content: list[Wire], stop_reason: str = "end_turn") -> Wire:
    """Return the body of an answer."""
    return {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "model": "claude-sonnet-5-5",
        "content": content,
        "stop_reason": stop_reason,
        "usage": {
            "input_tokens": 10,
            "cache_read_input_tokens": 5,
            "cache_creation_input_tokens": 3,
            "output_tokens": 20,
            "output_tokens_details": {"thinking_tokens": 12},
        },
    }


def anthropic_stream(content: list[Wire], stop_reason: str = "end_turn") -> list[Wire]:
    """Return the same answer as a stream, with pings and with an empty block in it."""
    message = anthropic_message([], stop_reason)
    message["usage"] = {**message["usage"], "output_tokens": 1, "output_tokens_details": None}
    events: list[Wire] = [{"type": "message_start", "message": {**message, "stop_reason": None}}]
    for index, block in enumerate([*content, {"type": "text", "text": ""}]):
        opened, deltas = _in_pieces(block)
        events.append({"type": "content_block_start", "index": index, "content_block": opened})
        events.append({"type": "ping"})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    used = {"output_tokens": 20, "output_tokens_details": {"thinking_tokens": 12}}
    events.append({"type": "message_delta", "delta": {"stop_reason": stop_reason}, "usage": used})
    return [*events, {"type": "message_stop"}]


def _in_pieces(block: Wire) -> tuple[Wire, list[Wire]]:
    """Return how a block begins in a stream, and its deltas."""
    if block["type"] == "text":
        cited = [{"type": "citations_delta", "citation": citation} for citation in block.get("citations", ())]
        halves = [block["text"][:3], block["text"][3:]]
        return {"type": "text", "text": ""}, cited + [{"type": "text_delta", "text": half} for half in halves]
    if block["type"] == "thinking":
        deltas = [{"type": "thinking_delta", "thinking": block["thinking"]}]
        signed = {"type": "signature_delta", "signature": block["signature"]}
        return {"type": "thinking", "thinking": "", "signature": ""}, [*deltas, signed]
    if block.get("input"):
        written = json.dumps(block["input"])
        halves = ["", written[:4], written[4:]]
        return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": half} for half in halves]
    return block, []


GEMINI_PARTS: list[Wire] = [
    {"text": "A thought with a signature.", "thought": True, "thoughtSignature": "Z2VtLTA="},
    {"text": "I look, "},
    {"text": "and I draw.", "thoughtSignature": "Z2VtLTE="},
    {"text": "Here:"},
    {"inlineData": {"mimeType": "image/png", "data": PNG}, "thoughtSignature": "Z2VtLTI="},
    {"inlineData": {"mimeType": "audio/wav", "data": "UklGRg=="}},
    {"executableCode": {"language": "PYTHON", "code": "print(1)"}},
    {"functionCall": {"name": "weather", "args": {"city": "Köln"}}, "thoughtSignature": "Z2VtLTM="},
    {"functionCall": {"name": "weather", "args": {}}},
    {"functionCall": {"id": "fc-7", "name": "time", "args": {"zone": "CET"}}},
    {"text": "", "thoughtSignature": "Z2VtLTQ="},
]


def gemini_body(*candidates: list[Wire], reason: str | int = "STOP") -> Wire:
    """Return the body of an answer; one candidate for each list of parts."""
    return {
        "candidates": [
            {"index": index, "content": {"role": "model", "parts": parts}, "finishReason": reason}
            for index, parts in enumerate(candidates)
        ],
        "usageMetadata": {"promptTokenCount": 8, "cachedContentTokenCount": 3, "thoughtsTokenCount": 6},
        "modelVersion": "gemini-3.8-flash",
        "responseId": "r-1",
    }


def gemini_stream(*candidates: list[Wire], reason: str | int = "STOP") -> list[Wire]:
    """Return the same answer as a stream: a part a chunk, the candidates interleaved, usage in every one."""
    chunks: list[Wire] = []
    for place in range(max(map(len, candidates))):
        for index, parts in enumerate(candidates):
            if place < len(parts):
                content = {"role": "model", "parts": parts[place : place + 1]}
                chunk = gemini_body(reason=reason)
                chunks.append({**chunk, "candidates": [{"index": index, "content": content}]})
    ends = [{"index": index, "content": {"role": "model"}, "finishReason": reason} for index in range(len(candidates))]
    return [*chunks, {**gemini_body(reason=reason), "candidates": ends}]
