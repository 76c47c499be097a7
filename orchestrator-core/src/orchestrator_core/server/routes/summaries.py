"""Summaries of a session: have one made, and read the ledger of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from aiohttp import web
from pydantic import Field

from orchestrator_core.orchestration import Selection
from orchestrator_core.provider_api import (
    Conflict,
    NotFound,
    PermissionDenied,
    ProviderError,
    SessionBusy,
    StorageError,
)
from orchestrator_core.server.body import RequestModel, read_model
from orchestrator_core.server.context import admit_session, gateway, principal, provider_key
from orchestrator_core.server.endpoint import Described, Endpoint
from orchestrator_core.server.errors import Surface
from orchestrator_core.server.json_answer import json_response
from orchestrator_core.server.query import (
    MAX_OFFSET,
    OFFSET,
    SESSION_ID,
    integer,
    limit_parameter,
    session_id,
    time_text,
)
from orchestrator_core.server.routes.usage_bodies import UsageBody, usage_body
from orchestrator_core.sessions.models import StoredSummary

MAX_KEEP = 10_000
MAX_SUMMARIES = 100
NOTHING = "There is nothing to summarise: what is not summarised yet is the last turn, and what belongs to it."


class SummarizeBody(RequestModel):
    """How a session is to be summarised."""

    provider: str | None = Field(
        default=None, description="Who writes the summary; the configured one, or who answered last, where left out."
    )
    model: str | None = Field(
        default=None, description="The model that writes it; `provider/model` or an alias where no provider is named."
    )
    keep: int = Field(
        default=0,
        ge=0,
        le=MAX_KEEP,
        description="How many of the newest messages stay as they are. The last turn always does.",
    )


class SummaryBody(Described):
    """An entry of the ledger: what a summary stands for, and what it took."""

    id: str
    from_sequence: int = Field(description="The first message that no earlier summary covered; the session's is 1.")
    upto_sequence: int = Field(description="The last message that it covers.")
    text: str = Field(description="The summary; it holds what the one before it held.")
    created_at: str
    provider: str | None
    model: str | None
    replaces: str | None = Field(description="The id of the summary before it.")
    usage: UsageBody | None
    cost: float | None = Field(description="USD; null where the price is unknown.")
    tokens_before: int | None = Field(description="An estimate of what it stands for.")
    tokens_after: int | None = Field(description="An estimate of what it takes itself.")
    turn_ids: list[str] = Field(description="The turns that it covers and no earlier one did.")


class SummarizedBody(Described):
    """What came of it."""

    session_id: str
    summary: SummaryBody | None = Field(description="Null where there was nothing to summarise.")
    detail: str | None = Field(description="Why there is no summary.")


class LedgerBody(Described):
    """Summaries, oldest first. The last one is what providers are shown."""

    session_id: str
    summaries: list[SummaryBody]
    has_more: bool


async def summarize(request: web.Request) -> web.Response:
    """Summarise a session now."""
    known = session_id(request)
    body = await read_model(request, SummarizeBody)
    await admit_session(request, known)
    stored = await gateway(request).summarize(principal(request), known, _wanted(request, body), body.keep)
    return json_response(
        {
            "session_id": known,
            "summary": None if stored is None else _summary(stored),
            "detail": NOTHING if stored is None else None,
        }
    )


async def ledger(request: web.Request) -> web.Response:
    """Read the summaries of a session."""
    known = session_id(request)
    limit = integer(request, "limit", default=20, minimum=1, maximum=MAX_SUMMARIES)
    offset = integer(request, "offset", default=0, minimum=0, maximum=MAX_OFFSET)
    found = await gateway(request).store.summaries(principal(request).tenant, known, limit=limit + 1, offset=offset)
    return json_response(
        {
            "session_id": known,
            "summaries": [_summary(stored) for stored in found[:limit]],
            "has_more": len(found) > limit,
        }
    )


def _wanted(request: web.Request, body: SummarizeBody) -> Selection | None:
    """Return who is to write the summary; None where the caller does not say."""
    provider, model, key = body.provider, body.model, provider_key(request)
    if provider is None and model is None and key is None:
        return None
    wanted = Selection(provider=provider, model=model)
    if provider is None and model is not None:
        wanted = gateway(request).router.select(model)
    return replace(wanted, fallbacks=(), credential=key)


def _summary(stored: StoredSummary) -> dict[str, Any]:
    return {
        **asdict(stored),
        "created_at": time_text(stored.created_at),
        "usage": usage_body(stored.usage) if stored.usage else None,
        "turn_ids": list(stored.turn_ids),
    }


_EXAMPLE = {
    "id": "sum_019a7c3e51f60a1b2c3d4e5f60718293",
    "from_sequence": 1,
    "upto_sequence": 12,
    "text": "Ada asks who wrote the first program: Ada Lovelace did, in 1843, for Babbage's engine.",
    "created_at": "2026-11-21T09:41:00.000Z",
    "provider": "mistral",
    "model": "mistral-small-latest",
    "replaces": None,
    "usage": {
        "input_tokens": 1840,
        "cached_input_tokens": 0,
        "cache_write_tokens": 0,
        "output_tokens": 210,
        "reasoning_tokens": 0,
    },
    "cost": 0.000247,
    "tokens_before": 1712,
    "tokens_after": 205,
    "turn_ids": ["turn_019a7c3e51f30a1b2c3d4e5f60718293"],
}
_ID = "sess_019a7c3e51f20a1b2c3d4e5f60718293"

ENDPOINTS: Sequence[Endpoint] = (
    Endpoint(
        method="POST",
        path="/api/sessions/{id}/summarize",
        handler=summarize,
        summary="Summarise a session now",
        tag="Sessions",
        surface=Surface.API,
        description=(
            "Condenses all but the last turn, or all but what is to be kept. The messages themselves stay and can be "
            "read; providers are shown the summary in their place from the next turn on. A body is not needed."
        ),
        request=SummarizeBody,
        response=SummarizedBody,
        errors=(PermissionDenied, NotFound, SessionBusy, Conflict, ProviderError, StorageError),
        request_examples={
            "as configured": {},
            "chosen": {"provider": "mistral", "model": "mistral-small-latest", "keep": 4},
        },
        response_example={"session_id": _ID, "summary": _EXAMPLE, "detail": None},
        parameters=(SESSION_ID,),
        idempotent=True,
        takes_provider_key=True,
    ),
    Endpoint(
        method="GET",
        path="/api/sessions/{id}/summaries",
        handler=ledger,
        summary="Read the summaries of a session",
        tag="Sessions",
        surface=Surface.API,
        response=LedgerBody,
        errors=(NotFound, StorageError),
        response_example={"session_id": _ID, "summaries": [_EXAMPLE], "has_more": False},
        parameters=(SESSION_ID, limit_parameter(20, MAX_SUMMARIES), OFFSET),
    ),
)
