"""A turn that is answered again, by somebody else."""

from __future__ import annotations

from dataclasses import replace

from orchestrator_core.orchestration.gateway import Gateway
from orchestrator_core.orchestration.requests import TurnRequest
from orchestrator_core.orchestration.turn import TurnAnswer
from orchestrator_core.security.principal import Principal
from orchestrator_core.sessions.models import NewFork


async def answer_again(
    gateway: Gateway, principal: Principal, session_id: str, turn_id: str, request: TurnRequest
) -> TurnAnswer:
    """Have a turn answered again, in a session that begins with what was said before it.

    Args:
        gateway: Answers it.
        principal: Who asks.
        session_id: The session of the turn; it stays as it is.
        turn_id: The turn whose messages are said again.
        request: Everything else of the new turn.

    Raises:
        NotFound: No such session of this tenant, or it has no such turn.
        GatewayError: As for `Gateway.turn`.
    """
    gateway.router.targets(principal, request.selection, "chat")  # before anything is copied for nothing
    store, tenant = gateway.store, principal.tenant
    turn = await store.turn(tenant, session_id, turn_id)
    copy = await store.fork_session(tenant, session_id, NewFork(turn_id=turn_id, before=True))
    said = tuple(stored.message for stored in turn.said)
    return await gateway.turn(principal, replace(request, messages=said, session_id=copy.id))
