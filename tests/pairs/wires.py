"""Answers in the wire of each provider, with the signatures, ids and thoughts that it gives them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fake_upstreams.strict_anthropic import answer as anthropic_answer
from fake_upstreams.strict_anthropic import events as anthropic_events
from fake_upstreams.strict_anthropic import signed
from fake_upstreams.strict_gemini import gemini_answer
from pairs.script import Call, Said

USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}


def _made(prefix: str, length: int) -> Callable[[int, int, Call], str]:
    """Make ids of letters and digits."""

    def make(turn: int, number: int, call: Call) -> str:
        return prefix + hashlib.sha256(f"{prefix}{turn}{number}".encode()).hexdigest()[:length]

    return make


@dataclass(frozen=True)
class Wire:
    """How one provider puts an answer.

    Attributes:
        name: The provider.
        make_id: Makes the id of a call.
        shows_thought: Whether an answer shows what was thought.
        thinks_aloud: Whether an answer that says nothing has a thought all the same.
        refuses: Where a refusal stands: a field of its own, the text, or nowhere, the answer being withheld.
        serves: Whether it has tools of its own, whose use stands in the answer.
        cuts: Whether arguments come in pieces, so that a broken answer has half of them.
    """

    name: str
    make_id: Callable[[int, int, Call], str]
    shows_thought: bool = True
    thinks_aloud: bool = False
    refuses: str = "text"
    serves: bool = False
    cuts: bool = True

    def thought(self, said: Said) -> str:
        """What was thought; empty where nothing is shown."""
        shown = self.shows_thought and said.thinks and (said.text or said.calls or self.thinks_aloud)
        return f"thought {said.turn} of {self.name}" if shown else ""

    def marks(self, said: Said) -> list[str]:
        """What only this provider may be sent."""
        marks = [f"mark {said.turn} of {self.name}"] if said.serves and self.serves else []
        return [*marks, *([self.thought(said)] if self.thought(said) else [])]

    def replayed(self, said: Said) -> list[str]:
        """What of an answer must come back to this provider, where it wants its thoughts at all."""
        return self.marks(said)

    def give(self, said: Said, *, stream: bool) -> Any:
        """The answer: a body, or the events of a stream."""
        message: dict[str, Any] = {"role": "assistant", "content": said.text or None}
        if self.name == "mistral" and self.thought(said):
            thinking = {"type": "thinking", "thinking": [{"type": "text", "text": self.thought(said)}]}
            message["content"] = [thinking, *([{"type": "text", "text": said.text}] if said.text else [])]
        elif self.thought(said):
            message["reasoning_content"] = self.thought(said)
        if said.calls:
            message["tool_calls"] = [
                {
                    "id": self.make_id(said.turn, number, call),
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments},
                }
                for number, call in enumerate(said.calls)
            ]
        reason = "tool_calls" if said.calls else "stop"
        if said.refusal:
            message["refusal" if self.refuses == "field" else "content"] = said.refusal
            reason = "stop" if self.refuses == "field" else "content_filter"
        head = {"id": f"answer-{said.turn}", "created": 1, "model": f"{self.name}-1"}
        if not stream:
            if not said.calls and message["content"] is None and not said.refusal:
                message["content"] = ""
            choice = {"index": 0, "message": message, "finish_reason": reason}
            return {**head, "object": "chat.completion", "choices": [choice], "usage": USAGE}
        head["object"] = "chat.completion.chunk"
        deltas = _deltas(message)
        chunks: list[Any] = [
            {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas
        ]
        if said.breaks:
            return chunks[:-1]
        last = {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}
        return [*chunks, last, {**head, "choices": [], "usage": USAGE}, b"data: [DONE]\n\n"]


def _deltas(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A message in pieces, each call in two."""
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{name: message[name]} for name in ("reasoning_content", "content") if message.get(name)]
    for index, call in enumerate(message.get("tool_calls") or ()):
        arguments = call["function"]["arguments"]
        begun = {**call, "index": index, "function": {**call["function"], "arguments": arguments[:12]}}
        deltas.append({"tool_calls": [begun]})
        deltas.append({"tool_calls": [{"index": index, "function": {"arguments": arguments[12:]}}]})
    return deltas


