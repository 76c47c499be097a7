"""A turn that is answered again, by somebody else."""

from __future__ import annotations

import asyncio
from collections.abc import Set as AbstractSet
from dataclasses import fields, replace

import structlog

from orchestrator_core.orchestration.gateway import Gateway
from orchestrator_core.orchestration.requests import CacheUse, TurnRequest
from orchestrator_core.orchestration.routing import pinned
from orchestrator_core.orchestration.turn import TurnAnswer
from orchestrator_core.provider_api import ChatRequest, GatewayError, InvalidRequest
from orchestrator_core.security.principal import Principal
from orchestrator_core.sessions.models import NewFork, StoredTurn
from orchestrator_core.sessions.settings import TurnSettings, read_settings

log = structlog.get_logger(__name__)


async def answer_again(
    gateway: Gateway, principal: Principal, session_id: str, turn_id: str, request: TurnRequest, own: AbstractSet[str]
) -> TurnAnswer:
    """Have a turn answered again, in a session that begins with what was said before it.

    Where no provider answers, that session is deleted: a retry makes its own.

    Args:
        gateway: Answers it.
        principal: Who asks.
        session_id: The session of the turn; it stays as it is.
        turn_id: The turn whose messages are said again.
        request: Who is to answer, and with which settings.
        own: The fields of the request's template that count; all others are those of the turn.

    Raises:
        NotFound: No such session of this tenant, or it has no such turn.
        InvalidRequest: The settings of the turn were not kept, and the request has none.
        GatewayError: As for `Gateway.turn`.
    """
    targets = gateway.router.targets(principal, request.selection, "chat")  # before anything is copied for nothing
    target = targets[0]
    store, tenant = gateway.store, principal.tenant
    turn = await store.turn(tenant, session_id, turn_id)
    template = _template(turn, request.template, own, same=target.provider.id == _first_asked(turn))
    said = tuple(stored.message for stored in turn.said)
    copy = await store.fork_session(tenant, session_id, NewFork(turn_id=turn_id, before=True))
    try:
        # Whoever has it answered again does not want the answer that may be kept.
        cache: CacheUse = "off" if request.selection.cache == "off" else "renew"
        selection = replace(pinned(request.selection, targets), cache=cache)
        again = replace(request, selection=selection, messages=said, template=template, session_id=copy.id)
        return await gateway.turn(principal, again)
    except BaseException as error:
        if isinstance(error, GatewayError):
            error.session_id = error.turn_id = None
        await asyncio.shield(_forget(gateway, tenant, copy.id))
        raise


def _first_asked(turn: StoredTurn) -> str | None:
    """Return the provider that a turn was meant for: another one may have answered it."""
    return turn.outcome.attempts[0].provider if turn.outcome.attempts else turn.outcome.provider


async def _forget(gateway: Gateway, tenant: str, session_id: str) -> None:
    try:
        await gateway.store.delete_session(tenant, session_id)
    except GatewayError as error:
        log.warning("copy was not deleted", session_id=session_id, error=error.code)


def _template(turn: StoredTurn, template: ChatRequest, own: AbstractSet[str], *, same: bool) -> ChatRequest:
    """Return the call of a turn: the settings of the turn, and in their place what is the request's own."""
    if turn.settings is None:
        if not own:
            raise InvalidRequest(
                "The settings of this turn (system prompt, tools and the like) were not kept: say in agent_config with "
                'which it is to be answered, such as {"system_prompt": null} for none.',
                param="agent_config",
            )
        return template
    known = read_settings(turn.settings)
    kept = {each.name: getattr(known, each.name) for each in fields(TurnSettings) if each.name not in own}
    # What core does not know is the word of the provider that was asked; another one would refuse it.
    kept["extra"] = {**(known.extra if same else {}), **template.extra}
    kept["strict"] = template.strict or ("strict" not in own and known.strict)
    return replace(template, **kept)
