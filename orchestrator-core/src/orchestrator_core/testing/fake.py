"""How an author describes a vendor's upstream to the suite: what its wire looks like, and nothing about servers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pydantic_core

from orchestrator_core.provider_api import Json, Usage
from orchestrator_core.testing.scenes import Fault, Scene

Operation = Literal["chat", "stream", "embeddings", "models"]
WireEvent = Mapping[str, Json] | bytes
"""An event of a stream: JSON, which `FakeUpstream.frame` writes, or bytes that are sent as they are."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that reached the fake upstream.

    Attributes:
        method: `GET` or `POST`.
        path: The path, without the query.
        query: The query, as it came.
        headers: With lower-case names.
        raw: The body.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    raw: bytes

    @property
    def body(self) -> Json:
        """The body as JSON; None where there is none."""
        return pydantic_core.from_json(self.raw) if self.raw else None


class FakeUpstream:
    """A vendor's wire. A subclass writes it; the suite serves it on a real socket of the loopback.

    Five methods are needed: `chat`, `stream` and `error`, `call_ids` where tools are declared, `embeddings` where
    embeddings are. What the others do by default suits most vendors.

    Attributes:
        usage_buckets: The buckets of `Usage` that the vendor's counts tell apart from input and output.
    """

    usage_buckets: Collection[str] = ("cached_input_tokens", "reasoning_tokens")

    def chat(self, scene: Scene) -> Json:
        """Return the whole body that shows a scene."""
        raise NotImplementedError

    def stream(self, scene: Scene) -> Iterable[WireEvent]:
        """Return the events that show a scene, with what ends the vendor's streams.

        Give text, thoughts and the arguments of a call in several events each: this is how vendors send them.
        """
        raise NotImplementedError

    def error(self, fault: Fault, message: str) -> tuple[int, Json] | None:
        """Return status and body of an error in the vendor's words, or None where it has no such error.

        Args:
            fault: What is wrong. `refused`, `auth`, `rate_limited` and `failed` every vendor has.
            message: What the vendor says; it has to stand in the body.
        """
        raise NotImplementedError

    def stream_error(self, fault: Fault, message: str) -> WireEvent | None:
        """Return an error that comes as an event of a stream, or None where the vendor sends no such event.

        Args:
            fault: What is wrong.
            message: What the vendor says.
        """
        del fault, message
        return None

    def embeddings(self, vectors: Sequence[Sequence[float]], usage: Usage) -> Json:
        """Return a body with vectors."""
        raise NotImplementedError

    def models(self, ids: Sequence[str]) -> Json:
        """Return a body that lists models."""
        return {"data": [{"id": id_} for id_ in ids]}

    def call_ids(self, body: Json) -> tuple[Sequence[str], Sequence[str]]:
        """Return the ids of the tool calls, and those of the tool results, in a request.

        Args:
            body: What the provider sent. Where the wire has no ids, what pairs the two there, such as names.
        """
        raise NotImplementedError

    def base_url(self, origin: str) -> str:
        """Return what an operator would set as the provider's base URL.

        Args:
            origin: Scheme, host and port of the fake, without a slash at the end.
        """
        return origin

    def operation(self, asked: Asked) -> Operation:
        """Say what a request wants."""
        if asked.method == "GET":
            return "models"
        if "embed" in asked.path.lower():
            return "embeddings"
        body = asked.body
        if "stream" in asked.path.lower() or (isinstance(body, dict) and body.get("stream")):
            return "stream"
        return "chat"

    def frame(self, event: WireEvent) -> bytes:
        """Return an event as it travels: a server-sent event with JSON for its data."""
        return event if isinstance(event, bytes) else b"data: " + pydantic_core.to_json(event) + b"\n\n"