class AnthropicWire(Wire):
    """Anthropic's: thoughts are signed, and its own tools stand between the blocks."""

    def marks(self, said: Said) -> list[str]:
        return [*super().marks(said), *([signed(self.thought(said))] if self.thought(said) else [])]

    def replayed(self, said: Said) -> list[str]:
        return self.marks(said) if said.text or said.calls else []  # a thought alone is no turn that it takes

    def give(self, said: Said, *, stream: bool) -> Any:
        content: list[dict[str, Any]] = []
        if self.thought(said):
            thought = {"type": "thinking", "thinking": self.thought(said), "signature": signed(self.thought(said))}
            content.append(thought)
        if said.serves:
            searched = {"query": f"mark {said.turn} of {self.name}"}
            id_ = f"srvtoolu_{said.turn}"
            content.append({"type": "server_tool_use", "id": id_, "name": "web_search", "input": searched})
            content.append({"type": "web_search_tool_result", "tool_use_id": id_, "content": []})
        if said.text:
            content.append({"type": "text", "text": said.text})
        for number, call in enumerate(said.calls):
            id_ = self.make_id(said.turn, number, call)
            content.append({"type": "tool_use", "id": id_, "name": call.name, "input": {"city": call.city}})
        message = anthropic_answer(content, "tool_use" if said.calls else "end_turn")
        if said.refusal:
            message |= {"stop_reason": "refusal", "stop_details": {"explanation": said.refusal}}
        if not stream:
            return message
        events = anthropic_events(message)
        if not said.breaks:
            return events
        pieces = [
            place for place, event in enumerate(events) if event.get("delta", {}).get("type") == "input_json_delta"
        ]
        return events[: pieces[-1]]


class GeminiWire(Wire):
    """Gemini's: the first call is signed, or else the text; calls have no id, and come whole."""

    def signature(self, said: Said) -> str:
        return base64.b64encode(f"gemini: turn {said.turn}".encode()).decode()

    def marks(self, said: Said) -> list[str]:
        return [*super().marks(said), *([self.signature(said)] if said.text else [])]

    def give(self, said: Said, *, stream: bool) -> Any:
        parts: list[dict[str, Any]] = []
        if self.thought(said):
            parts.append({"text": self.thought(said), "thought": True})
        if said.serves:
            parts.append({"executableCode": {"language": "PYTHON", "code": f"mark {said.turn} of {self.name}"}})
            parts.append({"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}})
        if said.text:
            parts.append({"text": said.text})
        signed = len(parts)
        parts += [{"functionCall": {"name": call.name, "args": {"city": call.city}}} for call in said.calls]
        if said.text:
            parts[signed if said.calls else -1]["thoughtSignature"] = self.signature(said)
        if said.refusal:
            withheld = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4}}
            return [withheld] if stream else withheld
        if not stream:
            return gemini_answer(parts)
        chunks = [gemini_answer([part], None) for part in parts]
        return chunks if said.breaks else [*chunks, gemini_answer([], "STOP")]


def _kimi_id(turn: int, number: int, call: Call) -> str:
    return f"functions.{call.name}:{turn}{number}"


WIRES: Mapping[str, Wire] = {
    wire.name: wire
    for wire in (
        # Chat Completions shows no thoughts: platform.openai.com/docs/guides/reasoning.
        Wire("openai", _made("call_", 24), shows_thought=False, refuses="field"),
        AnthropicWire("anthropic", _made("toolu_01", 22), thinks_aloud=True, refuses="field", serves=True),
        GeminiWire("gemini", _made("", 0), refuses="nowhere", serves=True, cuts=False),
        Wire("mistral", _made("", 9)),
        Wire("grok", _made("call_", 8), refuses="field"),
        Wire("qwen", _made("call_", 24), thinks_aloud=True),
        Wire("deepseek", _made("call_00_", 20), thinks_aloud=True),
        Wire("kimi", _kimi_id, thinks_aloud=True),
    )
}
