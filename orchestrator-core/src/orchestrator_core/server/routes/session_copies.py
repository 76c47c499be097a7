"""Copies of sessions: one that goes on from a place, and one in which a turn is answered again."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web
from pydantic import Field, model_validator

from orchestrator_core.orchestration import TurnRequest, answer_again
from orchestrator_core.provider_api import (
    NotFound,
    PermissionDenied,
    ProviderError,
    SessionBusy,
    StorageError,
)
from orchestrator_core.server.body import RequestModel, read_model
from orchestrator_core.server.context import admit_session, gateway, principal, tell_session
from orchestrator_core.server.endpoint import Endpoint
from orchestrator_core.server.errors import Surface
from orchestrator_core.server.json_answer import json_response
from orchestrator_core.server.metadata import Metadata
from orchestrator_core.server.query import SESSION_ID, TURN_ID, session_id, turn_id
from orchestrator_core.server.routes.orchestrate import send_turn
from orchestrator_core.server.routes.orchestrate_request import own_settings, selection, template, wants_stream
from orchestrator_core.server.routes.orchestrate_schema import AgentConfig
from orchestrator_core.server.routes.session_bodies import MAX_USER_ID, SESSION_EXAMPLE, SessionBody, session_body
from orchestrator_core.sessions.models import NewFork

_ID_LENGTH = 64


class ForkBody(RequestModel):
    """Where a copy ends, and what is its own; what is left out is that of the original."""

    message_id: str | None = Field(
        default=None, max_length=_ID_LENGTH, description="The last message to copy; a turn may lose its answer by that."
    )
    turn_id: str | None = Field(default=None, max_length=_ID_LENGTH, description="The last turn to copy.")
    user_id: str | None = Field(default=None, max_length=MAX_USER_ID, description="A label of the caller.")
    metadata: Metadata | None = Field(default=None, description="The caller's own data.")

    @model_validator(mode="after")
    def _one_place(self) -> ForkBody:
        if self.message_id is not None and self.turn_id is not None:
            raise ValueError("send either message_id or turn_id")
        return self


class ReplayBody(RequestModel):
    """Who answers the turn again, and how."""

    agent_config: AgentConfig | None = None
    stream: bool | None = Field(default=None, description="Whether to stream; the header Accept can say so too.")


async def fork(request: web.Request) -> web.Response:
    """Copy a session up to a place."""
    known = session_id(request)
    body = await read_model(request, ForkBody)
    copy = await gateway(request).store.fork_session(
        principal(request).tenant,
        known,
        NewFork(message_id=body.message_id, turn_id=body.turn_id, user_id=body.user_id, metadata=body.metadata),
    )
    gateway(request).metrics.sessions_created.inc()
    tell_session(request, copy.id)
    return json_response(session_body(copy), status=201)


async def replay(request: web.Request) -> web.StreamResponse:
    """Have a turn answered again."""
    known, turn = session_id(request), turn_id(request)
    body = await read_model(request, ReplayBody)
    agent = body.agent_config or AgentConfig()
    streams = wants_stream(request, body.stream)
    await admit_session(request, known)
    again = TurnRequest(
        selection=selection(request, agent), messages=(), template=template(request, agent, streams=streams)
    )
    answer = await answer_again(gateway(request), principal(request), known, turn, again, own_settings(agent))
    return await send_turn(request, answer, streams=streams)


ENDPOINTS: Sequence[Endpoint] = (
    Endpoint(
        method="POST",
        path="/api/sessions/{id}/fork",
        handler=fork,
        summary="Make a session that begins with what was said in this one",
        tag="Sessions",
        surface=Surface.API,
        description=(
            "Messages, turns and the newest summary that fits are copied under new ids, up to and including "
            "`message_id` or `turn_id`, or all that has ended. Tokens and costs are not copied, so that nothing is "
            "counted twice. The original stays as it is; `parent_id` names it."
        ),
        request=ForkBody,
        response=SessionBody,
        status=201,
        errors=(NotFound, SessionBusy, StorageError),
        request_examples={
            "everything": {},
            "up to a turn": {"turn_id": "turn_019a7c3e51f30a1b2c3d4e5f60718293"},
            "up to a message": {
                "message_id": "msg_019a7c3e51f40a1b2c3d4e5f60718293",
                "user_id": "ada",
                "metadata": {"topic": "looms"},
            },
        },
        response_example={
            **SESSION_EXAMPLE,
            "session_id": "sess_019a7c4f00000a1b2c3d4e5f60718293",
            "message_count": 1,
            "parent_id": SESSION_EXAMPLE["session_id"],
        },
        parameters=(SESSION_ID,),
        idempotent=True,
    ),
    Endpoint(
        method="POST",
        path="/api/sessions/{id}/turns/{turn_id}/replay",
        handler=replay,
        summary="Have a turn answered again, by another provider or model",
        tag="Sessions",
        surface=Surface.API,
        description=(
            "A new session begins with what was said before the turn, and the turn's messages are said again in it. "
            "The system prompt, the tools and all other settings are those of the turn, but for each field that "
            "`agent_config` has; fields that are not listed there are kept for the same provider only. The answer is "
            "that of `POST /api/orchestrate`, with the new session, which is deleted again where no provider answers. "
            "The original stays as it is."
        ),
        request=ReplayBody,
        bodies="orchestrate_answer:ANSWER",
        errors=(PermissionDenied, NotFound, SessionBusy, ProviderError, StorageError),
        request_examples={"another provider": {"agent_config": {"provider": "anthropic", "temperature": 0.2}}},
        parameters=(SESSION_ID, TURN_ID),
        idempotent=True,
        takes_provider_key=True,
        cached=True,
    ),
)
