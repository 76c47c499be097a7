"""The connectors: one provider each, asked by its name, with no other to fall back to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from aiohttp import web

from orchestrator_core.orchestration import Selection
from orchestrator_core.provider_api import (
    GatewayError,
    HealthRequest,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    ProviderAuthFailed,
    ProviderError,
    ProviderNotConfigured,
    ProviderRateLimited,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnavailable,
)
from orchestrator_core.server.body import read_json
from orchestrator_core.server.context import cache_use, gateway, principal, provider_key, request_id, strict
from orchestrator_core.server.endpoint import Endpoint, Parameter
from orchestrator_core.server.errors import Surface
from orchestrator_core.server.routes.answers import answer_headers, drain, json_response, stream
from orchestrator_core.server.routes.calls import caller_label
from orchestrator_core.server.translate.connector import (
    chat_answer,
    embeddings_answer,
    models_answer,
    openai_body,
)
from orchestrator_core.server.translate.openai_embeddings import read_embeddings
from orchestrator_core.server.translate.openai_request import read_chat
from orchestrator_core.server.translate.openai_stream import ChunkWriter
from orchestrator_core.server.watch import HEALTH_TIMEOUT

if TYPE_CHECKING:
    from orchestrator_core.plugins import Provider


async def chat(request: web.Request) -> web.StreamResponse:
    """Answer a conversation."""
    _provider(request)  # who is not there is the first thing to say
    body = openai_body(await read_json(request))
    user_id = caller_label(body)
    call = read_chat(body, deadline=gateway(request).deadline(), strict=strict(request), request_id=request_id(request))
    answer = await gateway(request).chat(principal(request), _selection(request, call.model), call, user_id)
    if call.stream:
        chunks = ChunkWriter(
            model=answer.model, request_id=request_id(request), include_usage=True, folded=lambda: answer.folded
        )
        return await stream(request, answer, chunks, {})
    headers = await drain(answer)
    return json_response(chat_answer(answer.folded, model=answer.model), headers)


async def embeddings(request: web.Request) -> web.StreamResponse:
    """Give the vectors of texts."""
    _provider(request)
    body = await read_json(request)
    user_id = caller_label(body)
    body.pop("encoding_format", None)  # a connector always gives numbers
    call = read_embeddings(
        body,
        deadline=gateway(request).deadline(),
        strict=strict(request),
        request_id=request_id(request),
    )
    answer = await gateway(request).embed(principal(request), _selection(request, call.model), call, user_id)
    return json_response(embeddings_answer(answer.response, model=answer.model), answer_headers(answer, answer.cost))


async def models(request: web.Request) -> web.StreamResponse:
    """List the provider's models.

    Raises:
        ProviderError: None are known, and the provider does not say which there are.
    """
    provider = _provider(request)
    if not provider.models:
        await _ask_for_models(request, provider)
    caller = principal(request)
    return json_response(models_answer([model for model in provider.models if caller.may_use(provider.id, model.id)]))


async def _ask_for_models(request: web.Request, provider: Provider) -> None:
    if not provider.configured:
        raise ProviderNotConfigured(f"No usable key of the provider {provider.id!r} is configured.")
    deadline = gateway(request).deadline(HEALTH_TIMEOUT)
    report = await provider.look(HealthRequest(deadline=deadline, credential=next(iter(provider.keys), None)))
    if not report.healthy:
        raise ProviderUnavailable(f"The provider does not answer: {report.detail or 'it does not say why'}.")


def _provider(request: web.Request) -> Provider:
    provider = gateway(request).registry.get(request.match_info["provider"])
    if not principal(request).may_use(provider.id):
        raise PermissionDenied(f"This credential may not use the provider {provider.id!r}.")
    return provider


def _selection(request: web.Request, model: str) -> Selection:
    """Select the connector's provider alone; `provider/model` names the model too where the provider is this one."""
    provider, registry = _provider(request), gateway(request).registry
    name, _, rest = model.partition("/")
    if rest and name in registry and registry.get(name) is provider:
        model = rest
    return Selection(
        provider=provider.id,
        model=model or None,
        fallbacks=(),
        credential=provider_key(request),
        cache=cache_use(request),
    )


_ERRORS: tuple[type[GatewayError], ...] = (
    InvalidRequest,
    NotFound,
    PermissionDenied,
    ProviderRefused,
    ProviderAuthFailed,
    ProviderRateLimited,
    ProviderError,
    ProviderNotConfigured,
    ProviderTimeout,
)
_PROVIDER = Parameter(name="provider", place="path", description="The provider's name or alias.")


ENDPOINTS: Sequence[Endpoint] = (
    Endpoint(
        method="POST",
        path="/api/v1/{provider}/chat",
        handler=chat,
        summary="Ask one provider",
        description="Never falls back to another provider. With `stream: true` the answer comes as OpenAI's chunks.",
        tag="Connectors",
        surface=Surface.CONNECTOR,
        bodies="connectors_schema:CHAT",
        errors=_ERRORS,
        parameters=(_PROVIDER,),
        idempotent=True,
        takes_provider_key=True,
        cached=True,
    ),
    Endpoint(
        method="POST",
        path="/api/v1/{provider}/embeddings",
        handler=embeddings,
        summary="Give the vectors of texts",
        tag="Connectors",
        surface=Surface.CONNECTOR,
        bodies="connectors_schema:EMBEDDINGS",
        errors=_ERRORS,
        parameters=(_PROVIDER,),
        idempotent=True,
        takes_provider_key=True,
        cached=True,
    ),
    Endpoint(
        method="GET",
        path="/api/v1/{provider}/models",
        handler=models,
        summary="List the models of one provider",
        tag="Connectors",
        surface=Surface.CONNECTOR,
        bodies="connectors_schema:MODELS",
        errors=(NotFound, PermissionDenied, ProviderAuthFailed, ProviderError, ProviderUnavailable, ProviderTimeout),
        parameters=(_PROVIDER,),
    ),
)
