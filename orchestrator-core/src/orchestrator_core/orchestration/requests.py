"""What a surface asks of orchestration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from orchestrator_core.provider_api import ChatRequest, Json, Message, Secret

CacheUse = Literal["use", "renew", "off"]
"""Whether a kept answer may be given and this one kept; only the latter; or neither."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Who is to answer.

    Attributes:
        alias: A name of the configuration's aliases, in place of provider and model.
        provider: The provider, by name or alias; None is the configured default, or the only usable one.
        model: The model, as the provider names it; None is the provider's default.
        fallbacks: `provider`, `provider/model` or an alias, in order; None is the configured chain, () is none.
        credential: The caller's own key for the provider. Such a request uses no other key and no other provider.
        cache: What the caller wants of the cache of answers, where there is one.
    """

    alias: str | None = None
    provider: str | None = None
    model: str | None = None
    fallbacks: Sequence[str] | None = None
    credential: Secret | None = None
    cache: CacheUse = "use"


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnRequest:
    """One turn of a conversation.

    Attributes:
        selection: Who is to answer.
        messages: The new turn: one user message, or results of tools.
        template: Everything else of the call; its `messages` are system messages that hold for this turn, its `model`
            and `credential` are filled in by orchestration.
        session_id: The session to join; None makes one.
        user_id: The label for a session that is made.
        metadata: The caller's data for a session that is made.
        idempotency_key: The caller's key.
        fingerprint: A digest of all that the request with that key asks for.
    """

    selection: Selection
    messages: Sequence[Message]
    template: ChatRequest
    session_id: str | None = None
    user_id: str | None = None
    metadata: Mapping[str, Json] = field(default_factory=dict)
    idempotency_key: str | None = None
    fingerprint: str | None = None
