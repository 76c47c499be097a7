"""The surfaces of the gateway on which a model is asked, and how a client of each reads what comes back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Body = dict[str, Any]
MESSAGES = [{"role": "user", "content": "ping"}]


@dataclass(frozen=True)
class Read:
    """What a client makes of a reply.

    Attributes:
        code: The code of the error; empty where there is none, or the surface has no place for it.
        failed: Whether it is told of an error.
        text: What the model said.
        endings: How often it is told that this is the end; a whole reply is one.
        last: Whether nothing comes after the end.
        told: The last thing that it is told, as JSON.
    """

    code: str
    failed: bool
    text: str
    endings: int
    last: bool
    told: Any


@dataclass(frozen=True)
class Surface:
    """A way to ask a model.

    Attributes:
        name: What tables call it.
        path: Where to post; `{provider}` stands for the provider.
        body: Makes the body of a request from provider and model.
        code: Finds the code in the JSON of an error.
        is_error: Whether a JSON object tells of an error.
        is_end: Whether a JSON object is the end of a complete stream.
        text: Finds the model's words in a whole answer.
        delta: Finds the model's words in an event.
        falls_back: Whether another provider may answer.
        has_codes: Whether its errors have the gateway's codes.
    """

    name: str
    path: str
    body: Callable[[str, str], Body]
    code: Callable[[Body], Any]
    is_error: Callable[[Body], bool]
    is_end: Callable[[Body], bool]
    text: Callable[[Body], Any]
    delta: Callable[[Body], Any]
    falls_back: bool = True
    has_codes: bool = True

    def request(self, provider: str, model: str, *, stream: bool) -> tuple[str, Body]:
        """Return the path and the body of a request."""
        return self.path.format(provider=provider), {**self.body(provider, model), "stream": stream}

    def read(self, content_type: str, body: bytes) -> Read:
        """Read a reply, which must be JSON or a stream of events.

        Raises:
            ValueError: It is neither.
        """
        if not content_type.startswith("text/event-stream"):
            told = json.loads(body)
            failed = self.is_error(told)
            return Read(
                code=str(self.code(told) or "") if failed else "",
                failed=failed,
                text="" if failed else str(self.text(told) or ""),
                endings=1,
                last=True,
                told=told,
            )
        return self._read_events([*events_of(body)])

    def _read_events(self, events: list[Any]) -> Read:
        ends = [place for place, event in enumerate(events) if self._ends(event)]
        errors = [event for event in events if isinstance(event, dict) and self.is_error(event)]
        objects = [event for event in events if isinstance(event, dict)]
        return Read(
            code=str(self.code(errors[-1]) or "") if errors else "",
            failed=bool(errors),
            text="".join(str(self.delta(event) or "") for event in objects if not self.is_error(event)),
            endings=len(ends),
            last=bool(ends) and ends[-1] == len(events) - 1,
            told=objects[-1] if objects else None,
        )

    def _ends(self, event: Any) -> bool:
        return event == "[DONE]" or (isinstance(event, dict) and (self.is_error(event) or self.is_end(event)))


def events_of(body: bytes) -> Iterator[Any]:
    """Yield the data of server-sent events: JSON, and the mark of the end as it is. What is cut off is no event."""
    for event in body.split(b"\n\n")[:-1]:
        lines = [line[6:] for line in event.split(b"\n") if line.startswith(b"data: ")]
        if lines:
            data = b"\n".join(lines)
            yield "[DONE]" if data == b"[DONE]" else json.loads(data)


def _openai_text(answer: Mapping[str, Any]) -> Any:
    return answer["choices"][0]["message"]["content"]


def _openai_delta(chunk: Mapping[str, Any]) -> Any:
    return chunk["choices"][0]["delta"].get("content") if chunk.get("choices") else ""


def _asked(provider: str, model: str) -> Body:
    return {"model": f"{provider}/{model}", "messages": MESSAGES}


ORCHESTRATE = Surface(
    name="orchestrate",
    path="/api/orchestrate",
    body=lambda provider, model: {"message": "ping", "agent_config": {"provider": provider, "model": model}},
    code=lambda error: error["code"],
    is_error=lambda event: "code" in event and "response" not in event,
    is_end=lambda event: event.get("type") == "done",
    text=lambda answer: answer["response"],
    delta=lambda event: event["text"] if event.get("type") == "text" else "",
)
CHAT = Surface(
    name="chat/completions",
    path="/v1/chat/completions",
    body=_asked,
    code=lambda error: error["error"]["code"],
    is_error=lambda event: "error" in event,
    is_end=lambda event: False,  # that is [DONE]
    text=_openai_text,
    delta=_openai_delta,
)
ANTHROPIC = Surface(
    name="messages",
    path="/v1/messages",
    body=lambda provider, model: {**_asked(provider, model), "max_tokens": 1000},
    code=lambda error: "",
    is_error=lambda event: event.get("type") == "error",
    is_end=lambda event: event.get("type") == "message_stop",
    text=lambda answer: "".join(block.get("text", "") for block in answer["content"]),
    delta=lambda event: event.get("delta", {}).get("text"),
    has_codes=False,
)
CONNECTOR = Surface(
    name="connector",
    path="/api/v1/{provider}/chat",
    body=lambda provider, model: {"model": model, "messages": MESSAGES},
    code=lambda error: error["error_type"],
    is_error=lambda event: event.get("success") is False,
    is_end=lambda event: False,
    text=lambda answer: answer["message"]["content"],
    delta=_openai_delta,
    falls_back=False,
)
SURFACES = (ORCHESTRATE, CHAT, ANTHROPIC, CONNECTOR)
