"""What the surfaces of the SDKs share: the choice of a model by its name, and the session that a request may join."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from aiohttp import web

from orchestrator_core.orchestration import Selection, TurnRequest
from orchestrator_core.provider_api import ChatRequest, InvalidRequest, Json, NotFound, SessionBusy, SessionEnded
from orchestrator_core.server.context import CONTEXT, admit_session, cache_use, tell_session
from orchestrator_core.server.endpoint import Parameter
from orchestrator_core.server.idempotency import idempotency_key
from orchestrator_core.server.query import checked_session_id
from orchestrator_core.server.routes.answers import OpenAnswer
from orchestrator_core.server.routes.session_bodies import MAX_USER_ID
from orchestrator_core.server.translate.turns import split_turn

SESSION_HEADER = "X-Session-Id"

SESSION_PARAMETER = Parameter(
    name=SESSION_HEADER,
    place="header",
    description="Joins a session: the messages after the last assistant message are its new turn, the "
    "system messages hold for this turn, and the history is the gateway's.",
)


def select(request: web.Request, model: str) -> Selection:
    """Return who is to answer, by the name of a model.

    Raises:
        InvalidRequest: No model is named.
        NotFound: The name resolves to nothing.
    """
    if not model:
        raise InvalidRequest("Name a model: provider/model, or an alias.", param="model")
    context = request[CONTEXT]
    found = context.gateway.router.select(model)
    credential, cache = context.provider_key, cache_use(request)
    if credential is None and cache == found.cache:
        return found
    return replace(found, credential=credential, cache=cache)


def joined_session(request: web.Request) -> str | None:
    """Return the session that a request joins.

    Raises:
        NotFound: No session can have such an id.
    """
    session_id = request.headers.get(SESSION_HEADER)
    return None if session_id is None else checked_session_id(session_id, SESSION_HEADER)


def caller_label(body: Mapping[str, Json]) -> str | None:
    """Return the label of the caller in a body: OpenAI's `user`, or Anthropic's `metadata.user_id`."""
    given, metadata = body.get("user"), body.get("metadata")
    if given is None and isinstance(metadata, dict):
        given = metadata.get("user_id")
    return given[:MAX_USER_ID] if isinstance(given, str) else None


async def open_answer(
    request: web.Request, selection: Selection, call: ChatRequest, session_id: str | None, user_id: str | None
) -> OpenAnswer:
    """Open a call, or the next turn of a session.

    Args:
        request: The request.
        selection: Who is to answer.
        call: What is asked.
        session_id: The session that it joins; None where it joins none.
        user_id: The label of the caller, for the totals; a session has its own.

    Raises:
        GatewayError: No provider answered, or the session cannot take a turn.
    """
    context = request[CONTEXT]
    if session_id is None:
        return await context.gateway.chat(context.principal, selection, call, user_id)
    await admit_session(request, session_id)
    system, said = split_turn(call.messages)
    turn = TurnRequest(
        selection=selection,
        messages=said,
        # The history is the gateway's: the client's own body does not have it.
        template=replace(call, messages=system, native=None),
        session_id=session_id,
        idempotency_key=idempotency_key(request),
        fingerprint=context.fingerprint,
    )
    try:
        answer = await context.gateway.turn(context.principal, turn)
    except (NotFound, SessionBusy, SessionEnded) as error:
        # The store knows nothing of headers.
        error.param = error.param or SESSION_HEADER
        raise
    tell_session(request, answer.session_id, answer.turn_id)
    return answer
