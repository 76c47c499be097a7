"""OpenAI's surface: `/v1/chat/completions`, `/v1/embeddings` and `/v1/models`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from aiohttp import web

from orchestrator_core.provider_api import (
    OPENAI_CHAT,
    OPENAI_EMBEDDINGS,
    InvalidRequest,
    Json,
    NotFound,
    PermissionDenied,
    ProviderError,
    ProviderNotConfigured,
    ProviderRefused,
    ProviderTimeout,
    SessionBusy,
    SessionEnded,
)
from orchestrator_core.server.body import read_json
from orchestrator_core.server.context import (
    CONTEXT,
    gateway,
    principal,
    request_id,
    settings,
    strict,
)
from orchestrator_core.server.endpoint import Endpoint, Parameter
from orchestrator_core.server.errors import Surface
from orchestrator_core.server.routes.answers import (
    answer_headers,
    drain,
    json_response,
    own_bytes,
    raw_response,
    stream,
)
from orchestrator_core.server.routes.calls import (
    SESSION_HEADER,
    SESSION_PARAMETER,
    caller_label,
    joined_session,
    open_answer,
    select,
)
from orchestrator_core.server.translate.openai_embeddings import embeddings, encoding, has_form, read_embeddings
from orchestrator_core.server.translate.openai_request import read_chat, wants_usage
from orchestrator_core.server.translate.openai_response import completion
from orchestrator_core.server.translate.openai_stream import ChunkWriter


async def chat_completions(request: web.Request) -> web.StreamResponse:
    """Answer a conversation, as JSON or as a stream; with a session's id, take the next turn of that session."""
    context = request[CONTEXT]
    body = await read_json(request)
    user_id = caller_label(body)
    deadline = context.gateway.deadline()
    call = read_chat(body, deadline=deadline, strict=strict(request), request_id=context.request_id)
    include_usage = wants_usage(body)
    selection = select(request, call.model)
    session_id = joined_session(request)
    answer = await open_answer(request, selection, call, session_id, user_id)
    joined = {} if session_id is None else {SESSION_HEADER: session_id}
    if call.stream:
        chunks = ChunkWriter(
            model=answer.model,
            request_id=context.request_id,
            include_usage=include_usage,
            folded=lambda: answer.folded,
        )
        return await stream(request, answer, chunks, joined)
    headers = await drain(answer) | joined
    if (data := own_bytes(answer, OPENAI_CHAT)) is not None:
        return raw_response(data, headers)
    return json_response(completion(answer.folded, model=answer.model, request_id=context.request_id), headers)


async def create_embeddings(request: web.Request) -> web.StreamResponse:
    """Give the vectors of texts."""
    body = await read_json(request)
    user_id = caller_label(body)
    call = read_embeddings(
        body, deadline=gateway(request).deadline(), strict=strict(request), request_id=request_id(request)
    )
    form = encoding(body)
    # Vectors of another model would be of another space: nobody else may answer.
    selection = replace(select(request, call.model), fallbacks=())
    answer = await gateway(request).embed(principal(request), selection, call, user_id)
    headers = answer_headers(answer, answer.cost)
    native = answer.response.native
    if native is not None and native.dialect == OPENAI_EMBEDDINGS and has_form(native.data, form):
        return raw_response(native.data, headers)
    return json_response(embeddings(answer.response, form, model=answer.model), headers)


async def list_models(request: web.Request) -> web.StreamResponse:
    """List the models of the usable providers, and the aliases of the configuration."""
    return json_response({"object": "list", "data": list(_models(request).values())})


async def get_model(request: web.Request) -> web.StreamResponse:
    """Show one model of the list."""
    model = _models(request).get(request.match_info["id"])
    if model is None:
        raise NotFound("There is no such model here; GET /v1/models lists them.", code="model_not_found", param="model")
    return json_response(model)


def _models(request: web.Request) -> Mapping[str, Mapping[str, Json]]:
    """Return the models that the caller may use, by id; the provider's own names follow the aliases."""
    registry, caller = gateway(request).registry, principal(request)
    usable = [provider for provider in registry.usable if caller.may_use(provider.id)]
    models: dict[str, Mapping[str, Json]] = {}
    for alias, entry in settings(request).aliases.items():
        owners: dict[str, str] = {}
        for target in entry.targets:
            name, _, model_id = target.partition("/")
            if name in registry and registry.get(name) in usable and caller.may_use(registry.get(name).id, model_id):
                owners[target] = registry.get(name).id
        if owners:
            about: dict[str, Json] = {"alias_of": list(owners), "strategy": entry.strategy}
            models[alias] = _row(alias, next(iter(owners.values()))) | about
    for provider in usable:
        for model in provider.models:
            if not caller.may_use(provider.id, model.id):
                continue
            name = f"{provider.id}/{model.id}"
            facts = model.model_dump(mode="json", exclude_none=True, exclude={"id"})
            models[name] = {**facts, **_row(name, provider.id)}
    return models


def _row(name: str, provider: str) -> dict[str, Json]:
    return {"id": name, "object": "model", "created": 0, "owned_by": provider}


_ERRORS = (
    InvalidRequest,
    NotFound,
    PermissionDenied,
    ProviderRefused,
    ProviderError,
    ProviderNotConfigured,
    ProviderTimeout,
)
_TAG = "OpenAI"


ENDPOINTS: Sequence[Endpoint] = (
    Endpoint(
        method="POST",
        path="/v1/chat/completions",
        handler=chat_completions,
        summary="Answer a conversation (OpenAI's Chat Completions)",
        description="An upstream answer of the same dialect is passed through as it came, `id` and `model` with it. "
        "What the gateway itself knows is in the headers `x-orchestrator-*`.",
        tag=_TAG,
        surface=Surface.OPENAI,
        bodies="openai_schema:CHAT",
        errors=(*_ERRORS, SessionBusy, SessionEnded),
        parameters=(SESSION_PARAMETER,),
        idempotent=True,
        takes_provider_key=True,
        cached=True,
    ),
    Endpoint(
        method="POST",
        path="/v1/embeddings",
        handler=create_embeddings,
        summary="Give the vectors of texts (OpenAI's Embeddings)",
        tag=_TAG,
        surface=Surface.OPENAI,
        bodies="openai_schema:EMBEDDINGS",
        errors=_ERRORS,
        idempotent=True,
        takes_provider_key=True,
        cached=True,
    ),
    Endpoint(
        method="GET",
        path="/v1/models",
        handler=list_models,
        summary="List the models of the usable providers",
        tag=_TAG,
        surface=Surface.OPENAI,
        bodies="openai_schema:MODELS",
    ),
    Endpoint(
        method="GET",
        path="/v1/models/{id:.+}",
        handler=get_model,
        summary="Show one model",
        tag=_TAG,
        surface=Surface.OPENAI,
        bodies="openai_schema:MODEL",
        errors=(NotFound,),
        parameters=(
            Parameter(name="id", place="path", description="`provider/model`; the slash may be written `%2F`."),
        ),
    ),
)
