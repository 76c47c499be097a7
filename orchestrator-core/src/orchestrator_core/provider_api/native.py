"""Pass-through between a client and a provider that speak the same dialect.

A request may carry the client's body, and an event the upstream's bytes. Where both are of one dialect the
surface writes them through, and fields that nobody here knows survive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from orchestrator_core.provider_api.messages import Json

OPENAI_CHAT: Final = "openai.chat"
"""Dialect of `POST /chat/completions`."""

OPENAI_EMBEDDINGS: Final = "openai.embeddings"
"""Dialect of `POST /embeddings`."""

ANTHROPIC_MESSAGES: Final = "anthropic.messages"
"""Dialect of `POST /v1/messages`."""


@dataclass(frozen=True, slots=True)
class NativeRequest:
    """The client's own body.

    Of an answer that streams to such a client in its own dialect, core reads how it begins, up to the first text, what
    it used and how it ends: a provider need not take apart the text in between, and gives it as `NativeOnly`.

    Attributes:
        dialect: Its protocol, such as `OPENAI_CHAT`.
        body: The parsed body; `model` in it is the client's name for the model, not the provider's.
        headers: Headers of the client that belong to the protocol, such as `anthropic-beta`; lower-case names.
        only: What of the body has no canonical form, by name: lost for a provider that does not speak the dialect.
        plain: Whether each of its messages is nothing but a role and a text, so that nothing in them can be another
            provider's.
    """

    dialect: str
    body: Mapping[str, Json]
    headers: Mapping[str, str] = field(default_factory=dict)
    only: Sequence[str] = ()
    plain: bool = False


@dataclass(slots=True)
class NativeEvent:
    """An upstream event, or the whole body of an answer that is not streamed, as it came.

    Attributes:
        dialect: Its protocol.
        data: The JSON text, without the framing of server-sent events.
        event: The name of the server-sent event, where it has one.
        more: The data of the events that came right after it, none of which has a name.
    """

    dialect: str
    data: bytes
    event: str | None = None
    more: Sequence[bytes] = ()
