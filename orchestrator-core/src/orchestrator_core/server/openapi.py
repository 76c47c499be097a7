"""The OpenAPI 3.1 document, made of the endpoints and the models of their bodies."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ValidationError
from pydantic.json_schema import models_json_schema

from orchestrator_core.provider_api import (
    BudgetExceeded,
    GatewayError,
    IdempotencyMismatch,
    InternalError,
    InvalidRequest,
    PayloadTooLarge,
    PermissionDenied,
    ProviderAuthFailed,
    ProviderFailed,
    ProviderKeyMalformed,
    ProviderRefused,
    RateLimited,
    RequestInFlight,
    RequestTimeout,
    ShuttingDown,
    StorageError,
    Unauthenticated,
    UnsupportedMediaType,
)
from orchestrator_core.server.endpoint import Endpoint, EventStream, Parameter
from orchestrator_core.server.endpoints import ENDPOINTS
from orchestrator_core.server.error_schema import ERROR_MODELS
from orchestrator_core.server.errors import Surface, error_body, status_of
from orchestrator_core.server.routes.health import package_version
from orchestrator_core.server.sse import error_event

Mode: TypeAlias = Literal["validation", "serialization"]

_PATTERN = re.compile(r"\{(\w+):[^{}]*\}")
_REQUEST_ID = "req_0b5f1c2d3e4f5a6b7c8d9e0f1a2b3c4d"
_DESCRIPTION = (
    "One gateway in front of every LLM provider, with conversations that move between them. Every answer has "
    "`X-Request-Id`; a client may choose it."
)
_SECURITY_SCHEMES = {
    "clientKey": {"type": "http", "scheme": "bearer", "description": "The client's key for this gateway."},
    "clientKeyHeader": {
        "type": "apiKey",
        "in": "header",
        "name": "x-api-key",
        "description": "The same key, as Anthropic's SDK sends it.",
    },
    "clientKeyPassword": {
        "type": "http",
        "scheme": "basic",
        "description": "The same key as the password of any user name, as a browser sends it.",
    },
}
_IDEMPOTENCY_KEY = Parameter(
    name="Idempotency-Key",
    place="header",
    description="A request that is sent again with the same key gets the answer that it already had.",
    schema={"type": "string", "pattern": "^[!-~]{1,255}$"},
)
_KEY_SCHEMA = {"type": "string", "pattern": "^[!-~]+$"}
_PROVIDER_KEY = Parameter(
    name="X-Provider-Key",
    place="header",
    description="The caller's own key for the provider, in place of the server's.",
    schema=_KEY_SCHEMA,
)
_API_KEY = Parameter(name="X-API-Key", place="header", description="The same as X-Provider-Key.", schema=_KEY_SCHEMA)
_STRICT = Parameter(
    name="X-Orchestrator-Strict",
    place="header",
    description="Refuse the request instead of leaving out what the provider cannot do.",
    schema={"type": "string", "enum": ["true", "false"]},
)
_RATE_LIMIT = {
    "RateLimit": {"description": "How the limits of requests stand, by name.", "schema": {"type": "string"}},
    "RateLimit-Policy": {"description": "What the limits are.", "schema": {"type": "string"}},
}
_CACHE = {
    "X-Orchestrator-Cache": {
        "description": "Whether the answer came from the cache; left out where that had nothing to do with it.",
        "schema": {"type": "string", "enum": ["hit", "miss"]},
    }
}
_RETRY_AFTER = {"description": "Seconds after which to come again.", "schema": {"type": "integer", "minimum": 1}}


def document(*, asks: bool = True) -> dict[str, Any]:
    """Return the document; it is always the same for one version.

    Args:
        asks: Whether the gateway asks for the client's credential, as it does in production.
    """
    endpoints = [endpoint.documented() for endpoint in ENDPOINTS]
    schemas, references = _schemas(endpoints)
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        path = _PATTERN.sub(r"{\1}", endpoint.path)
        paths.setdefault(path, {})[endpoint.method.lower()] = _operation(endpoint, references, asks=asks)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Orchestrator",
            "version": package_version(),
            "description": _DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(endpoint.tag for endpoint in endpoints)],
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": _SECURITY_SCHEMES},
    }


def _schemas(
    endpoints: Iterable[Endpoint],
) -> tuple[dict[str, Any], Mapping[tuple[type[BaseModel], Mode], dict[str, Any]]]:
    models: dict[tuple[type[BaseModel], Mode], None] = {}
    for endpoint in endpoints:
        if endpoint.request is not None:
            models[endpoint.request, "validation"] = None
        if endpoint.response is not None:
            models[endpoint.response, "serialization"] = None
        if endpoint.stream is not None:
            models[endpoint.stream.event, "serialization"] = None
    for model in ERROR_MODELS.values():
        models[model, "serialization"] = None
    found, definitions = models_json_schema(list(models), ref_template="#/components/schemas/{model}")
    references = {(model, mode): found[model, mode] for model, mode in models}
    return dict(sorted(definitions["$defs"].items())), references


def _operation(
    endpoint: Endpoint, references: Mapping[tuple[type[BaseModel], Mode], dict[str, Any]], *, asks: bool
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": f"{endpoint.handler.__module__.rpartition('.')[2]}_{endpoint.handler.__name__}",
        "summary": endpoint.summary,
        "tags": [endpoint.tag],
        "parameters": [_parameter(parameter) for parameter in _parameters(endpoint)],
        "responses": {str(endpoint.status): _success(endpoint, references)},
        "security": _security(endpoint, asks=asks),
    }
    if endpoint.description:
        operation["description"] = endpoint.description
    if endpoint.request is not None:
        media: dict[str, Any] = {"schema": references[endpoint.request, "validation"]}
        if endpoint.request_examples:
            media["examples"] = {name: {"value": value} for name, value in endpoint.request_examples.items()}
        operation["requestBody"] = {
            "required": not _takes_nothing(endpoint.request),
            "content": {"application/json": media},
        }
    if endpoint.body_schema is not None:
        content: dict[str, Any] = {name: {"schema": dict(endpoint.body_schema)} for name in endpoint.body_media_types}
        content[endpoint.body_media_types[-1]]["examples"] = {"shortest": {"value": endpoint.body_example}}
        operation["requestBody"] = {"required": True, "content": content}
    reference = references[ERROR_MODELS[endpoint.surface], "serialization"]
    operation["responses"] |= _failures(endpoint, reference)
    if not operation["parameters"]:
        del operation["parameters"]
    return operation


def _parameters(endpoint: Endpoint) -> Iterator[Parameter]:
    own = list(endpoint.parameters)
    if endpoint.idempotent:
        own.append(_IDEMPOTENCY_KEY)
    if endpoint.takes_provider_key:
        own.append(_PROVIDER_KEY)
        if endpoint.surface in (Surface.API, Surface.CONNECTOR):
            own.append(_API_KEY)
        own.append(_STRICT)
    seen: set[str] = set()
    for parameter in own:
        if parameter.name.lower() not in seen:
            seen.add(parameter.name.lower())
            yield parameter


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.description,
        "required": parameter.required or parameter.place == "path",
        "schema": dict(parameter.schema),
    }


def _success(endpoint: Endpoint, references: Mapping[tuple[type[BaseModel], Mode], dict[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if endpoint.response is not None:
        media: dict[str, Any] = {"schema": references[endpoint.response, "serialization"]}
        if endpoint.response_example is not None:
            media["example"] = endpoint.response_example
        content["application/json"] = media
    if endpoint.stream is not None:
        content["text/event-stream"] = _stream(endpoint.stream, endpoint.surface, references)
    for media_type, schema in endpoint.media_types.items():
        content[media_type] = {"schema": dict(schema)}
    success: dict[str, Any] = {"description": HTTPStatus(endpoint.status).phrase}
    if content:
        success["content"] = content
    if endpoint.cached:
        success["headers"] = _CACHE
    return success


def _stream(
    stream: EventStream, surface: Surface, references: Mapping[tuple[type[BaseModel], Mode], dict[str, Any]]
) -> dict[str, Any]:
    """Describe a stream as far as OpenAPI 3.1 can: the schema is that of one event, which 3.2 calls `itemSchema`."""
    broken = ProviderFailed("The provider broke off its answer. Send the request again.")
    data: dict[str, Any] = {
        "contentMediaType": "application/json",
        "contentSchema": references[stream.event, "serialization"],
    }
    if stream.mark is not None:
        data = {"anyOf": [{"const": stream.mark}, data]}
    return {
        "schema": {
            "type": "object",
            "description": "One server-sent event.",
            "properties": {"event": {"type": "string"}, "data": {"type": "string", **data}},
            "required": ["data"],
        },
        "examples": {
            "complete": {"summary": "All goes well", "value": stream.opening + stream.ending},
            "broken": {
                "summary": "The answer breaks off",
                "value": stream.opening + error_event(broken, surface, _REQUEST_ID).decode(),
            },
        },
    }


def _failures(endpoint: Endpoint, reference: dict[str, Any]) -> dict[str, Any]:
    by_status: dict[int, list[GatewayError]] = {}
    for error in _errors(endpoint):
        known = by_status.setdefault(status_of(error, endpoint.surface), [])
        if error.code not in [other.code for other in known]:
            known.append(error)
    problem = endpoint.surface in (Surface.API, Surface.PLAIN)
    media_type = "application/problem+json" if problem else "application/json"
    failures: dict[str, Any] = {}
    for status, errors in sorted(by_status.items()):
        example = error_body(errors[0], endpoint.surface, _REQUEST_ID)
        failures[str(status)] = {
            "description": f"{HTTPStatus(status).phrase}: {', '.join(sorted(error.code for error in errors))}",
            "content": {media_type: {"schema": reference, "example": example}},
        }
        if status in (429, 503):
            failures[str(status)]["headers"] = {"Retry-After": _RETRY_AFTER, **(_RATE_LIMIT if status == 429 else {})}
    return failures


def _errors(endpoint: Endpoint) -> Iterator[GatewayError]:
    kinds: list[type[GatewayError]] = [InternalError]
    if not endpoint.probe:
        kinds.append(ShuttingDown)
    if endpoint.authenticated or endpoint.authenticated_in_production:
        kinds += [Unauthenticated, RateLimited]
    if endpoint.takes_provider_key:
        kinds += [BudgetExceeded, ProviderKeyMalformed]
    if endpoint.role == "admin":
        kinds.append(PermissionDenied)
    if endpoint.request is not None or endpoint.body_schema is not None:
        kinds += [RequestTimeout, PayloadTooLarge, UnsupportedMediaType]
    if any(_parameters(endpoint)) or endpoint.request is not None:
        kinds.append(InvalidRequest)
    if endpoint.idempotent:
        kinds += [RequestInFlight, IdempotencyMismatch, StorageError]
    for kind in (*kinds, *endpoint.errors):
        for member in _family(kind):
            summary = " ".join((member.__doc__ or member.code).split())
            yield member(summary)
            if issubclass(member, ProviderRefused) and member is ProviderRefused:
                yield from (member(summary, status=status) for status in (404, 413, 422))
            if member is ProviderAuthFailed and endpoint.takes_provider_key:
                yield member(summary, status=401)


def _family(kind: type[GatewayError]) -> tuple[type[GatewayError], ...]:
    """Return an error and everything that is one."""
    return (kind, *(member for child in kind.__subclasses__() for member in _family(child)))


def _takes_nothing(model: type[BaseModel]) -> bool:
    try:
        model.model_validate({})
    except ValidationError:
        return False
    return True


def _security(endpoint: Endpoint, *, asks: bool) -> list[dict[str, list[str]]]:
    asked: list[dict[str, list[str]]] = [{"clientKey": []}]
    if endpoint.surface in (Surface.OPENAI, Surface.ANTHROPIC):
        asked.append({"clientKeyHeader": []})
    if endpoint.browsed:
        asked.append({"clientKeyPassword": []})
    if endpoint.authenticated and asks:
        return asked
    return [{}, *asked] if endpoint.authenticated or endpoint.authenticated_in_production else []
